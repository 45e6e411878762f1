"""`imgrec load` from the outside: what it sends in each dialect, what it tells, and its exit codes."""
import csv
import json
import os
import re
import signal
import ssl
import subprocess
import time

import pytest

import imgrec
from small_server import SmallServer

DOCUMENT = b'{"v":1,"job":"j","labels":[{"index":1,"wnid":"","label":"%s","score":0.9}]}'
PROBLEM = b'{"type":"/docs/errors/overloaded","title":"Overloaded","status":503,"code":"overloaded","detail":"","retryable":true}'


def goldfish(request):
    """Every image is one, in each dialect."""
    if request.path == "/v1/status":
        return 404, "text/plain", b""
    content_type = request.headers.get("content-type", "")
    if "multipart" not in content_type:
        return 200, "application/json", DOCUMENT % b"goldfish"
    parts = request.parts()
    if parts[0][0] == "inputFile":
        return 200, "text/plain", parts[0][1].split(".")[0].encode() + b":goldfish"
    if parts[0][0] == "myfile":
        return 200, "text/plain", b"goldfish\n"
    return 200, "application/json", b'{"results":[' + b",".join(DOCUMENT % b"goldfish" for _ in parts) + b"]}"


@pytest.fixture
def photos(tmp_path):
    """Five files that begin as JPEGs do."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        (folder / f"photo {i}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes([i]) * 1000)
    return folder


def load(*arguments, code=0, env=None):
    done = imgrec.run("load", *arguments, env=env)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def figures(*arguments, code=0, env=None):
    return json.loads(load("--json", "-", *arguments, code=code, env=env).stdout)


def sent(server):
    return [request for request in server.requests if request.path != "/v1/status"]


def test_each_photo_goes_once_with_its_name_and_bytes(photos):
    with SmallServer(goldfish) as server:
        told = figures("--url", server.url, photos, env={"IMGREC_API_KEY": "secret-key"})
    assert (told["ok"], told["failed"], told["images"], told["errors"]) == (5, 0, 5, {})
    requests = sorted(sent(server), key=lambda request: request.path)
    assert [request.path for request in requests] == [f"/v1/classify?name=photo%20{i}.jpg" for i in range(5)]
    assert [request.body for request in requests] == [path.read_bytes() for path in sorted(photos.iterdir())]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer secret-key"}
    assert told["latency_s"]["p50"] <= told["latency_s"]["p99.9"] == told["latency_s"]["max"] < 5
    assert told["service"]["problem"] and told["service"]["machines_max"] is None


def test_connections_are_kept_and_only_so_many(photos):
    with SmallServer(goldfish) as server:
        told = figures("--url", server.url, "--no-status", "--requests", 200, "--concurrency", 3, photos)
        assert server.connections == told["connections"] == 3
    assert told["ok"] == 200 and len(server.requests) == 200
    assert {request.path for request in server.requests} == {f"/v1/classify?name=photo%20{i}.jpg" for i in range(5)}


def test_batches_are_forms(photos):
    with SmallServer(goldfish) as server:
        told = figures("--url", server.url, "--batch", 2, photos)
    assert (told["ok"], told["images"]) == (3, 6)
    parts = [part for request in sent(server) for part in request.parts()]
    contents = {path.name: path.read_bytes() for path in photos.iterdir()}
    assert len(parts) == 6 and all(contents[name] == content for _, name, content in parts)
    assert {field for field, _, _ in parts} == {"images"}


def test_async_asks_until_the_result_is_there(photos):
    asked = {}

    def answer(request):
        if request.method == "POST":
            assert request.headers["prefer"] == "respond-async"
            name = request.path.rsplit("=")[-1]
            return 202, "application/json", f'{{"job":"{name}","status":"pending","location":"/v1/jobs/{name}"}}'.encode()
        asked[request.path] = asked.get(request.path, 0) + 1
        if asked[request.path] < 3:
            return 202, "application/json", b'{"status":"pending","state":"queued"}'
        return 200, "application/json", DOCUMENT % b"goldfish"

    with SmallServer(answer) as server:
        told = figures("--url", server.url, "--no-status", "--async", "--poll", "50ms", photos)
    assert told["ok"] == 5 and asked == {f"/v1/jobs/photo%20{i}.jpg": 3 for i in range(5)}
    assert told["latency_s"]["p50"] >= 0.15, "until the result, not until the 202"


def test_a_stall_shows_in_the_open_model_and_hides_in_the_closed_one(photos):
    """Coordinated omission: a client that waits for an answer before it sends the next request sees a stall once."""
    with SmallServer(goldfish, stall=(1, 1)) as server:
        told = figures("--url", server.url, "--no-status", "--rate", 100, "--duration", "3s", photos)
    assert told["model"] == "open" and 200 < told["ok"] < 400
    # A third of the requests was due during the stall: those waited for half of it on average.
    assert told["latency_s"]["p99"] > 0.7 and told["latency_s"]["p90"] > 0.3 and told["latency_s"]["p50"] < 0.3
    with SmallServer(goldfish, stall=(1, 1)) as server:
        told = figures("--url", server.url, "--no-status", "--concurrency", 1, "--duration", "2s", photos)
    assert told["latency_s"]["p99"] < 0.3 and told["latency_s"]["max"] > 0.9


def test_what_is_due_while_all_connections_are_busy_is_late_and_counts_from_then(photos):
    def slow(request):
        time.sleep(0.05)  # one at a time
        return goldfish(request)

    with SmallServer(slow) as server:
        told = figures("--url", server.url, "--no-status", "--rate", 60, "--duration", "1s", "--concurrency", 2, photos)
        assert server.connections == 2
    assert told["late"] > 10 and told["latency_s"]["max"] >= told["latest_s"] > 0.2


def test_arrivals_come_from_a_trace_and_the_warm_up_is_apart(photos, tmp_path):
    trace = tmp_path / "calls.csv"
    trace.write_text("at_s,count\n0,20\n1,40\n2,0\n")
    with SmallServer(goldfish) as server:
        told = figures("--url", server.url, "--no-status", "--trace", trace, "--scale", 2, "--warmup", "1s", photos)
    assert (told["ok"], told["warmup"]) == (80, 40) and len(server.requests) == 120
    assert 0.9 < told["seconds"] < 5


def test_errors_are_told_by_their_kind(photos):
    def answer(request):
        if "photo%200" in request.path:
            return None
        if "photo%201" in request.path:
            return 503, "application/problem+json", PROBLEM
        if "photo%202" in request.path:
            return b"SSH-2.0-OpenSSH\r\n\r\n"
        if "photo%203" in request.path:
            return 200, "application/json", b'{"v":1,"error":{"code":"image_truncated"}}'
        if "photo%204" in request.path:
            return 200, "application/json", b'{"v":1,"name":"photo 3.jpg","labels":[{"label":"carp"}]}'
        return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + \
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(DOCUMENT % b"carp"), DOCUMENT % b"carp")

    (photos / "photo 5.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with SmallServer(answer) as server:
        told = figures("--url", server.url, "--no-status", photos, code=1)
    assert (told["ok"], told["failed"]) == (1, 5)
    assert told["errors"] == {"wrong_answer": 1, "connection_lost": 1, "http_503 overloaded": 1, "bad_response": 1, "image_truncated": 1}


def test_where_nobody_listens_it_exits_with_3(photos):
    with SmallServer(goldfish) as server:
        url = server.url
    told = figures("--url", url, photos, code=3)
    assert told["errors"] == {"connect_failed": 5} and told["latency_s"]["p50"] is None
    load("--url", "http://no-such-host.invalid", photos, code=3)


def test_a_request_that_takes_too_long_is_given_up(photos):
    def never(request):
        return b""

    with SmallServer(never) as server:
        begin = time.monotonic()
        told = figures("--url", server.url, "--no-status", "--timeout", "300ms", photos, code=3)
    assert told["errors"] == {"timeout": 5} and time.monotonic() - begin < 10


def test_https_is_verified(photos, tmp_path):
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    large = photos / "large.jpg"
    large.write_bytes(b"\xff\xd8\xff\xe0" + bytes(3_000_000))  # more than a socket takes at once
    with SmallServer(goldfish, tls=context) as server:
        told = figures("--url", server.url, "--ca", certificate, "--requests", 60, "--concurrency", 4, photos)
        assert (told["ok"], told["failed"], told["connections"]) == (60, 0, 4)
        assert {len(request.body) for request in sent(server)} == {1004, 3_000_004}
        assert figures("--url", server.url, photos, code=3)["errors"] == {"tls_failed": 6}
        wrong_name = server.url.replace("127.0.0.1", "localhost")
        assert figures("--url", wrong_name, "--ca", certificate, photos, code=3)["errors"] == {"tls_failed": 6}
        load("--url", server.url, "--ca", key, photos, code=2)
    with SmallServer(goldfish) as server:  # where nobody speaks TLS
        assert figures("--url", server.url.replace("http:", "https:"), "--no-status", "--timeout", "500ms", photos, code=3)["failed"] == 6


def test_fail_if_decides_the_exit_code(photos, tmp_path):
    right = tmp_path / "right.csv"
    right.write_text('Image,Results\nphoto 0,goldfish\nphoto 1,"goldfish"\nphoto 2.jpg,carp\nphoto 3,goldfish\nelse,x\n')

    def answer(request):
        return (500, "text/plain", b"") if "photo%204" in request.path else goldfish(request)

    with SmallServer(answer) as server:
        flags = ("--url", server.url, "--no-status", "--predictions", right, photos)
        told = figures(*flags, code=1)
        assert (told["accuracy"], told["correct"], told["wrong"]) == (0.75, 3, 1)
        assert "75.00 %" in load(*flags, code=1).stdout
        told = figures(*flags, "--fail-if", "p99>10s", "--fail-if", "accuracy<0.8", "--fail-if", "failed>0", code=4)
        assert told["failed_conditions"] == ["accuracy<0.8", "failed>0"]
        load(*flags, "--fail-if", "failed>1", "--fail-if", "accuracy<75%", code=0)


def test_one_line_of_csv_for_each_request(photos, tmp_path):
    out = tmp_path / "out.csv"
    with SmallServer(goldfish) as server:
        load("--url", server.url, "--csv", out, photos)
    rows = list(csv.DictReader(out.open()))
    assert sorted(row["name"] for row in rows) == [f"photo {i}.jpg" for i in range(5)]
    assert {(row["status"], row["label"], row["images"], row["ok"], row["error"]) for row in rows} == {("200", "goldfish", "1", "1", "")}
    assert all(float(row["ended_s"]) >= float(row["sent_s"]) >= float(row["intended_s"]) for row in rows)


def test_the_lines_of_the_generator_of_2021(photos):
    with SmallServer(lambda request: (500, "text/plain", b"no") if request.parts()[0][1] == "photo 1.jpg" else goldfish(request)) as server:
        done = load("--no-status", "--num_request", 3, "--url", server.url + "/any/index.php", "--image_folder", f"{photos}/", code=1)
    # The text of an answer is printed as it came, with its line end.
    for i in (0, 2):
        assert f"photo {i}.jpg uploaded!\nClassification result: goldfish\n\n" in done.stdout
    assert f"sendErr: {server.url}/any/index.php\n" in done.stdout and len(done.stdout.splitlines()) == 7
    assert "2 ok, 1 failed" in done.stderr
    assert [(request.path, request.parts()[0][0]) for request in server.requests] == [("/any/index.php", "myfile")] * 3


def test_the_lines_of_the_generator_of_2026(photos, tmp_path):
    right = tmp_path / "right.csv"
    right.write_text("Image,Results\nphoto 0,goldfish\nphoto 1,carp\nphoto 2,goldfish\nphoto 3,goldfish\nphoto 4,goldfish\n")
    refused = []

    def answer(request):
        name = request.parts()[0][1]
        if name == "photo 2.jpg" and not refused:
            refused.append(name)
            return None  # the generator sends again what had no answer
        return (500, "text/plain", b"") if name == "photo 3.jpg" else goldfish(request)

    with SmallServer(answer) as server:
        done = load("--no-status", "--ip_addr", server.url + "/", "--num_request", 5, "--image_folder", photos, "--prediction_file", right, code=1)
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("[Workload-gen] ---") and "[Workload-gen] Attempt-2 4/5 requests successful." in lines
    assert f"sendErr: {server.url}/" in lines and any(line.startswith("Exception: ") for line in lines)
    for line in ("Total number of requests: 5", "Total number of requests completed successfully: 4", "Total number of failed requests: 1",
                 "Total number of correct predictions : 3", "Total number of wrong predictions: 1"):
        assert f"[Workload-gen] {line}" in lines, done.stdout
    assert {(request.path, request.parts()[0][0]) for request in server.requests} == {("/", "inputFile")}
    assert "4 ok, 1 failed" in done.stderr


def test_a_terminal_shows_how_it_stands(photos):
    ours, its = os.openpty()
    with SmallServer(goldfish) as server:
        process = subprocess.Popen([imgrec.BINARY, "load", "--url", server.url, "--no-status", "--rate", "40", "--duration", "1s", str(photos)],
                                   env=imgrec.environment(), stdout=subprocess.PIPE, stderr=its, text=True)
        out, _ = process.communicate(timeout=20)
    os.close(its)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert re.search(r"0\.\d s  \d+ ok  0 failed  \d+ under way  \d+\.\d images/s", shown), shown
    assert "requests" in out and "under way" not in out and shown.endswith("\x1b[K"), "the line is gone at the end"


def test_ctrl_c_ends_with_the_figures_so_far(photos):
    with SmallServer(goldfish) as server:
        process = subprocess.Popen([imgrec.BINARY, "load", "--url", server.url, "--rate", "50", "--duration", "1h", "--json", "-", str(photos)],
                                   env=imgrec.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        imgrec.wait_until(lambda: len(sent(server)) > 10, what="requests")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    told = json.loads(out)
    assert process.returncode == 130 and told["interrupted"] and told["ok"] > 5


def test_what_is_wrong_is_said(photos, tmp_path):
    assert "http://" in load("--url", "127.0.0.1:8000", photos, code=2).stderr
    assert "--rate" in load("--rate", "many", photos, code=2).stderr
    assert "one of" in load("--rate", 1, "--ramp", "1..2", photos, code=2).stderr
    assert "--trace" in load("--scale", 2, photos, code=2).stderr
    assert "1..200" in load("--ramp", "5", photos, code=2).stderr
    assert "p98" in load("--fail-if", "p98>1s", photos, code=2).stderr
    assert "--predictions" in load("--fail-if", "accuracy<1", photos, code=2).stderr
    assert "--batch" in load("--dialect", 2021, "--batch", 2, photos, code=2).stderr
    bad = tmp_path / "bad.csv"
    bad.write_text("name,label\n")
    assert "bad.csv:1" in load("--predictions", bad, photos, code=2).stderr
    assert "nothing to send" in load(code=2).stderr
