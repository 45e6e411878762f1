"""./dev quantize: the int8 variant answers as f32 does, or is refused; the installed model is changed at once or not at all.

Needs the packages of inference/tools/quantize-requirements.txt: `./dev test` puts them into build/venv/quantize.
"""
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import imgrec

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREPARE = ROOT / "inference" / "tools"
MODEL = "resnet18-pqf"
sys.path.insert(0, str(PREPARE))

import quantize  # noqa: E402: found through the path above


def python():
    """The Python that has NNCF."""
    path = ROOT / "build" / "venv" / "quantize" / "bin" / "python"
    if not path.exists():
        strict = os.environ.get("IMGREC_REQUIRE_SHARED") == "1"
        (pytest.fail if strict else pytest.skip)(f"not there: {path} (./dev test makes it)")
    return path


def run_quantize(models, images, *options, name=MODEL):
    return subprocess.run([python(), "-B", PREPARE / "quantize.py", name, "--images", images, "--imgrec", imgrec.BINARY,
                           "--model-dir", models, *options], capture_output=True, text=True, timeout=500, check=False,
                          env=imgrec.environment())


def model(command, models, *options, **more):
    return imgrec.run("model", command, MODEL, "--model-dir", models, *options, **more)


def contents(models):
    """Every file of the folder of models, byte for byte."""
    return {str(path.relative_to(models)): path.read_bytes() for path in sorted(models.rglob("*")) if path.is_file()}


def import_model(models, name=MODEL, profile="imagenet"):
    done = imgrec.run("model", "import", imgrec.shared(f"models/{name}.onnx"), "--name", name, "--profile", profile,
                      "--model-dir", models, "--state-dir", models.parent)
    assert done.returncode == 0, done.stderr
    return models


def need_openvino(models, name):
    probe = imgrec.run("model", "agreement", name, "--model-dir", models, "--images", imgrec.shared("photos/calib"), "--engine",
                       "openvino", "--precision", "int8")
    if "has no OpenVINO" in probe.stderr:
        pytest.skip("this build has no OpenVINO")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """A folder of models in which the model has an int8 variant, calibrated with photos/calib."""
    photos = imgrec.shared("photos/calib")
    models = import_model(tmp_path_factory.mktemp("quantized") / "models")
    need_openvino(models, MODEL)
    done = run_quantize(models, photos)
    assert done.returncode == 0, done.stdout + done.stderr
    return models


@pytest.fixture
def models(quantized, tmp_path):
    """A copy to be damaged."""
    return pathlib.Path(shutil.copytree(quantized, tmp_path / "models"))


def manifest(models):
    return json.loads((models / MODEL / "model.json").read_text())


def int8_files(models):
    variant, = manifest(models)["variants"]
    return [models / MODEL / file["file"] for file in variant["files"]]


