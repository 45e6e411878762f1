"""The long-running commands: start, signals, locks, workers."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import pytest

import imgrec

MODEL = "resnet18-pqf"


@pytest.fixture(scope="module")
def model_flags():
    return "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL)


@pytest.fixture(scope="module")
def photo():
    return sorted(imgrec.shared("photos/test").glob("*.JPEG"))[0].read_bytes()


def test_local_answers_photos_and_drains_on_sigterm(model_flags, photo):
    with imgrec.Service("local", *model_flags, "--max-workers", "1") as service:
        status, result = service.classify("a photo.jpg", photo)
        assert status == 200 and result["name"] == "a photo.jpg" and result["labels"], result
        assert len(service.children()) == 1
        worker = service.children()[0]
        assert service.state_dir.stat().st_mode & 0o777 == 0o700
        assert service.stop() == 0
        assert not os.path.exists(f"/proc/{worker}")
    assert "imgrec local: http://" in service.log() and MODEL in service.log()


def test_sigint_ends_with_130(model_flags):
    with imgrec.Service("local", *model_flags) as service:
        assert service.stop(signal.SIGINT) == 130
    with imgrec.Service("web") as service:
        assert service.stop(signal.SIGINT) == 130


@pytest.mark.parametrize("role", ["web", "local"])
@pytest.mark.parametrize("bind,warns", [("127.0.0.1", 0), ("0.0.0.0", 1)])
def test_it_warns_when_it_listens_for_other_machines(role, bind, warns, model_flags):
    with imgrec.Service(role, "--bind", bind, *(model_flags if role == "local" else ())) as service:
        assert service.stop() == 0
    assert service.log().count("no authentication") == warns
    assert not warns or "level=warning" in next(line for line in service.log().splitlines() if "no authentication" in line)


@pytest.mark.parametrize("role", ["web", "worker", "controller"])
def test_each_role_alone_starts_and_drains(role, model_flags):
    with imgrec.Service(role, *(model_flags if role != "web" else ())) as service:
        assert service.stop() == 0, service.log()


@pytest.mark.parametrize("role", ["local", "web", "worker", "controller"])
def test_each_role_may_open_as_many_files_as_the_system_allows(role, model_flags):
    service = imgrec.Service(role, *(model_flags if role != "web" else ()))
    with imgrec.open_files_limit(256):
        service.start(ready=False)
    with service:
        service.wait_ready()
        limits = open(f"/proc/{service.process.pid}/limits").read()
        soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
        assert soft == hard and "may not open enough files" not in service.log()


def test_a_proxy_may_pass_its_own_host_or_the_public_one():
    origin = "https://photos.example:8443"
    with imgrec.Service("web", env={"IMGREC_WEB_PUBLIC_URL": origin}) as service:
        for headers in ({"Host": "photos.example:8443", "Origin": origin},
                        {"Host": "127.0.0.1:8000", "Origin": origin},
                        {"Host": "upstream.localhost", "Origin": "https://else.example", "Sec-Fetch-Site": "same-origin"}):
            assert service.request("POST", "/reset", headers=headers)[0] == 200, headers
        for headers, status in (({"Host": "127.0.0.1:8000", "Origin": "https://else.example"}, 403),
                                ({"Host": "else.example"}, 421)):
            answered, _, body = service.request("POST", "/reset", headers=headers)
            assert answered == status, body


def metrics_port(service):
    return int(service.wait_for_log(r"metrics listening.*port=(\d+)").group(1))


def scrape(port, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("role", ["web", "worker", "controller"])
def test_each_role_shows_its_metrics_where_a_port_is_given(role, model_flags):
    with imgrec.Service(role, *(model_flags if role != "web" else ()), "--metrics-port", "0") as service:
        port = metrics_port(service)
        assert scrape(port, "/healthz") == "ok\n"
        assert f"imgrec_{role}_" in scrape(port)
        if role == "controller":
            decision = imgrec.wait_until(lambda: json.loads(scrape(port, "/decisions"))["decisions"], what="a decision")[0]
            assert decision["wanted"] == 0 and decision["queue"]["visible"] == 0 and decision["why"]
        assert service.stop() == 0, service.log()


def test_local_shows_the_metrics_of_its_workers_while_they_live(model_flags, photo):
    with imgrec.Service("local", *model_flags, "--min-workers", "2", "--max-workers", "2", "--metrics-file-interval", "100ms") as service:
        assert service.classify("a.jpg", photo)[0] == 200

        def tiers():
            text = service.request("GET", "/metrics")[2].decode()
            assert text.count("# TYPE imgrec_worker_") == len(set(re.findall("# TYPE (imgrec_worker_\\S+)", text)))
            return set(re.findall(r'imgrec_worker_\w+\{worker="i-\w+",app_tier_id="([^"]+)"', text))

        imgrec.wait_until(lambda: tiers() == {"app-tier-1", "app-tier-2"}, what="the metrics of both workers")
        hung, killed = service.children()
        os.kill(hung, signal.SIGSTOP)
        imgrec.wait_until(lambda: len(tiers()) == 1, what="the end of the metrics of the worker that hangs")
        os.kill(hung, signal.SIGCONT)
        imgrec.wait_until(lambda: len(tiers()) == 2, what="the metrics of the worker that works again")
        os.kill(killed, signal.SIGKILL)
        imgrec.wait_until(lambda: killed not in service.children() and len(tiers()) == 2, what="the metrics of the worker in its place")
        assert service.stop() == 0


def test_a_second_signal_ends_at_once(model_flags, photo):
    # No worker runs: the client waits, so that the drain would take its whole time.
    with imgrec.Service("web", "--web-drain-timeout", "10m") as service:
        body, content_type = imgrec.multipart([("myfile", "x.jpg", photo)])
        import http.client
        client = http.client.HTTPConnection(*service.address, timeout=120)
        client.request("POST", "/", body, {"Content-Type": content_type})
        imgrec.wait_until(lambda: b"imgrec_web_waiting_clients 1\n" in service.request("GET", "/metrics")[2], what="the waiting client")
        service.send_signal(signal.SIGTERM)
        service.wait_for_log("draining")
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 128 + signal.SIGTERM
        client.close()


def test_one_local_per_state_folder(model_flags, tmp_path):
    with imgrec.Service("local", *model_flags, state_dir=tmp_path) as service:
        second = imgrec.run("local", "--state-dir", tmp_path, "--port", "0", *model_flags)
        assert second.returncode == 2 and "Another `imgrec local` runs" in second.stderr
        same_node = imgrec.run("web", "--state-dir", tmp_path, "--port", "0")
        assert same_node.returncode == 2 and "--node" in same_node.stderr
        assert service.process.poll() is None
    with imgrec.Service("local", *model_flags, state_dir=tmp_path) as service:
        assert service.stop() == 0


def test_a_taken_port_is_said(model_flags):
    with imgrec.Service("web") as service:
        second = imgrec.run("web", "--port", service.address[1], "--state-dir", service.state_dir)
        assert second.returncode in (2, 3) and str(service.address[1]) in second.stderr


def test_local_without_its_model_says_how_to_get_it(tmp_path):
    done = imgrec.run("local", "--state-dir", tmp_path, "--port", "0")
    assert done.returncode == 2 and "imgrec model pull resnet18" in done.stderr
    done = imgrec.run("local", "--state-dir", tmp_path, "--port", "0", "--model", "efficientnet-lite0")
    assert done.returncode == 2 and "efficientnet-lite0" in done.stderr


def test_a_worker_by_hand_beside_web(model_flags, photo, tmp_path):
    with imgrec.Service("web", state_dir=tmp_path) as web:
        with imgrec.Service("worker", "--threads", "1", *model_flags, state_dir=tmp_path) as worker:
            status, result = web.classify("x.jpg", photo)
            assert status == 200 and result["labels"], result
            assert worker.stop() == 0


def test_a_controller_beside_web_has_workers_of_its_own(model_flags, photo, tmp_path):
    with imgrec.Service("web", state_dir=tmp_path) as web:
        with imgrec.Service("controller", "--max-workers", "1", "--interval", "200ms", *model_flags,
                            state_dir=tmp_path) as controller:
            status, result = web.classify("x.jpg", photo)
            assert status == 200 and result["worker"]["app_tier_id"] == "app-tier-1", result
            assert controller.stop() == 0


def test_settings_reach_the_workers_whatever_they_came_from(model_flags, photo, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[model]\nlabels = "reference"\n[image]\nbytes_max = "30MiB"\n[web]\nbody_bytes_max = "90MiB"\n')
    with imgrec.Service("local", *model_flags, "--config", file, "--max-workers", "1", "--local-worker-threads", "2",
                        env={"IMGREC_MODEL_LABELS": "names"}) as service:
        assert service.classify("x.jpg", photo)[0] == 200
        child = service.children()[0]
        given = dict(entry.split("=", 1) for entry in
                     open(f"/proc/{child}/environ", errors="replace").read().split("\0") if "=" in entry)
        assert given["IMGREC_IMAGE_BYTES_MAX"] == "30MiB" and given["IMGREC_WEB_BODY_BYTES_MAX"] == "90MiB"
        assert given["IMGREC_MODEL_LABELS"] == "names" and given["IMGREC_WORKER_THREADS"] == "2"
        assert given["IMGREC_CONFIG"] == ""
        assert open(f"/proc/{child}/cmdline").read().split("\0")[1:2] == ["worker"]


def test_a_second_life_goes_on_with_what_was_queued(model_flags, photo, tmp_path):
    with imgrec.Service("web", state_dir=tmp_path) as web:
        body, content_type = imgrec.multipart([("myfile", "x.jpg", photo)])
        status, headers, _ = web.request("POST", "/v1/classify", body,
                                         {"Content-Type": content_type, "Prefer": "respond-async"})
        assert status == 202
    with imgrec.Service("local", *model_flags, "--max-workers", "1", state_dir=tmp_path) as service:
        def answered():
            status, _, body = service.request("GET", headers["location"])
            return status == 200 and json.loads(body).get("labels")
        assert imgrec.wait_until(answered, what="the answer of the first life's image")


def test_workers_are_called_imgrec(model_flags, photo):
    with imgrec.Service("local", *model_flags, "--max-workers", "1") as service:
        assert service.classify("x.jpg", photo)[0] == 200
        worker = pathlib.Path(f"/proc/{service.children()[0]}")
        assert (worker / "comm").read_text() == "imgrec\n"
        assert (worker / "cmdline").read_bytes().split(b"\0")[:2] == [b"imgrec", b"worker"]


def test_workers_end_with_a_killed_parent(model_flags, photo):
    with imgrec.Service("local", *model_flags, "--max-workers", "1") as service:
        assert service.classify("x.jpg", photo)[0] == 200
        worker = service.children()[0]
        service.process.kill()
        service.wait()
        imgrec.wait_until(lambda: not os.path.exists(f"/proc/{worker}"), 10, "the worker's end")


def test_workers_that_fail_to_start_are_said_and_do_not_spin(model_flags, photo, tmp_path):
    with imgrec.Service("local", *model_flags, "--local-worker-executable", "/bin/false", "--interval", "50ms") as service:
        body, content_type = imgrec.multipart([("myfile", "x.jpg", photo)])
        status, _, _ = service.request("POST", "/v1/classify", body,
                                       {"Content-Type": content_type, "Prefer": "respond-async"})
        assert status == 202
        service.wait_for_log("level=(warning|error)")
        begin, before = time.monotonic(), service.log().count("instance launched")
        imgrec.wait_until(lambda: time.monotonic() - begin > 3, 10)
        assert service.log().count("instance launched") - before <= 12
        assert service.stop() == 0


def test_a_worker_without_its_model_tells_the_web_tier_why_until_one_starts(model_flags, tmp_path):
    with imgrec.Service("web", state_dir=tmp_path) as web:
        failed = imgrec.run("worker", "--state-dir", tmp_path, "--model", "no-such-model", "--model-dir", model_flags[3])
        assert failed.returncode == 4, failed.stderr
        assert failed.stderr.count("no-such-model") >= 1 and "worker cannot start" in failed.stderr

        def readiness():
            status, _, body = web.request("GET", "/readyz")
            return status, body.decode()
        imgrec.wait_until(lambda: readiness()[0] == 503 and "no-such-model" in readiness()[1], 30, "/readyz to say why")
        with imgrec.Service("worker", *model_flags, state_dir=tmp_path):
            imgrec.wait_until(lambda: readiness()[0] == 200, 30, "readiness")
            assert not (tmp_path / "objects/status/worker-start").exists()


def test_json_logs_are_json_to_the_last_line(model_flags):
    with imgrec.Service("local", *model_flags, "--log-format", "json") as service:
        service.stop()
        lines = [json.loads(line) for line in service.log().splitlines()]
    assert any(line["msg"] == "ready" and line["address"].startswith("http://") for line in lines)
