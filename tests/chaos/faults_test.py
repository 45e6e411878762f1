"""The service while something beneath it breaks: nothing accepted is lost, health answers, and the log says what to do."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest

import imgrec

MODEL = "mobilenetv2-tf2"  # the quickest of the models at hand
PROMPT = 5.0  # seconds: health answers within 0.05 on an idle machine; a busy one gets a hundred times as long


@pytest.fixture(scope="module")
def model_flags():
    return "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf")


@pytest.fixture(scope="module")
def photo():
    return sorted(imgrec.shared("photos/test").glob("*.JPEG"))[0].read_bytes()


def local(model_flags, *flags, **more):
    return imgrec.Service("local", "--max-workers", "1", *model_flags, *flags, **more)


@contextlib.contextmanager
def in_background(function, *arguments):
    """Runs it in a thread; gives the future."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool.submit(function, *arguments)


def healthy(service):
    begin = time.monotonic()
    status, _, _ = service.request("GET", "/healthz", timeout=PROMPT)
    assert status == 200 and time.monotonic() - begin < PROMPT


def serves(service, photo):
    """Health and images, while many connections are open."""
    for _ in range(5):
        healthy(service)
    begin = time.monotonic()
    assert service.classify("x.jpg", photo, timeout=20)[0] == 200
    assert time.monotonic() - begin < 20


def is_ready(service):
    status, _, body = service.request("GET", "/readyz", timeout=PROMPT)
    return status == 200, body.decode()


def dead_letters(state_dir):
    """How many messages lie in the dead-letter queue of a state folder."""
    with contextlib.closing(sqlite3.connect(f"file:{state_dir / 'queue.sqlite'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM messages JOIN queues ON queues.id = messages.queue "
                                "WHERE queues.name = 'imgrec-dead'").fetchone()[0]


@contextlib.contextmanager
def mounted_folder(size="64m"):
    """A file system of its own, which can be made read-only."""
    folder = tempfile.mkdtemp(prefix="imgrec-mounted-")
    made = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder],
                                                capture_output=True).returncode == 0
    if not made:
        os.rmdir(folder)
        pytest.skip("mounting a file system needs root and the right to mount")
    try:
        yield pathlib.Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        os.rmdir(folder)


