"""./dev quantize and what becomes of a variant: published or refused, at once or not at all. On a tiny network: what real models
answer in int8 is quantize_models_test's.

Needs the packages of inference/tools/quantize-requirements.txt: `./dev test` puts them into build/venv/quantize.
"""
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import imgrec
from quantizing import TOOLS, contents, expect_refusal, measures_int8, program, python, run_quantize

MODEL = "tiny"
WITHOUT_VNNI = {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # the engine, and imgrec with it, keeps to this level
sys.path.insert(0, str(TOOLS))

import quantize  # noqa: E402: found through the path above


def model(command, models, *options, **more):
    return imgrec.run("model", command, MODEL, "--model-dir", models, *options, **more)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The files that tiny_network.py writes."""
    program()
    folder = tmp_path_factory.mktemp("networks")
    script = pathlib.Path(__file__).with_name("tiny_network.py")
    done = subprocess.run([python(), "-B", script, folder], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def photos():
    return imgrec.shared("photos/calib")


def import_model(models, networks):
    labels = networks / "labels.txt"
    labels.write_text("".join(f"class {number}\n" for number in range(10)))
    done = imgrec.run("model", "import", networks / "tiny.onnx", "--name", MODEL, "--profile", "imagenet", "--labels", labels,
                      "--model-dir", models, "--state-dir", models.parent)
    assert done.returncode == 0, done.stderr
    return models


def add_variant(models, graph, photos, *options, **more):
    return model("add-variant", models, "--precision", "int8", "--weights", graph, "--images", photos, *options, **more)


@pytest.fixture(scope="module")
def with_variant(networks, photos, tmp_path_factory):
    """A folder of models in which the model has an int8 variant."""
    models = import_model(tmp_path_factory.mktemp("quantized") / "models", networks)
    done = add_variant(models, networks / "same.xml", photos)
    assert done.returncode == 0, done.stdout + done.stderr
    return models


@pytest.fixture
def models(with_variant, tmp_path):
    """A copy to be damaged."""
    return pathlib.Path(shutil.copytree(with_variant, tmp_path / "models"))


def manifest(models):
    return json.loads((models / MODEL / "model.json").read_text())


def int8_files(models):
    variant, = manifest(models)["variants"]
    return [models / MODEL / file["file"] for file in variant["files"]]


def some_photos(photos, folder, count):
    folder.mkdir()
    for photo in sorted(photos.glob("*.JPEG"))[:count]:
        shutil.copy(photo, folder)
    return folder


def test_quantizes_and_publishes_or_refuses(networks, photos, tmp_path):
    models = import_model(tmp_path / "models", networks)
    can_measure, before = measures_int8(), contents(models)
    done = run_quantize(models, some_photos(photos, tmp_path / "photos", 48), "--agreement-min", "0.5", name=MODEL)
    if not can_measure:
        expect_refusal(done, models, before)
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 photos to calibrate with, 24 held out" in done.stdout
    variant, = manifest(models)["variants"]
    assert variant["precision"] == "int8" and variant["agreement"]["photos"] == 24
    assert variant["agreement"]["arithmetic"] == program()["arithmetic"]["int8"]
    assert "nncf 3" in variant["made_by"] and "24 photos" in variant["made_by"]
    assert model("verify", models).returncode == 0
    assert not list(models.glob(".*"))


def test_a_processor_without_vnni_is_told_before_it_begins(networks, photos, tmp_path):
    models = import_model(tmp_path / "models", networks)
    before = contents(models)
    done = run_quantize(models, photos, name=MODEL, env=WITHOUT_VNNI)
    expect_refusal(done, models, before)


def test_an_agreement_of_another_arithmetic_is_none(models, tmp_path):
    photo = sorted(imgrec.shared("photos/test").glob("*.JPEG"))[0]
    path = models / MODEL / "model.json"
    for arithmetic, expected in ((None, program()["arithmetic"]["int8"]), ("elsewhere", "elsewhere")):
        document = manifest(models)
        if arithmetic:
            document["variants"][0]["agreement"]["arithmetic"] = arithmetic
            path.write_text(json.dumps(document))
        assert document["variants"][0]["agreement"]["arithmetic"] == expected
        done = imgrec.run("classify", "--model", MODEL, "--model-dir", models, "--state-dir", tmp_path, "--json", photo)
        assert done.returncode == 0, done.stderr
        taken = json.loads(done.stdout)["precision"]
        if arithmetic or not measures_int8():
            assert taken != "int8"
        else:
            assert taken in ("int8", "bf16")  # whichever was measured as the quicker one


def test_below_the_bound_nothing_is_published(models, networks, photos):
    before = contents(models)
    done = add_variant(models, networks / "other.xml", photos)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "same best label on" in done.stderr and "98.0 %" in done.stderr
    assert contents(models) == before


def new_graph(models, folder):
    """The installed variant under another digest."""
    graph, weights = int8_files(models)
    (folder / "new.xml").write_bytes(graph.read_bytes() + b"\n")
    shutil.copy(weights, folder / "new.bin")
    return folder / "new.xml"


def test_another_variant_takes_the_place_of_the_old_one(models, photos, tmp_path):
    graph, weights = int8_files(models)
    done = add_variant(models, new_graph(models, tmp_path), photos, "--agreement-min", "0.9", "--made-by", "a test", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["photos"] == 128 and figures["precision"] == "int8" and figures["top1"] >= 0.9
    assert len(figures["different"]) == round((1 - figures["top1"]) * 128)
    variant, = manifest(models)["variants"]
    assert variant["made_by"] == "a test" and variant["agreement"]["photos"] == 128
    assert not graph.exists()  # the weights have the same digest, and a name made of both
    assert sorted(contents(models)) == sorted(f"{MODEL}/{name}" for name in (
        "model.json", "labels.txt", f"{MODEL}.onnx", *(file["file"] for file in variant["files"])))
    assert not weights.exists()


def test_a_kill_in_the_middle_leaves_the_model_as_it_was(models, photos, tmp_path):
    graph, _ = int8_files(models)
    many = tmp_path / "many"  # so many that it is still at it when it is stopped
    many.mkdir()
    photo = sorted(photos.glob("*.JPEG"))[0]
    for number in range(4000):
        (many / f"{number}.jpg").symlink_to(photo)
    new = new_graph(models, tmp_path)
    command = [imgrec.BINARY, "model", "add-variant", MODEL, "--model-dir", models, "--precision", "int8", "--weights", new,
               "--images", many, "--agreement-min", "0.9"]
    before = contents(models)
    staged = models / f".variant-{MODEL}"
    process = subprocess.Popen([*map(str, command)], env=imgrec.environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        imgrec.wait_until(lambda: (staged / MODEL / "model.json").exists(), what="the staged variant")
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None
        busy = imgrec.run(*command[1:])
        assert busy.returncode == 3 and "Another process" in busy.stderr
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert staged.exists()
    assert {name: data for name, data in contents(models).items() if not name.startswith(".")} == before
    assert model("verify", models).returncode == 0
    done = add_variant(models, new, photos, "--agreement-min", "0.9")  # takes over what is left, and cleans up
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


def test_too_few_photos_is_an_error_that_says_so(networks, photos, tmp_path):
    folder = some_photos(photos, tmp_path / "photos", 31)
    all_photos = sorted(photos.glob("*.JPEG"))
    shutil.copy(all_photos[0], folder / "a-copy.jpg")
    (folder / "broken.jpg").write_bytes(all_photos[40].read_bytes()[:2000])
    models = import_model(tmp_path / "models", networks)
    before = contents(models)
    can_measure = measures_int8()
    done = run_quantize(models, folder, name=MODEL)
    if not can_measure:
        expect_refusal(done, models, before)
        return
    assert done.returncode == 1
    assert "31 different readable photos" in done.stderr and "at least 32" in done.stderr
    assert "left out" in done.stdout and "broken.jpg" in done.stdout
    assert contents(models) == before


def test_an_agreement_on_a_few_photos_is_not_published(networks, photos, tmp_path):
    models = import_model(tmp_path / "models", networks)
    folder = some_photos(photos, tmp_path / "photos", 3)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    before = contents(models)
    done = model("agreement", models, "--images", folder, "--precision", "f32", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["photos"], figures["top1"], figures["top5_overlap"], figures["score_error_max"]) == (3, 1, 1, 0)
    assert [pathlib.Path(one["file"]).name for one in figures["skipped"]] == ["broken.jpg"] and "broken.jpg" in done.stderr
    done = add_variant(models, tmp_path / "none.xml", folder)
    assert done.returncode == 2 and "none.xml" in done.stderr
    assert contents(models) == before


def test_rounded_weights_change_a_layers_outputs_least():
    done = subprocess.run([python(), "-B", imgrec.ROOT / "tests" / "inference" / "rounding_check.py"], capture_output=True, text=True,
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
