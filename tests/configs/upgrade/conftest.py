"""The Debian package on a machine that runs: systemd is process 1 there (debian_machine.py), so the units run as they are, confined as
they are. No earlier release is stored: the other versions of the package are this build with another number; what earlier releases
wrote is tried in tests/formats."""
import os
import pathlib
import shutil

import pytest

import debian_machine
import packaged_machine
import quick_model


@pytest.fixture(scope="session")
def booted():
    """One machine for all tests: each begins by removing what the one before left."""
    if reason := debian_machine.why_not():
        pytest.skip(f"no machine can run here: {reason}")
    folder = pathlib.Path(os.environ["IMGREC_BUILD_DIR"]) / "debian-machine"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        packages = packaged_machine.make_packages(folder / "packages")
        root = debian_machine.make_root(folder / "root", packages["new"][0])
        quick_model.benchmarks.quick_model(root / "root")
        with packaged_machine.Machine(root, packages) as machine:
            yield machine
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def machine(booted, request):
    failed = request.session.testsfailed
    yield booted
    if request.session.testsfailed > failed:
        print(f"--- the journal ---\n{booted.journal()[-20_000:]}")
