"""On identical input the engines' logits are ONNX Runtime's.

Needs the packages of tests/requirements.txt: `./dev test` sets IMGREC_TEST_PYTHON to a Python that has them.
"""
import os
import pathlib
import subprocess

import pytest

import imgrec

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("IMGREC_SHARED", ROOT.parent / "shared"))
PROBE = imgrec.program("inference_probe")
PHOTOS = [f"test_{i}.JPEG" for i in range(0, 100, 10)]


def need(path, what):
    if path is not None and pathlib.Path(path).exists():
        return path
    text = f"{what} is not there"
    if os.environ.get("IMGREC_REQUIRE_SHARED") == "1":
        pytest.fail(f"{text} (IMGREC_REQUIRE_SHARED=1 makes that an error)")
    return pytest.skip(text)


@pytest.fixture
def python():
    return need(os.environ.get("IMGREC_TEST_PYTHON"), "IMGREC_TEST_PYTHON (set by ./dev test)")


def model_file(name):
    if name == "efficientnet-lite0":
        models = os.environ.get("IMGREC_TEST_MODELS")
        return models and pathlib.Path(models) / name / f"{name}.onnx"
    return SHARED / "models" / f"{name}.onnx"


# Runs in the other Python: prints the largest difference of any logit.
COMPARE = """
import sys, numpy, onnxruntime
model, width, height, inputs, ours = sys.argv[1:]
x = numpy.fromfile(inputs, "float32").reshape(-1, 1, 3, int(height), int(width))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
# A model that declares 224 x 224 runs at other sizes too when it declares those: the dimensions' bytes in the file, two
# for each number, are replaced (ONNX's TensorShapeProto: dim 1 {dim_value 1}).
def dimensions(size):
    return bytes([0x0A, 3, 8, size & 127 | 128, size >> 7]) * 2
graph = open(model, "rb").read()
assert graph.count(dimensions(224)) == 1
graph = graph.replace(dimensions(224), dimensions(int(width)))
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
theirs = numpy.stack([session.run(None, {name: one})[0].ravel() for one in x])
ours = numpy.fromfile(ours, "float32").reshape(theirs.shape)
assert numpy.isfinite(ours).all() and ours.shape[1] == 1000 and theirs.std() > 0.1
print(abs(ours - theirs).max())
"""


def engines():
    """Those of this build."""
    cache = (pathlib.Path(os.environ["IMGREC_BUILD_DIR"]) / "CMakeCache.txt").read_text()
    return ["opencv", "openvino-f32"] if "IMGREC_HAS_OPENVINO:INTERNAL=ON" in cache else ["opencv"]


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("model, profile, folder, size", [
    ("resnet18-pqf", "imagenet", "test", 224),
    ("mobilenetv2-tf2", "tf", "test", 224),
    ("efficientnet-lite0", "tf", "test", 224),
    ("resnet18-pqf", "as-is", "imagenet-100", 64),
])
def test_logits_are_those_of_onnx_runtime(engine, model, profile, folder, size, python, tmp_path):
    weights = need(model_file(model), f"the model {model}")
    photos = need(SHARED / "photos" / folder, f"photos/{folder}")
    files = [photos / photo for photo in PHOTOS]
    subprocess.run([PROBE, "input", profile, "224", tmp_path / "inputs", *files], check=True, capture_output=True)
    assert (tmp_path / "inputs").stat().st_size == len(PHOTOS) * 3 * size * size * 4
    shape = [str(size), str(size)]
    subprocess.run([PROBE, "run", engine, weights, *shape, tmp_path / "inputs", tmp_path / "logits"], check=True, capture_output=True)
    done = subprocess.run([python, "-c", COMPARE, weights, *shape, tmp_path / "inputs", tmp_path / "logits"],
                          check=True, capture_output=True, text=True)
    assert float(done.stdout) < 1e-3

