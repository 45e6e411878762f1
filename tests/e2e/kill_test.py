"""Nothing is lost and nothing mixed up while workers are killed: every client gets the answer to its own photo, once."""
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import signal
import threading
import time

import pytest

import imgrec

MODEL = "mobilenetv2-tf2"  # the quickest of the models at hand
CONNECTIONS = 100
CRASH_WORKER = imgrec.program("crash_worker")
# Leases end soon, so that a killed worker's images are tried again soon; and being killed often is not being poison.
SOON = {"IMGREC_QUEUE_VISIBILITY": "2s", "IMGREC_WORKER_ATTEMPTS_MAX": "100", "IMGREC_MODEL_NAME": MODEL}


def environment(**more):
    return SOON | {"IMGREC_MODEL_DIR": str(imgrec.model_dir(MODEL, "tf"))} | more


@pytest.fixture(scope="session")
def photos():
    """name → bytes; each name differs, so that a mixed-up answer shows."""
    files = sorted(imgrec.shared("photos/test").glob("*.JPEG"))
    return {f"{round}_{file.name}": file.read_bytes() for round in range(2) for file in files}


@pytest.fixture(scope="session")
def expected(photos):
    """name → the first label that `imgrec classify` gives."""
    done = imgrec.run("classify", "--json", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf"),
                      imgrec.shared("photos/test"), timeout=300)
    by_file = {pathlib.Path(line["file"]).name: line["labels"][0]["label"]
               for line in map(json.loads, done.stdout.splitlines()) if "labels" in line}
    return {name: by_file[name.split("_", 1)[1]] for name in photos}


def upload_all(service, photos):
    """name → result document, over CONNECTIONS connections at once."""
    def one(item):
        status, result = service.classify(*item, timeout=600)
        assert status == 200, result
        return item[0], result
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        return dict(pool.map(one, photos.items()))


def check(service, answers, expected):
    assert answers.keys() == expected.keys(), "a client went without an answer"
    mixed_up = {name: result["name"] for name, result in answers.items() if result["name"] != name}
    assert not mixed_up
    wrong = {name: (result["labels"][0]["label"], expected[name]) for name, result in answers.items()
             if result["labels"][0]["label"] != expected[name]}
    assert not wrong
    jobs = collections.Counter(result["job"] for result in answers.values())
    assert len(jobs) == len(expected) and set(jobs.values()) == {1}, "two clients got the same job's answer"
    # What is stored is what was answered, also for whoever asks again.
    for result in answers.values():
        status, _, body = service.request("GET", "/v1/jobs/" + result["job"])
        stored = json.loads(body)
        assert status == 200 and stored["labels"] == result["labels"] and stored["name"] == result["name"]


def test_workers_killed_at_random(photos, expected):
    with imgrec.Service("local", "--max-workers", "2", env=environment()) as service:
        done = threading.Event()
        killed = 0

        def killer():
            nonlocal killed
            dice = random.Random(1)
            while not done.wait(dice.uniform(0.4, 1.5)):
                if victims := service.children():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(dice.choice(victims), signal.SIGKILL)
                        killed += 1

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            answers = upload_all(service, photos)
        finally:
            done.set()
            thread.join()
        assert killed >= 2, "the test killed nobody"
        check(service, answers, expected)


@pytest.mark.parametrize("step", ["received", "parsed", "fetched", "classified", "stored", "answered", "removed"])
def test_workers_killed_at_each_step(step, photos, expected):
    """Each worker dies when it comes to the step for the fifth time: two workers and 24 images make three deaths or more."""
    few = dict(list(photos.items())[:24])
    env = environment(IMGREC_TEST_CRASH=f"{step}:5", IMGREC_LOCAL_WORKER_EXECUTABLE=CRASH_WORKER)
    with imgrec.Service("local", "--max-workers", "2", env=env) as service:
        answers = upload_all(service, few)
        check(service, answers, {name: expected[name] for name in few})
        imgrec.wait_until(lambda: service.log().count("signal 9") >= 3, 30, "three killed workers")


def test_an_image_that_kills_its_worker_takes_no_other_with_it(photos, expected):
    """Eight threads, one image at which every worker dies: it alone gets an error, once it was tried often enough."""
    few = dict(list(photos.items())[:60])
    guilty = next(iter(few.values())) + b"kills its worker"  # after the end of the image
    env = environment(IMGREC_TEST_CRASH_IMAGE="kills its worker", IMGREC_LOCAL_WORKER_EXECUTABLE=CRASH_WORKER,
                      IMGREC_WORKER_ATTEMPTS_MAX="2", IMGREC_LOCAL_WORKER_THREADS="8", IMGREC_QUEUE_VISIBILITY="30s",
                      IMGREC_CONTROLLER_START_PAUSE_MIN="100ms")
    with imgrec.Service("local", "--max-workers", "1", env=env) as service:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            verdict = pool.submit(service.classify, "guilty.jpg", guilty, 600)
            answers = upload_all(service, few)
            status, document = verdict.result(600)
        assert status != 200 and document["code"] == "poison", document
        check(service, answers, expected={name: expected[name] for name in few})
        deaths = service.log().count("signal 9")
        assert deaths == 1 + 2, "once among others, then alone as often as it may be tried"


def test_what_a_killed_worker_held_comes_back_at_once(photos, expected):
    few = dict(list(photos.items())[:100])
    env = environment(IMGREC_QUEUE_VISIBILITY="60s")
    with imgrec.Service("local", "--max-workers", "2", env=env) as service:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            begin = time.monotonic()
            everything = pool.submit(upload_all, service, few)
            imgrec.wait_until(lambda: len(service.children()) == 2 and "job done" in service.log(), what="workers at work")
            os.kill(service.children()[0], signal.SIGKILL)
            answers = everything.result(300)
        assert time.monotonic() - begin < 45, "it waited for the lease"
        check(service, answers, {name: expected[name] for name in few})


def test_everything_killed_then_started_again(photos, expected):
    """What was accepted before kill -9 of the whole service is answered by the next one on the same folder."""
    few = dict(list(photos.items())[:30])
    with imgrec.Service("local", "--max-workers", "2", env=environment()) as first:
        jobs = {}
        for name, image in few.items():
            status, headers, body = first.request("POST", f"/v1/classify?name={name}", image,
                                                  {"Content-Type": "image/jpeg", "Prefer": "respond-async"})
            assert status == 202, body
            jobs[name] = headers["location"]
        workers = first.children()
        first.process.kill()
        first.process.wait()
        killed_at = time.monotonic()
        imgrec.wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers), 5, "the workers' end")
        assert time.monotonic() - killed_at < 5
        with imgrec.Service("local", "--max-workers", "2", state_dir=first.state_dir, env=environment()) as second:
            for name, location in jobs.items():
                def answered():
                    status, _, body = second.request("GET", location)
                    result = json.loads(body)
                    return result if status == 200 and "labels" in result else None
                result = imgrec.wait_until(answered, 120, f"the result of {name}")
                assert result["name"] == name and result["labels"][0]["label"] == expected[name]