def best_labels(models, name, precision, photos, state):
    done = imgrec.run("classify", "--model", name, "--model-dir", models, "--state-dir", state, "--engine", "openvino",
                      "--precision", precision, "--json", "--top-k", "1", photos, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {pathlib.Path(line["file"]).stem: line["labels"][0]["index"] for line in lines}


def expect_reference_answers(models, name, state, same_min, fewer_true_max):
    """In int8, on photos that it was never calibrated with: best labels as in f32 and as in the reference answers beside the
    photos, and how many of them are true."""
    photos = imgrec.shared("photos/test")
    f32, int8 = (best_labels(models, name, precision, photos, state) for precision in ("f32", "int8"))
    reference = {photo: top5[0][0] for photo, top5 in json.loads((photos / f"top5.{name}.json").read_text()).items()}
    with open(photos / "truth.csv", newline="") as file:
        truth = {row["Image"]: int(row["Index"]) for row in csv.DictReader(file)}
    assert len(f32) == len(int8) == len(truth) == len(reference) == 100

    def agreeing(one, other):
        return sum(one[photo] == other[photo] for photo in truth)
    print(f"{name} in int8: {agreeing(int8, f32)} as f32, {agreeing(int8, reference)} as the reference, "
          f"{agreeing(int8, truth)} true (f32: {agreeing(f32, truth)})")
    assert agreeing(int8, f32) >= same_min and agreeing(int8, reference) >= same_min - 1
    assert agreeing(int8, truth) >= agreeing(f32, truth) - fewer_true_max


def has_integers():
    """Whether the processor multiplies 8-bit integers natively. Where not (and `auto` never takes int8), sums may saturate
    earlier."""
    features = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    return bool({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"} & features)


def test_int8_answers_as_f32_does(quantized, tmp_path):
    expect_reference_answers(quantized, MODEL, tmp_path, *((97, 3) if has_integers() else (94, 5)))


def test_int8_of_efficientnet_lite0(tmp_path):
    """Made by `./dev model efficientnet-lite0`, in the folder of models that IMGREC_TEST_MODELS names."""
    name = "efficientnet-lite0"
    made = pathlib.Path(os.environ.get("IMGREC_TEST_MODELS", "")) / name
    if not (made / "model.json").exists():
        strict = os.environ.get("IMGREC_REQUIRE_SHARED") == "1"
        (pytest.fail if strict else pytest.skip)(f"not there: {made} (./dev test makes it)")
    models = tmp_path / "models"
    shutil.copytree(made, models / name)
    need_openvino(models, name)
    done = run_quantize(models, imgrec.shared("photos/calib"), name=name)
    assert done.returncode == 0, done.stdout + done.stderr
    expect_reference_answers(models, name, tmp_path, *((96, 3) if has_integers() else (94, 5)))


def test_int8_of_a_network_that_bears_it_badly(tmp_path):
    """MobileNetV2's narrow layers lose more: at 98 % it is refused, and who wants it all the same has to say so."""
    name = "mobilenetv2-tf2"
    models = import_model(tmp_path / "models", name, "tf")
    need_openvino(models, name)
    done = run_quantize(models, imgrec.shared("photos/calib"), "--agreement-min", "0.94", name=name)
    assert done.returncode == 0, done.stdout + done.stderr
    expect_reference_answers(models, name, tmp_path, *((94, 4) if has_integers() else (92, 6)))


def test_the_manifest_says_how_it_was_measured(quantized):
    variant, = manifest(quantized)["variants"]
    agreement = variant["agreement"]
    assert variant["precision"] == "int8" and agreement["photos"] == 64
    assert agreement["top1"] >= 0.98 and agreement["top5_overlap"] > 0.85 and 0 < agreement["score_error"] < 0.1
    assert "nncf 3" in variant["made_by"] and "64 photos" in variant["made_by"]
    assert 0 < variant["time_ratio"] < 1
    assert model("verify", quantized).returncode == 0
    assert not list(quantized.glob(".*"))


def test_below_the_bound_nothing_is_published(models, tmp_path):
    graph, weights = int8_files(models)
    shutil.copy(graph, tmp_path / "bad.xml")
    numbers = weights.read_bytes()
    middle = slice(len(numbers) // 8, len(numbers) // 2)  # of large layers' weights; shapes are further on
    (tmp_path / "bad.bin").write_bytes(numbers[:middle.start] + bytes(middle.stop - middle.start) + numbers[middle.stop:])
    before = contents(models)
    done = model("add-variant", models, "--precision", "int8", "--weights", tmp_path / "bad.xml",
                 "--images", imgrec.shared("photos/calib"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "same best label on" in done.stderr and "98.0 %" in done.stderr
    assert contents(models) == before


def test_another_variant_takes_the_place_of_the_old_one(models, tmp_path):
    graph, weights = int8_files(models)
    (tmp_path / "new.xml").write_bytes(graph.read_bytes() + b"\n")
    shutil.copy(weights, tmp_path / "new.bin")
    done = model("add-variant", models, "--precision", "int8", "--weights", tmp_path / "new.xml", "--images",
                 imgrec.shared("photos/calib"), "--agreement-min", "0.9", "--made-by", "a test", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["photos"] == 128 and figures["precision"] == "int8" and figures["top1"] >= 0.9
    assert len(figures["different"]) == round((1 - figures["top1"]) * 128)
    variant, = manifest(models)["variants"]
    assert variant["made_by"] == "a test" and variant["agreement"]["photos"] == 128
    assert not graph.exists() and not weights.exists()
    assert sorted(contents(models)) == sorted(f"{MODEL}/{name}" for name in (
        "model.json", f"{MODEL}.onnx", *(file["file"] for file in variant["files"])))


def test_a_kill_in_the_middle_leaves_the_model_as_it_was(models, tmp_path):
    graph, weights = int8_files(models)
    (tmp_path / "new.xml").write_bytes(graph.read_bytes() + b"\n")
    shutil.copy(weights, tmp_path / "new.bin")
    command = [imgrec.BINARY, "model", "add-variant", MODEL, "--model-dir", models, "--precision", "int8", "--weights",
               tmp_path / "new.xml", "--images", imgrec.shared("photos/calib"), "--agreement-min", "0.9"]
    before = contents(models)
    staged = models / f".variant-{MODEL}"
    process = subprocess.Popen([*map(str, command)], env=imgrec.environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        imgrec.wait_until(lambda: (staged / MODEL / "model.json").exists(), what="the staged variant")
        assert process.poll() is None
        busy = imgrec.run(*command[1:])
        assert busy.returncode == 3 and "Another process" in busy.stderr
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert staged.exists()
    assert {name: data for name, data in contents(models).items() if not name.startswith(".")} == before
    assert model("verify", models).returncode == 0
    done = imgrec.run(*command[1:])  # the next one takes over what is left, and cleans up
    assert done.returncode == 0, done.stderr
    assert not staged.exists() and not graph.exists()


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_variant_is_an_error(which, models, tmp_path):
    file = int8_files(models)[which]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    photo = sorted(imgrec.shared("photos/test").glob("*.JPEG"))[0]
    done = imgrec.run("classify", "--model", MODEL, "--model-dir", models, "--state-dir", tmp_path, "--engine", "openvino",
                      "--precision", "int8", photo)
    assert done.returncode != 0 and file.name in done.stderr and "SHA-256" in done.stderr
    assert model("verify", models).returncode == 1
    f32 = imgrec.run("classify", "--model", MODEL, "--model-dir", models, "--state-dir", tmp_path, "--precision", "f32", photo)
    assert f32.returncode == 0, f32.stderr


def test_too_few_photos_is_an_error_that_says_so(tmp_path):
    photos = sorted(imgrec.shared("photos/calib").glob("*.JPEG"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in photos[:31]:
        shutil.copy(photo, folder)
    shutil.copy(photos[0], folder / "a-copy.jpg")
    (folder / "broken.jpg").write_bytes(photos[40].read_bytes()[:2000])
    models = import_model(tmp_path / "models")
    before = contents(models)
    done = run_quantize(models, folder)
    assert done.returncode == 1
    assert "31 different readable photos" in done.stderr and "at least 32" in done.stderr
    assert "left out" in done.stdout and "broken.jpg" in done.stdout
    assert contents(models) == before


def test_an_agreement_on_a_few_photos_is_not_published(tmp_path):
    models = import_model(tmp_path / "models")
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted(imgrec.shared("photos/calib").glob("*.JPEG"))[:3]:
        shutil.copy(photo, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    before = contents(models)
    done = model("agreement", models, "--images", folder, "--precision", "f32", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["photos"], figures["top1"], figures["top5_overlap"], figures["score_error_max"]) == (3, 1, 1, 0)
    assert [pathlib.Path(one["file"]).name for one in figures["skipped"]] == ["broken.jpg"] and "broken.jpg" in done.stderr
    done = model("add-variant", models, "--precision", "int8", "--weights", tmp_path / "none.xml", "--images", folder)
    assert done.returncode == 2 and "none.xml" in done.stderr
    assert contents(models) == before


def test_rounded_weights_change_a_layers_outputs_least():
    done = subprocess.run([python(), "-B", ROOT / "tests" / "inference" / "rounding_check.py"], capture_output=True, text=True,
                          timeout=300, check=False, env=imgrec.environment())
    assert done.returncode == 0, done.stderr
    convolution, grouped, product = json.loads(done.stdout.splitlines()[-1])
    assert convolution["after"] < 0.5 * convolution["before"] and grouped["after"] < 0.9 * grouped["before"]
    assert product["after"] < 1.02 * product["before"]  # 64 photos tell little about 2,048 inputs
    for layer in (convolution, grouped, product):
        assert layer["is_in"] and 1 <= layer["furthest"] <= 4
        assert 60 <= layer["largest"] <= 127
    assert convolution["largest"] <= 64  # seven bits in the first layer


def test_photos_are_divided_by_what_they_show(tmp_path):
    names = [tmp_path / f"{number}.jpg" for number in range(40)]
    for number, path in enumerate(names):
        path.write_bytes(b"photo %d" % (number // 2))  # each twice
    first, second, different = quantize.split(names)
    assert different == 20 and len(first) == len(second) == 10
    of = {position: names[position].read_bytes() for position in first + second}
    assert not {of[position] for position in first} & {of[position] for position in second}
    renamed = [path.rename(tmp_path / f"z{100 - number}.jpg") for number, path in enumerate(names)]
    assert quantize.split(renamed)[0] == first
    again = quantize.split(renamed[::-1])[0]
    assert {renamed[::-1][position].read_bytes() for position in again} == {of[position] for position in first}
