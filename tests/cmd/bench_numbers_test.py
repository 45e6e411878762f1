"""imgrec bench: its numbers belong together."""
import json

import pytest

import imgrec

MODEL = "resnet18-pqf"


def test_json_holds_every_measurement_of_every_round(tmp_path):
    photos = sorted(imgrec.shared("photos/test").glob("*.JPEG"))[:4]
    done = imgrec.run("bench", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL), "--state-dir", tmp_path, "--rounds", "2",
                      "--seconds", "0.05", "--json", "--engine", "opencv", "--precision", "f32", "--threads", "2", *photos, timeout=600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["processor"]["name"] and report["processor"]["cores"] == 2 and report["model"]["name"] == MODEL
    assert report["images"]["count"] == 4 and report["images"]["left_out"] == 0 and report["unavailable"] == []
    stages = report["stages_ms"]
    for samples in stages.values():
        assert len(samples["rounds"]) == 2 and 0 < samples["min"] <= samples["median"] <= samples["max"]
    # One pass: its parts add up to it.
    parts = stages["decode"]["median"] + stages["resize_tensor"]["median"]
    assert parts == pytest.approx(stages["decode_resize_tensor"]["median"], rel=0.2)
    engine, = report["engines"]
    assert (engine["engine"], engine["precision"]) == ("opencv", "f32") and engine["why"]
    for i in range(2):
        sum_of_stages = stages["decode_resize_tensor"]["rounds"][i] + engine["infer_ms"]["rounds"][i]
        assert engine["efficiency"]["rounds"][i] == pytest.approx(
            engine["one_core_images_per_s"]["rounds"][i] * sum_of_stages / 1000, abs=0.01)
        assert engine["all_cores_over_one"]["rounds"][i] == pytest.approx(
            engine["all_cores_images_per_s"]["rounds"][i] / engine["one_core_images_per_s"]["rounds"][i], rel=0.01)
    assert engine["first_label_ms"]["min"] > engine["infer_ms"]["min"]
    assert engine["first_label_cached_ms"]["min"] > engine["infer_ms"]["min"]
    assert 20 < engine["peak_resident_mib"]["median"] < 1000
