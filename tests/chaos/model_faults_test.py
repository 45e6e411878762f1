"""The real service while its model and its compiled model are damaged beneath it: it goes on answering, or says what is wrong."""
import json
import os
import shutil
import signal

import pytest

import imgrec

MODEL = "mobilenetv2-tf2"  # the quickest of the models at hand


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(imgrec.model_dir(MODEL, "tf") / MODEL, folder / MODEL)
    return folder


@pytest.fixture(scope="module")
def photo():
    return sorted(imgrec.shared("photos/test").glob("*.JPEG"))[0].read_bytes()


def service(models, *flags, **more):
    return imgrec.Service("local", "--max-workers", "1", "--model", MODEL, "--model-dir", models, "--precision", "f32", *flags, **more)


def compiled(state_dir):
    return [file for file in (state_dir / "cache").glob("*") if file.is_file() and not file.name.startswith(".")]


@pytest.mark.parametrize("engine", ["opencv", "auto"])
def test_a_model_truncated_under_running_workers(models, photo, engine):
    with service(models, "--engine", engine) as running:
        for name in ("first.jpg", "second.jpg"):
            status, before = running.classify(name, photo)
            assert status == 200, before
        weights = next((models / MODEL).glob("*.onnx"))
        os.truncate(weights, 1000)
        for i in range(10):
            status, document = running.classify(f"{i}.jpg", photo)
            assert status == 200 and document["labels"][0]["label"] == before["labels"][0]["label"], document
        # A new worker reads the file, and says what it found.
        for worker in running.children():
            os.kill(worker, signal.SIGKILL)
        status, document = running.classify("after.jpg", photo, timeout=60)
        assert status == 503 and weights.name in json.dumps(document), document


def test_a_compiled_model_truncated_under_running_workers_and_damaged_before_the_next(models, photo, tmp_path):
    state = tmp_path / "state"
    with service(models, state_dir=state) as running:
        status, before = running.classify("first.jpg", photo)
        assert status == 200, before
    if not compiled(state):
        pytest.skip("the engine of this build keeps no compiled models")
    with service(models, state_dir=state) as running:  # from the compiled model
        assert running.classify("second.jpg", photo)[0] == 200
        for file in compiled(state):
            os.truncate(file, 5000)
        for i in range(10):  # a worker that dies of it is replaced, and its image is worked on again
            status, document = running.classify(f"{i}.jpg", photo, timeout=60)
            assert status == 200 and document["labels"][0]["label"] == before["labels"][0]["label"], document
        for file in compiled(state):
            file.write_bytes(b"x" * 9000)
        for worker in running.children():
            os.kill(worker, signal.SIGKILL)
        status, document = running.classify("last.jpg", photo, timeout=60)
        assert status == 200 and document["labels"][0]["label"] == before["labels"][0]["label"], document
