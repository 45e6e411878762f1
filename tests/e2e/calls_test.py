"""What an image costs at AWS when there is load: the calls of a web node and two workers, counted on the wire by SQS and S3
in memory (benchmarks/aws/memory_service.cpp)."""
import os
import pathlib
import sys

import pytest

import imgrec

sys.path.insert(0, str(imgrec.ROOT / "benchmarks"))
import calls as counting  # noqa: E402
import run as benchmarks  # noqa: E402

CONNECTIONS = 100
IMAGES = 1000


@pytest.fixture
def bench(tmp_path):
    build = pathlib.Path(os.environ["IMGREC_BUILD_DIR"])
    model, labels = benchmarks.quick_model(tmp_path)
    done = imgrec.run("model", "import", model, "--name", "quick", "--profile", "imagenet", "--labels", labels,
                      "--model-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    # As on a network: a call takes a few milliseconds.
    with counting.Bench(build, tmp_path, "quick", tmp_path, latency_ms=5, workers=2) as started:
        yield started


def test_calls_per_image_at_load(bench, tmp_path):
    files = counting.small_images(tmp_path)
    bench.count(files, 3 * CONNECTIONS, CONNECTIONS)  # warm
    at_load = bench.count(files, IMAGES, CONNECTIONS)
    print(at_load)
    # Six kinds of SQS call touch an image, ten images share each: 0.6. S3: the image put and got, the result put.
    assert 0.6 <= counting.sum_of("sqs", at_load.calls) <= 0.75
    assert counting.sum_of("s3", at_load.calls) == 3

    lone = bench.count(files, 20, 1)
    print(lone)
    assert counting.sum_of("sqs", lone.calls) <= 6.5 and counting.sum_of("s3", lone.calls) == 3
    # Ten calls of 5 ms lie on its way; nothing waits for company that does not come.
    assert lone.latency_ms["p50"] < 250
