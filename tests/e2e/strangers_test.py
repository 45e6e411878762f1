"""Clients that were written for other services, as their users write them: boto3 for Amazon Rekognition, tritonclient for the
Open Inference Protocol, and requests for both dialects of the reference workload generators.

IMGREC_TEST_MOTO_PYTHON names the interpreter that has boto3 and requests, IMGREC_TEST_PYTHON the one that has tritonclient
(`./dev test` sets both up)."""
import json
import os
import pathlib
import subprocess

import pytest

import imgrec

MODEL = "mobilenetv2-tf2"
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def service():
    flags = ["--max-workers", "1", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf")]
    layout = {"IMGREC_RESULTS_LAYOUT": "labelled-image", "IMGREC_RESULTS_KEY": "name", "IMGREC_IMAGE_OBJECT_BUCKETS": "photos"}
    with imgrec.Service("local", *flags, env=layout) as running:
        yield running


def client(script, variable, service, *arguments):
    """What the script printed, which is JSON."""
    python = os.environ.get(variable, "")
    assert python, f"{variable} is not set: run this with ./dev test"
    done = subprocess.run([python, HERE / script, f"http://{service.address[0]}:{service.address[1]}", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def labels(service):
    """Of the first two photos of the test set, by file name."""
    photos = sorted(imgrec.shared("photos/test").glob("*.JPEG"))[:2]
    found = {}
    for photo in photos:
        status, document = service.classify(photo.name, photo.read_bytes())
        assert status == 200, document
        found[photo] = document["labels"][0]
    return found


def test_boto3_of_rekognition(service, labels):
    photo, best = next(iter(labels.items()))
    folder = service.state_dir / "buckets/photos/2026"
    folder.mkdir(parents=True)
    (folder / "photo.jpg").write_bytes(photo.read_bytes())
    told = client("client_boto3.py", "IMGREC_TEST_MOTO_PYTHON", service, photo)
    assert told["named"] == told["labels"] and (folder / "photo.jpg").read_bytes() == photo.read_bytes()
    assert [label["Name"] for label in told["labels"]][0] == best["label"] and len(told["labels"]) == 3
    assert told["labels"][0]["Confidence"] == pytest.approx(100 * best["score"])
    assert told["version"].startswith(MODEL + "-")
    assert told["errors"] == {"no image": "InvalidImageFormatException", "half": "InvalidImageFormatException",
                              "object": "InvalidS3ObjectException",
                              "missing": "InvalidS3ObjectException", "confidence": "InvalidParameterException"}


def test_boto3_presents_a_key_as_its_access_key_id(tmp_path):
    keys = tmp_path / "keys.json"
    made = imgrec.run("key", "create", "--web-keys-file", keys, "--role", "submit", "--name", "boto3")
    assert made.returncode == 0, made.stderr
    with imgrec.Service("web", "--web-keys-file", keys) as asking:
        told = client("client_boto3_keys.py", "IMGREC_TEST_MOTO_PYTHON", asking, made.stdout.strip())
    assert told == {"as access key id": "InvalidImageFormatException", "unknown": "AccessDeniedException",
                    "damaged": "AccessDeniedException"}


def test_tritonclient(service, labels):
    told = client("client_triton.py", "IMGREC_TEST_PYTHON", service, MODEL, *labels)
    assert told["live"] and told["ready"] and told["model_ready"] and not told["other_ready"]
    assert told["metadata"]["name"] == MODEL and told["server"]["name"] == "imgrec"
    for number, best in enumerate(labels.values()):
        assert told["labels"][number][0] == best["label"] and told["indices"][number][0] == best["index"]
        assert told["scores"][number][0] == pytest.approx(best["score"], rel=1e-5)
        score, index, label = told["classification"][number][0].split(":", 2)
        assert (int(index), label) == (best["index"], best["label"]) and float(score) == pytest.approx(best["score"], abs=1e-5)
    assert len(told["classification"][0]) == 3
    assert told["json_labels"] == [row[0] for row in told["labels"]]
    assert told["tensor_shape"] == [2, 5] and told["tensor_scores"][0] == pytest.approx(told["tensor_scores"][1])
    assert "takes 224 x 224" in told["wrong_size"] and "another" in told["wrong_model"] and "JPEG" in told["no_image"]


def test_requests_in_both_dialects(service, labels):
    told = client("client_requests.py", "IMGREC_TEST_MOTO_PYTHON", service, *labels)
    best = {photo.name: label["label"] for photo, label in labels.items()}
    assert told["2021"] == [[200, label] for label in best.values()]
    assert told["2026"] == [[200, f"{pathlib.Path(name).stem}:{label}"] for name, label in best.items()]
    assert told["types"] == ["text/plain; charset=utf-8"]
    status, text = told["error"]
    assert status == 415 and "JPEG" in text and not text.startswith("{") and text.count("\n") == 1
    assert told["results"] == best
    assert told["after_reset"] == {}


def test_results_lie_in_the_store_as_the_reference_systems_lay_them_out(service, labels):
    for photo, best in labels.items():
        copies = [path for path in (service.state_dir / "objects").rglob(f"*{photo.stem}*") if path.is_file()]
        assert any(path.read_bytes() == photo.read_bytes() for path in copies), copies
