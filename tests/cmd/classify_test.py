"""imgrec classify and imgrec model on real weights."""
import csv
import io
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess

import pytest

import imgrec

MODEL = "resnet18-pqf"


@pytest.fixture(scope="module")
def models():
    return imgrec.model_dir(MODEL)


@pytest.fixture(scope="module")
def photos():
    return imgrec.shared("photos/test")


def classify(models, *arguments, **options):
    return imgrec.run("classify", "--model", MODEL, "--model-dir", models, *arguments, **options)


def some(photos, count):
    return sorted(photos.glob("*.JPEG"))[:count]


def test_json_lines_in_the_order_of_the_arguments(models, photos):
    files = some(photos, 6)[::-1]
    done = classify(models, "--json", "--top-k", "3", "--threads", "3", *files)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    for line in lines:
        assert len(line["labels"]) == 3 and line["model"] == MODEL
        assert set(line["labels"][0]) == {"index", "wnid", "label", "score"}
        scores = [label["score"] for label in line["labels"]]
        assert scores == sorted(scores, reverse=True) and 0 < scores[0] <= 1
        assert set(line["timings_ms"]) == {"read", "decode", "preprocess", "infer"} and line["timings_ms"]["infer"] > 0
        assert (line["engine"], line["precision"]) in (("openvino", "f32"), ("openvino", "bf16"), ("opencv", "f32"))
    assert "6 images in" in done.stderr and "images/s" in done.stderr
    assert f"{MODEL} on {lines[0]['engine']} in {lines[0]['precision']}" in done.stderr


def test_one_bad_file_is_an_error_of_its_own(models, photos, tmp_path):
    good = some(photos, 1)[0]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good.read_bytes()[:2000])
    done = classify(models, "--json", good, broken, tmp_path / "missing.jpg", good)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["labels" in line for line in lines] == [True, False, False, True]
    assert lines[1]["error"]["code"] == "image_truncated" and lines[1]["error"]["retryable"] is False
    assert lines[2]["error"]["code"] == "file_unreadable"
    assert lines[0]["labels"] == lines[3]["labels"]
    assert str(broken) in done.stderr and "2 failed" in done.stderr


def test_table(models, photos):
    files = some(photos, 2)
    done = classify(models, *files)
    assert done.returncode == 0
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["file", "score", "ms", "label"]
    assert len(rows) == 2 and rows[0].startswith(str(files[0]))
    assert len(classify(models, "--top-k", "4", *files).stdout.splitlines()) == 1 + 2 * 4


def test_csv_has_the_name_without_extension_and_the_first_label(models, photos, tmp_path):
    odd = tmp_path / 'a, "b".v2.JPEG'
    odd.write_bytes(some(photos, 1)[0].read_bytes())
    done = classify(models, "--csv", *some(photos, 2), odd)
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0] == ["Image", "Results"]
    assert rows[1][0] == some(photos, 1)[0].stem and rows[1][1]
    assert rows[3][0].startswith('a, "b"') and rows[3][1] == rows[1][1]


