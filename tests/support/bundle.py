"""The bundle of the built program, made once per build folder and program."""
import fcntl
import hashlib
import os
import pathlib
import subprocess

import imgrec


def make(model="resnet18-pqf"):
    """Path and SHA-256."""
    models = imgrec.model_dir(model)
    build = pathlib.Path(os.environ.get("IMGREC_BUILD_DIR", "build/dev"))
    program = pathlib.Path(imgrec.BINARY)
    output = build / "test-bundle"
    output.mkdir(parents=True, exist_ok=True)
    state = "\n".join([hashlib.sha256(program.read_bytes()).hexdigest(), model])
    with open(output / ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = output / "made"
        if not known.exists() or known.read_text().split("\n\n")[0] != state:
            done = subprocess.run(["/usr/bin/python3", str(imgrec.ROOT / "aws/deploy/make_bundle.py"), "--build", str(build), "--model", model,
                                   "--model-dir", str(models), "--output", str(output)], check=True, capture_output=True, text=True)
            known.write_text(state + "\n\n" + done.stdout)
        path, sha256 = known.read_text().split("\n\n")[1].split()
    return pathlib.Path(path), sha256
