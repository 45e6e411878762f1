"""imgrec bench says what it cannot measure, and leaves nothing behind."""
import json
import shutil

import pytest

import imgrec

MODEL = "resnet18-pqf"
QUICK = ("--rounds", "1", "--seconds", "0.01")


@pytest.fixture(scope="module")
def models():
    return imgrec.model_dir(MODEL)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for file in sorted(imgrec.shared("photos/test").glob("*.JPEG"))[:4]:
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def bench(models, tmp_path):
    return lambda *arguments: imgrec.run("bench", "--model", MODEL, "--model-dir", models, "--state-dir", tmp_path / "state",
                                         *QUICK, *arguments, timeout=600)


def test_tables_name_the_processor_and_what_is_missing(bench, photos):
    done = bench(photos)
    assert done.returncode == 0, done.stderr
    assert "core" in done.stdout.splitlines()[0] and "decode + resize + tensor" in done.stdout
    assert "opencv    f32" in done.stdout
    assert "openvino in int8: " in done.stdout or "openvino  int8" in done.stdout


def test_images_that_cannot_be_classified_are_left_out_and_counted(bench, photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no image")
    done = bench("--json", "--engine", "opencv", photos, broken, tmp_path / "none.jpg")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] | {"bytes_mean": 0} == {"count": 4, "left_out": 2, "bytes_mean": 0}
    assert "2 left out" in done.stderr


def test_without_images_it_says_so(bench, tmp_path):
    (tmp_path / "empty").mkdir()
    done = bench(tmp_path / "empty")
    assert done.returncode == 1 and "no image to measure with" in done.stderr
    assert imgrec.run("bench").returncode == 2


@pytest.mark.parametrize("option", [("--rounds", "0"), ("--rounds", "1.5"), ("--rounds", "many"), ("--seconds", "-1"), ("--seconds", "nan")])
def test_numbers_out_of_bounds_are_refused(models, photos, option):
    done = imgrec.run("bench", "--model", MODEL, "--model-dir", models, *option, photos)
    assert done.returncode == 2 and "--rounds takes" in done.stderr


def test_a_missing_model_says_how_to_get_it(photos, tmp_path):
    done = imgrec.run("bench", *QUICK, "--state-dir", tmp_path / "s", photos)
    assert done.returncode == 2 and "imgrec model pull resnet18" in done.stderr


def test_nothing_is_left_in_the_temporary_folder(models, photos, tmp_path):
    done = imgrec.run("bench", "--model", MODEL, "--model-dir", models, "--engine", "opencv", *QUICK, photos,
                      env={"TMPDIR": str(tmp_path)}, timeout=600)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("imgrec-bench-*")) == []
