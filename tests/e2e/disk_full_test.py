"""A full disk: a clear error for the client, nothing accepted that is not kept, and back to work when there is room."""
import json
import os
import pathlib
import subprocess
import tempfile

import pytest

import imgrec

MODEL = "mobilenetv2-tf2"


@pytest.fixture
def small_disk():
    folder = tempfile.mkdtemp(prefix="imgrec-small-disk-")
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", folder],
                                                   capture_output=True).returncode == 0
    if not mounted:
        os.rmdir(folder)
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield pathlib.Path(folder)
    subprocess.run(["umount", "-l", folder], check=True)
    os.rmdir(folder)


def test_a_full_disk_is_said_and_survived(small_disk):
    photo = (imgrec.shared("photos/test") / "test_0.JPEG").read_bytes()
    with imgrec.Service("local", "--max-workers", "1", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL, "tf"),
                        state_dir=small_disk) as service:
        assert service.classify("before.jpg", photo)[0] == 200
        ballast = small_disk / "ballast"
        with open(ballast, "wb") as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
                file.flush()
        status, document = service.classify("full.jpg", photo)
        assert status == 503, document
        assert "disk" in json.dumps(document).lower() or "space" in json.dumps(document).lower(), document
        ballast.unlink()
        status, document = service.classify("after.jpg", photo)
        assert status == 200 and document["name"] == "after.jpg", document
