"""What the tests of ./dev quantize share: its environment, and what this processor can measure."""
import json
import os
import pathlib
import subprocess

import pytest

import imgrec

TOOLS = imgrec.ROOT / "inference" / "tools"


def absent(text):
    (pytest.fail if os.environ.get("IMGREC_REQUIRE_SHARED") == "1" else pytest.skip)(text)


def python():
    """The Python that has NNCF and OpenVINO."""
    path = imgrec.ROOT / "build" / "venv" / "quantize" / "bin" / "python"
    if not path.exists():
        absent(f"not there: {path} (./dev test makes it)")
    return path


def program():
    """What `imgrec version --json` says. Skips where the build has no OpenVINO: there is no int8 without it."""
    done = imgrec.run("version", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if not found["openvino"]:
        pytest.skip("this build has no OpenVINO")
    return found


def measures_int8():
    return program()["arithmetic"]["int8"] != "saturating"


def run_quantize(models, images, *options, name, env=None):
    return subprocess.run([python(), "-B", TOOLS / "quantize.py", name, "--images", images, "--imgrec", imgrec.BINARY,
                           "--model-dir", models, *options], capture_output=True, text=True, timeout=800, check=False,
                          env=imgrec.environment(env))


def contents(models):
    """Every file of the folder of models, byte for byte."""
    return {str(path.relative_to(models)): path.read_bytes() for path in sorted(models.rglob("*")) if path.is_file()}


def expect_refusal(done, models, before):
    """Without VNNI or AMX: refused before it begins, with what to do instead."""
    assert done.returncode == 1 and done.stdout == "", done.stdout + done.stderr
    assert "cannot measure int8" in done.stderr and "Use f32" in done.stderr and "VNNI" in done.stderr
    assert contents(models) == before