def remount(folder, how):
    """Read-only also beneath files that are open for writing, as a file system does after an error of its disk."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def test_the_object_folder_removed_while_running_is_made_anew(model_flags, photo):
    with local(model_flags) as service:
        assert service.classify("before.jpg", photo)[0] == 200
        objects = service.state_dir / "objects"

        def removed():  # the photo's own end may come into it meanwhile
            shutil.rmtree(objects, ignore_errors=True)
            return not objects.exists()
        imgrec.wait_until(removed, 10, "the folder's end")

        def answered():
            return service.classify("after.jpg", photo)[0] == 200
        imgrec.wait_until(answered, 30, "an answer after the folder's removal")
        imgrec.wait_until(lambda: is_ready(service)[0], 30, "readiness")


def test_a_read_only_object_store_is_an_outage_and_not_the_images_fault(model_flags, photo):
    with mounted_folder() as objects, tempfile.TemporaryDirectory(prefix="imgrec-test-") as state:
        state = pathlib.Path(state)
        (state / "objects").symlink_to(objects)
        env = {"IMGREC_QUEUE_VISIBILITY": "1s", "IMGREC_QUEUE_RECEIVES_MAX": "2"}
        with local(model_flags, state_dir=state, env=env) as service:
            assert service.classify("before.jpg", photo)[0] == 200
            worker = service.children()[0]
            os.kill(worker, signal.SIGSTOP)  # so that the image is accepted before the store breaks, and worked on after
            status, headers, body = service.request("POST", "/v1/classify?name=held.jpg", photo,
                                                    {"Content-Type": "image/jpeg", "Prefer": "respond-async"})
            assert status == 202, body
            remount(objects, "ro")
            os.kill(worker, signal.SIGCONT)
            imgrec.wait_until(lambda: not is_ready(service)[0], 30, "/readyz to say so")
            assert "read-only" in is_ready(service)[1].lower(), is_ready(service)
            status, document = service.classify("during.jpg", photo, timeout=60)
            assert status == 503 and document["code"] and document["detail"], document
            healthy(service)
            end = time.monotonic() + 8  # several leases
            while time.monotonic() < end:
                assert dead_letters(state) == 0
                time.sleep(0.5)
            remount(objects, "rw")

            def answered():
                status, _, body = service.request("GET", headers["location"])
                return status == 200 and json.loads(body).get("labels")
            imgrec.wait_until(answered, 60, "the answer of what was accepted before")
            imgrec.wait_until(lambda: is_ready(service)[0], 30, "readiness")
            assert dead_letters(state) == 0


def test_another_process_that_holds_the_queues_lock_only_delays(model_flags, photo):
    with local(model_flags) as service:
        assert service.classify("before.jpg", photo)[0] == 200
        other = sqlite3.connect(service.state_dir / "queue.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        with in_background(service.upload, [("myfile", "held.jpg", photo)], "/") as upload:
            while time.monotonic() - begin < 8:
                healthy(service)
                time.sleep(0.2)
            other.execute("ROLLBACK")
            other.close()
            released = time.monotonic()
            status, _, body = upload.result(60)
            assert status == 200, body
            assert time.monotonic() - released < 15


def test_a_damaged_model_is_said_to_everybody(model_flags, photo, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(imgrec.model_dir(MODEL, "tf") / MODEL, models / MODEL)
    with imgrec.Service("local", "--max-workers", "1", "--model", MODEL, "--model-dir", models) as service:
        weights = next((models / MODEL).glob("*.onnx"))
        weights.write_bytes(weights.read_bytes()[:1000])
        shutil.rmtree(service.state_dir / "cache", ignore_errors=True)
        with in_background(service.classify, "x.jpg", photo) as answer:
            status, document = answer.result(60)
            assert status == 503 and weights.name in json.dumps(document), document
        imgrec.wait_until(lambda: not is_ready(service)[0], 30, "/readyz to say so")
        assert weights.name in is_ready(service)[1]
        time.sleep(3)
        told = [line for line in service.log().splitlines() if "is damaged" in line]
        assert 1 <= len(told) <= 3, told


def test_silent_connections_hold_up_nobody(model_flags, photo):
    with local(model_flags, env={"IMGREC_WEB_CONNECTIONS_MAX": "200"}) as service, contextlib.ExitStack() as held:
        assert service.classify("before.jpg", photo)[0] == 200
        for _ in range(260):
            held.enter_context(contextlib.closing(socket.create_connection(service.address, timeout=10)))
        serves(service, photo)


def test_eleven_hundred_silent_connections_at_the_usual_settings_and_a_low_soft_limit(model_flags, photo):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2000:
        pytest.skip("the hard limit of open files is too low for this test")
    service = imgrec.Service("local", "--max-workers", "1", *model_flags)
    with imgrec.open_files_limit(256):
        service.start(ready=False)
    with service, imgrec.open_files_limit(2000), contextlib.ExitStack() as held:
        service.wait_ready()
        assert service.classify("before.jpg", photo)[0] == 200
        for _ in range(1100):
            held.enter_context(contextlib.closing(socket.create_connection(service.address, timeout=10)))
        serves(service, photo)


@pytest.mark.parametrize("framing", ["Content-Length: 67000000", "Transfer-Encoding: chunked"])
def test_uploads_that_promise_much_and_trickle_hold_up_nobody(framing, model_flags, photo):
    with local(model_flags) as service, contextlib.ExitStack() as held:
        assert service.classify("before.jpg", photo)[0] == 200
        tricklers = [held.enter_context(contextlib.closing(socket.create_connection(service.address, timeout=10)))
                     for _ in range(9)]
        for one in tricklers:
            one.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n{framing}\r\n\r\n".encode())
        done = threading.Event()

        def trickle():
            while not done.wait(0.2):
                for one in tricklers:
                    with contextlib.suppress(OSError):
                        one.sendall(b"1\r\nx\r\n")
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            for _ in range(5):
                begin = time.monotonic()
                assert service.classify("x.jpg", photo, timeout=15)[0] == 200
                assert time.monotonic() - begin < 15
                healthy(service)
        finally:
            done.set()
            thread.join()


def test_results_are_bounded_and_paged(model_flags, photo):
    with local(model_flags) as service:
        session = {"X-Session-Id": "pages", "Accept": "application/json"}
        for number in range(0, 60, 10):
            status, _, body = service.upload([("images", f"{number + i}.jpg", photo) for i in range(10)],
                                             "/v1/classify?top_k=1000", {"X-Session-Id": "pages"})
            assert status == 200, body[:200]
        seen, path, pages = [], "/results?limit=7", 0
        while path:
            status, headers, body = service.request("GET", path, headers=session)
            assert status == 200
            document = json.loads(body)
            assert len(document["results"]) <= 7
            seen += [result["name"] for result in document["results"]]
            cursor = document.get("next")
            path = f"/results?limit=7&cursor={cursor}" if cursor else None
            pages += 1
            assert pages < 30
        assert sorted(seen, key=lambda name: int(name[:-4])) == [f"{i}.jpg" for i in range(60)]


def test_readers_that_do_not_read_cost_nothing(model_flags, photo):
    with local(model_flags) as service, contextlib.ExitStack() as held:
        for _ in range(30):
            service.upload([("images", f"{i}.jpg", photo) for i in range(10)], "/v1/classify?top_k=1000", {"X-Session-Id": "big"})

        def resident():
            status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
            return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        before = resident()
        for _ in range(16):
            one = held.enter_context(contextlib.closing(socket.create_connection(service.address, timeout=10)))
            one.sendall(b"GET /results HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nX-Session-Id: big\r\n\r\n")
        for _ in range(10):
            healthy(service)
            time.sleep(0.1)
        assert resident() - before < 100_000, "KiB; the 300 results are some 25 MB, sixteen times that would be 400"


def test_a_suspended_worker_loses_its_lease_and_nothing_else(model_flags, photo):
    env = {"IMGREC_QUEUE_VISIBILITY": "2s"}
    with imgrec.Service("local", "--max-workers", "2", *model_flags, env=env) as service:
        names = [f"{i}.jpg" for i in range(40)]
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(service.classify, name, photo) for name in names]
            imgrec.wait_until(lambda: len(service.children()) == 2 and any(a.done() for a in answers), what="two workers")
            victim = service.children()[0]
            os.kill(victim, signal.SIGSTOP)
            for name, answer in zip(names, answers):
                status, document = answer.result(120)
                assert status == 200 and document["name"] == name and document["labels"], document
            os.kill(victim, signal.SIGCONT)
        assert service.classify("after.jpg", photo)[0] == 200
        assert dead_letters(service.state_dir) == 0


def test_sigterm_ends_a_service_whose_queue_is_locked(model_flags, photo):
    with local(model_flags, "--web-drain-timeout", "3s", "--worker-drain-timeout", "3s") as service:
        assert service.classify("before.jpg", photo)[0] == 200
        other = sqlite3.connect(service.state_dir / "queue.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with in_background(service.upload, [("myfile", "held.jpg", photo)], "/") as upload:
            imgrec.wait_until(lambda: b"imgrec_web_waiting_clients 1\n" in service.request("GET", "/metrics")[2], what="the client")
            service.send_signal(signal.SIGTERM)
            begin = time.monotonic()
            service.wait(30)
            assert time.monotonic() - begin < 30
            with contextlib.suppress(Exception):  # it was told so, or its connection ended
                upload.result(10)
        other.close()
