"""Workers that are too many are asked to stop while images come and go: none is lost, and none is delivered twice for it."""
import concurrent.futures
import os
import random
import re
import time

import pytest

import imgrec
import quick_model
import calls as counting  # found by quick_model

DRAINS = 200 if os.environ.get("IMGREC_TEST_LONG") else 10
SECONDS_MAX = 900


@pytest.fixture
def service(tmp_path):
    quick_model.install(tmp_path)
    quick = {"IMGREC_WORKER_SHUTDOWN_CHECK": "50ms", "IMGREC_CONTROLLER_INTERVAL": "50ms"}
    with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", tmp_path, "--max-workers", "4", "--policy", "drain-pool",
                        env=quick) as service:
        yield service


def figures(service):
    """Sums of the metrics that tell about drains and deliveries, over all processes that are or were there."""
    text = service.request("GET", "/metrics")[2].decode()
    return {name: sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (.*)$", text, re.M))
            for name in ("imgrec_controller_drains_asked_total", "imgrec_controller_drains_confirmed_total",
                         "imgrec_controller_drains_taken_back_total", "imgrec_controller_drains_overdue_total")}


def test_drains_under_load(service, tmp_path):
    images = [file.read_bytes() for file in map(imgrec.pathlib.Path, counting.small_images(tmp_path))]
    dice = random.Random(1)
    sent = 0

    def one(number):
        status, result = service.classify(f"{number}.png", images[number % len(images)], timeout=120)
        assert status == 200 and result["name"] == f"{number}.png", result
        return result["job"]

    jobs, begin = set(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        while figures(service)["imgrec_controller_drains_confirmed_total"] < DRAINS:
            assert time.monotonic() - begin < SECONDS_MAX, figures(service)
            burst = dice.choice((1, 5, 20, 60, 200))
            jobs.update(pool.map(one, range(sent, sent + burst)))
            sent += burst
            time.sleep(dice.choice((0, 0.1, 1.5)))
    assert len(jobs) == sent
    # Each job is logged with how often it was delivered.
    counts = [int(count) for count in re.findall(r"job done.*receive_count=(\d+)", service.log())]
    redelivered = [count for count in counts if count > 1]
    assert len(counts) == sent and not redelivered, redelivered
    seen = figures(service)
    print(sent, seen)
    assert seen["imgrec_controller_drains_overdue_total"] == 0, seen
    died = re.findall(r"signal (?:6|9|11) .*", service.log())  # 15: told to end while it started
    assert not died, died