def test_csv_has_a_row_for_a_failed_image(models, photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(some(photos, 1)[0].read_bytes()[:2000])
    done = classify(models, "--csv", broken, some(photos, 1)[0])
    assert done.returncode == 1
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[1] == ["broken", "(image_truncated)"]
    assert rows[2][0] == some(photos, 1)[0].stem and not rows[2][1].startswith("(")


def test_what_a_folder_holds_besides_images_is_named(models, photos, tmp_path):
    (tmp_path / "a.jpg").write_bytes(some(photos, 1)[0].read_bytes())
    for i in range(12):
        (tmp_path / f"notes-{i:02}.txt").write_text("no image")
    (tmp_path / ".hidden").write_text("no image")
    done = classify(models, "--json", tmp_path)
    assert done.returncode == 0, done.stderr
    line, = [line for line in done.stderr.splitlines() if "Left out" in line]
    assert "notes-00.txt" in line and "notes-09.txt" in line and "notes-10.txt" not in line and "2 more" in line
    assert "hidden" not in line
    assert "Left out" not in classify(models, "--json", tmp_path / "a.jpg").stderr


@pytest.mark.parametrize("written", [b"", b"\xff\xd8\xff"])
def test_waiting_for_a_fifo_ends_by_sigterm(models, photos, tmp_path, written):
    fifo = tmp_path / "photo.jpg"
    os.mkfifo(fifo)
    process = subprocess.Popen([imgrec.BINARY, "classify", "--json", "--model", MODEL, "--model-dir", models,
                                some(photos, 1)[0], fifo], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=imgrec.environment())
    assert json.loads(process.stdout.readline())["labels"]
    writer = os.open(fifo, os.O_RDWR) if written else None
    if written:
        os.write(writer, written)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    if written:
        os.close(writer)


def test_folders_are_searched_in_name_order_for_what_is_an_image(models, photos, tmp_path):
    image = some(photos, 1)[0].read_bytes()
    (tmp_path / "b").mkdir()
    for name in ("c.jpg", "a.jpeg", "b/inner.jpg", "b/no-extension", ".hidden.jpg"):
        (tmp_path / name).write_bytes(image)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    done = classify(models, "--json", tmp_path)
    assert done.returncode == 0, done.stderr
    names = [str(pathlib.Path(json.loads(line)["file"]).relative_to(tmp_path)) for line in done.stdout.splitlines()]
    assert names == ["a.jpeg", "b/inner.jpg", "b/no-extension", "c.jpg"]


def test_a_folder_without_images_and_names_that_look_like_options(models, photos, tmp_path):
    assert classify(models, tmp_path).returncode == 1
    (tmp_path / "--json").write_bytes(some(photos, 1)[0].read_bytes())
    done = classify(models, "--csv", "--", "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[1].startswith("--json,"), done
    (tmp_path / "[a,b]").write_bytes(some(photos, 1)[0].read_bytes())
    assert json.loads(classify(models, "--json", "[a,b]", cwd=tmp_path).stdout)["file"] == "[a,b]"


def test_standard_input(models, photos):
    done = classify(models, "--json", "-", input=some(photos, 1)[0].read_bytes())
    assert done.returncode == 0 and json.loads(done.stdout)["labels"]


def test_a_full_disk_is_no_success(models, photos):
    with open("/dev/full", "w") as full:
        done = subprocess.run([imgrec.BINARY, "classify", "--model", MODEL, "--model-dir", models, some(photos, 1)[0]],
                              stdout=full, stderr=subprocess.PIPE, env=imgrec.environment())
    assert done.returncode == 1 and b"standard output" in done.stderr


def test_progress_only_on_a_terminal(models, photos):
    assert "\r" not in classify(models, "--json", *some(photos, 2)).stderr
    parent, child = pty.openpty()
    done = subprocess.run([imgrec.BINARY, "classify", "--json", "--model", MODEL, "--model-dir", models, *some(photos, 2)],
                          stdout=subprocess.PIPE, stderr=child, env=imgrec.environment(), timeout=120)
    os.close(child)
    shown = os.read(parent, 65536)
    os.close(parent)
    assert done.returncode == 0 and b"\r1 of 2 images" in shown


def test_interrupt_ends_with_130_and_what_is_done_stays(models, photos):
    process = subprocess.Popen([imgrec.BINARY, "classify", "--json", "--threads", "1", "--model", MODEL, "--model-dir", models,
                                *[photos] * 50], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=imgrec.environment())
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(first)["labels"]
    assert 0 < len(out.splitlines()) + 1 < 5000 and "images/s" in err


def test_missing_model_says_how_to_get_it(tmp_path):
    done = imgrec.run("classify", "x.jpg", "--state-dir", tmp_path)
    assert done.returncode == 2 and "imgrec model pull resnet18" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_model_commands(models, photos, tmp_path):
    listed = imgrec.run("model", "list", "--model-dir", models)
    assert listed.returncode == 0
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert " yes " in rows[MODEL] and "MiB" in rows[MODEL] and " no " in rows["efficientnet-lite0"]
    shown = imgrec.run("model", "show", MODEL, "--model-dir", models)
    assert shown.returncode == 0 and "sha256" in shown.stdout and "imagenet" in shown.stdout
    assert "intact" in imgrec.run("model", "verify", "--model-dir", models).stdout
    assert imgrec.run("model", "verify", "resnet18", "--state-dir", tmp_path).returncode == 2


def test_damaged_models_are_found(models, tmp_path):
    source = imgrec.shared(f"models/{MODEL}.onnx")
    flags = ("--state-dir", tmp_path / "state")
    assert imgrec.run("model", "import", source, "--name", "mine", "--profile", "imagenet", *flags).returncode == 0
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    again = imgrec.run("model", "import", source, "--name", "mine", "--profile", "imagenet", *flags)
    assert again.returncode == 1 and "--replace" in again.stderr
    weights = next((tmp_path / "state" / "models" / "mine").glob("*.onnx"))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    damaged = imgrec.run("model", "verify", *flags)
    assert damaged.returncode == 1 and "mine" in damaged.stderr
    assert imgrec.run("classify", "--model", "mine", "x.jpg", *flags).returncode == 2


def test_a_file_that_is_no_model_is_refused(tmp_path):
    file = tmp_path / "x.onnx"
    file.write_bytes(b"not a model")
    done = imgrec.run("model", "import", file, "--name", "x", "--profile", "tf", "--state-dir", tmp_path / "s")
    assert done.returncode == 1 and done.stderr.startswith("imgrec: ")
    assert not (tmp_path / "s" / "models" / "x").exists()


def test_what_is_given_by_hand_is_kept_in_the_manifest(tmp_path):
    flags = ("--name", "mine", "--profile", "raw", "--replace", "--state-dir", tmp_path / "s")
    source = imgrec.shared(f"models/{MODEL}.onnx")

    def imported(*more):
        return imgrec.run("model", "import", source, *flags, *more)
    done = imported("--mean", "0.485,0.456,0.406", "--scale", "0.229,0.224,0.225", "--crop", "1", "--channels", "bgr",
                    "--output-kind", "probabilities")
    assert done.returncode == 0 and "224 x 224 pixels, crop 1, bgr, nchw, float32" in done.stdout, done.stderr
    shown = imgrec.run("model", "show", "mine", "--state-dir", tmp_path / "s").stdout
    assert "123.675, 116.28, 103.53" in shown and "58.395, 57.12, 57.375" in shown and "probabilities" in shown
    for more, words in ((("--size", "big"), "--size"), (("--crop", "224"), "0.875"), (("--channels", "grb"), "rgb or bgr"),
                        (("--output-kind", "softmax"), "logits or probabilities"), (("--mean", "1,2"), "three numbers")):
        wrong = imported(*more)
        assert wrong.returncode == 2 and words in wrong.stderr, (more, wrong.stderr)
    for more, words in ((("--size", "299"), "224 x 224"), (("--output", "fc9"), "no output fc9")):
        wrong = imported(*more)
        assert wrong.returncode == 1 and words in wrong.stderr, (more, wrong.stderr)


def test_pull_without_a_way_out_is_unreachable(tmp_path):
    done = imgrec.run("model", "pull", "resnet18", "--state-dir", tmp_path,
                      env={"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""})
    assert done.returncode == 3 and done.stderr.startswith("imgrec: "), done.stderr


def test_interrupting_a_pull_ends_with_130(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a proxy that never answers
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([imgrec.BINARY, "model", "pull", "resnet18", "--state-dir", tmp_path], stderr=subprocess.PIPE,
                                   text=True, env=imgrec.environment({"https_proxy": proxy, "http_proxy": proxy, "no_proxy": ""}))
        silent.settimeout(60)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        connection.close()
    assert process.returncode == 130, err
