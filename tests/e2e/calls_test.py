"""Web node and workers on AWS's wire, over SQS and S3 in memory (benchmarks/aws/memory_service.cpp) that count every call:
what an image costs when there is load, and what becomes of it when a Spot instance is taken back."""
import json
import pathlib
import threading

import pytest

import imgrec
import instance_metadata
import quick_model
import calls as counting  # found by quick_model

CONNECTIONS = 100
IMAGES = 1000


@pytest.fixture
def start(tmp_path):
    """Starts a web node and workers with a model that costs nearly nothing."""
    quick_model.install(tmp_path)
    programs = {"imgrec": imgrec.BINARY, "memory_service": imgrec.program("memory_service")}
    return lambda **options: counting.Bench(programs, tmp_path, quick_model.NAME, tmp_path, **options)


def test_calls_per_image_at_load(start, tmp_path):
    files = counting.small_images(tmp_path)
    with start(latency_ms=5, workers=2) as bench:  # as on a network: a call takes a few milliseconds
        bench.count(files, 3 * CONNECTIONS, CONNECTIONS)  # warm
        at_load = bench.count(files, IMAGES, CONNECTIONS)
        lone = bench.count(files, 20, 1)
    print(at_load, lone, sep="\n")
    # Six kinds of SQS call touch an image, ten images share each: 0.6. S3: the image put and got, the result put.
    assert 0.6 <= counting.sum_of("sqs", at_load.calls) <= 0.75
    assert counting.sum_of("s3", at_load.calls) == 3
    assert counting.sum_of("sqs", lone.calls) <= 6.5 and counting.sum_of("s3", lone.calls) == 3
    # Ten calls of 5 ms lie on its way; nothing waits for company that does not come.
    assert lone.latency_ms["p50"] < 250


def test_a_spot_instance_that_is_taken_back_loses_nothing(start, tmp_path):
    """Its metadata announce the interruption while it is busy: it returns what it has not begun, finishes the rest and ends.
    The next worker answers all others, and none is worked on twice."""
    files = counting.small_images(tmp_path)
    with instance_metadata.InstanceMetadata() as metadata, start(latency_ms=20, workers=0) as bench:
        # What the queue gives to a call that the worker has left comes back when its lease ends.
        soon = {"IMGREC_QUEUE_VISIBILITY": "3s"}
        taken = bench.start_worker(**soon, AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
        taken.wait_ready()
        enough, sent, slowest, troubles = threading.Event(), [], [], []

        def send_until_enough():
            try:
                while not enough.is_set():
                    slowest.append(bench.upload(files, 300, 50)["latency_s"]["max"])
                    sent.append(300)
            except Exception as error:  # for the test to show
                troubles.append(error)

        clients = [threading.Thread(target=send_until_enough) for _ in range(2)]  # while one begins anew, the other goes on
        for client in clients:
            client.start()
        try:
            imgrec.wait_until(lambda: "job done" in taken.log(), 30, "the first answer")
            metadata.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": "2026-01-01T00:02:00Z"})
            assert taken.process.wait(30) == 0, taken.log()
            bench.start_worker(**soon).wait_ready()
        finally:
            enough.set()
            for client in clients:
                client.join(60)
        assert not troubles, troubles
        calls = bench.take_calls()
    log = taken.log()
    assert "this machine is taken away: draining" in log and "worker ended" in log and "error" not in log, log
    assert "/latest/meta-data/spot/instance-action" in metadata.asked
    done_here = log.count("job done")
    assert 0 < done_here < sum(sent), "the next worker went on"
    assert log.rindex("job done") > log.index("this machine is taken away"), "it had work then"
    # Every image was answered (the client checks each); each was stored once, and its result was.
    # The image and its result; what the draining worker returned is a suspect to the next, whose attempts are put and
    # removed, several in one call. A worker that starts removes what another may have said about failing to.
    assert calls["put inputs"] - calls["removed inputs"] == sum(sent), calls  # removed: the probe of /readyz
    assert calls["put attempts"] <= calls["removed attempts"], calls  # removed by all names that they may have
    # Each of the two workers puts one result twice, to see that the store obeys If-None-Match.
    assert sum(sent) <= calls["put results"] <= sum(sent) + 2, calls
    assert calls["s3 DELETE"] + calls["s3 POST"] <= 60, calls
    assert "returning prefetched messages" not in log or calls["sqs ChangeMessageVisibilityBatch"] > 0, calls
    assert max(slowest) < 20, slowest
