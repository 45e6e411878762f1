"""./dev quantize on real models: their int8 answers are those in f32, or the variant is refused. Minutes: `./dev test --models`.

What int8 answers can only be measured on a processor with VNNI or AMX; on others it is checked that quantizing is refused.
"""
import csv
import json
import os
import pathlib
import shutil

import pytest

import imgrec
from quantizing import absent, contents, expect_refusal, measures_int8, run_quantize

MODEL = "resnet18-pqf"


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


def import_model(models, name=MODEL, profile="imagenet"):
    done = imgrec.run("model", "import", imgrec.shared(f"models/{name}.onnx"), "--name", name, "--profile", profile,
                      "--model-dir", models, "--state-dir", models.parent)
    assert done.returncode == 0, done.stderr
    return models


def quantized_or_refused(models, name, *options):
    """Quantizes with photos/calib. Ends the test where the processor cannot measure that, once it was refused rightly."""
    can_measure, before = measures_int8(), contents(models)
    done = run_quantize(models, imgrec.shared("photos/calib"), *options, name=name)
    if not can_measure:
        expect_refusal(done, models, before)
        pytest.skip("int8 answers: this processor has neither VNNI nor AMX (the refusal was checked instead)")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((models / name / "model.json").read_text())["variants"]


def test_int8_of_resnet18(tmp_path):
    models = import_model(tmp_path / "models")
    variant, = quantized_or_refused(models, MODEL)
    agreement = variant["agreement"]
    assert variant["precision"] == "int8" and agreement["photos"] == 64
    assert agreement["top1"] >= 0.98 and agreement["top5_overlap"] > 0.85 and 0 < agreement["score_error"] < 0.1
    assert "nncf 3" in variant["made_by"] and "64 photos" in variant["made_by"]
    assert 0 < variant["time_ratio"] < 1
    expect_reference_answers(models, MODEL, tmp_path, 97, 3)


def test_int8_of_efficientnet_lite0(tmp_path):
    """Made by `./dev model efficientnet-lite0`, in the folder of models that IMGREC_TEST_MODELS names."""
    name = "efficientnet-lite0"
    made = pathlib.Path(os.environ.get("IMGREC_TEST_MODELS", "")) / name
    if not (made / "model.json").exists():
        absent(f"not there: {made} (./dev test makes it)")
    models = tmp_path / "models"
    shutil.copytree(made, models / name)
    quantized_or_refused(models, name, "--agreement-min", "0.98")
    expect_reference_answers(models, name, tmp_path, 96, 3)


def test_int8_of_a_network_that_bears_it_badly(tmp_path):
    """MobileNetV2's narrow layers lose more: at 98 % it is refused, and who wants it all the same has to say so."""
    name = "mobilenetv2-tf2"
    models = import_model(tmp_path / "models", name, "tf")
    quantized_or_refused(models, name, "--agreement-min", "0.94")
    expect_reference_answers(models, name, tmp_path, 94, 4)
