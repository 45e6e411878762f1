"""What the reference workload generators do: 100 connections at once, from zero workers, each held until its label."""
import concurrent.futures
import json
import pathlib
import socket

import imgrec

MODEL = "mobilenetv2-tf2"


def service(*flags, **env):
    return imgrec.Service("local", "--max-workers", "2", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf"),
                          *flags, env=env)


def expected_labels():
    done = imgrec.run("classify", "--json", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf"),
                      imgrec.shared("photos/test"), timeout=300)
    return {pathlib.Path(line["file"]).name: line["labels"][0]["label"]
            for line in map(json.loads, done.stdout.splitlines()) if "labels" in line}


def upload_hundred(running, field, path):
    files = sorted(imgrec.shared("photos/test").glob("*.JPEG"))
    assert len(files) == 100

    def one(file):
        return file.name, running.upload([(field, file.name, file.read_bytes())], path, timeout=900)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        return dict(pool.map(one, files))


def test_a_hundred_uploads_from_zero_workers_in_both_dialects():
    expected = expected_labels()
    with service() as running:
        assert running.children() == []
        answers = upload_hundred(running, "myfile", "/some/given/path")
        assert {name: (status, body.decode()) for name, (status, _, body) in answers.items()} == \
               {name: (200, label) for name, label in expected.items()}
        assert all(headers["content-type"].startswith("text/plain") for _, headers, _ in answers.values())

        answers = upload_hundred(running, "inputFile", "/")
        assert {name: (status, body.decode()) for name, (status, _, body) in answers.items()} == \
               {name: (200, f"{pathlib.Path(name).stem}:{label}") for name, label in expected.items()}
        assert len(running.children()) <= 2


def test_workers_go_when_the_queue_is_empty_and_come_back():
    photo = (imgrec.shared("photos/test") / "test_0.JPEG").read_bytes()
    with service("--controller-idle-cooldown", "500ms", "--controller-interval", "100ms") as running:
        assert running.classify("a.jpg", photo)[0] == 200
        imgrec.wait_until(lambda: running.children() == [], 30, "the workers' end")
        assert running.classify("b.jpg", photo)[0] == 200


def test_a_half_closed_client_still_gets_its_label():
    """Some generators shut their side down after the request."""
    photo = (imgrec.shared("photos/test") / "test_0.JPEG").read_bytes()
    body, content_type = imgrec.multipart([("inputFile", "test_0.JPEG", photo)])
    with service() as running, socket.create_connection(running.address, timeout=120) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.split(b"\r\n\r\n", 1)[1].startswith(b"test_0:")


def test_bad_images_get_clear_errors():
    photo = (imgrec.shared("photos/test") / "test_0.JPEG").read_bytes()
    with service() as running:
        status, _, body = running.upload([("myfile", "notes.txt", b"just some text")], "/")
        assert status == 415 and b"JPEG" in body
        status, document = running.classify("cut.jpg", photo[:len(photo) // 2])
        assert status == 422 and document["code"] == "image_truncated", document
        # An image after it is not affected.
        assert running.classify("whole.jpg", photo)[0] == 200


def test_the_same_over_fifo_queues():
    files = sorted(imgrec.shared("photos/test").glob("*.JPEG"))[:6]
    with service("--queue-fifo") as running:
        parts = [("image", file.name, file.read_bytes()) for file in files]
        status, _, body = running.upload(parts, headers={"X-Session-Id": "one-session"})
        assert status == 200, body
        assert [result["name"] for result in json.loads(body)["results"]] == [file.name for file in files]
        assert "level=warning" not in running.log() and "response did not come" not in running.log()
