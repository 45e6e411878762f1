"""The bundle: the same bytes each time, complete, and able to run where nothing is installed."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

import pytest

import bundle
import imgrec
import stock_debian

# The C library's own parts, which belong to the machine; everything else has to be in the bundle.
OF_THE_MACHINE = re.compile(r"^(linux-vdso|ld-linux|lib(c|m|dl|pthread|rt|resolv|util)\.so)")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    path, _ = bundle.make()
    folder = tmp_path_factory.mktemp("bundle")
    with tarfile.open(path) as archive:
        archive.extractall(folder)
    return folder


def make(output, *more):
    models = imgrec.model_dir()
    return subprocess.run(["/usr/bin/python3", str(imgrec.ROOT / "aws/deploy/make_bundle.py"), "--build", os.environ["IMGREC_BUILD_DIR"],
                           "--model-dir", str(models), "--output", str(output), *more], capture_output=True, text=True)


def test_the_same_program_makes_the_same_bytes(tmp_path):
    path, sha256 = bundle.make()
    again = make(tmp_path, "--model", "resnet18-pqf")
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[1] == sha256 and pathlib.Path(again.stdout.split()[0]).name == path.name
    assert sha256[:12] in path.name


def test_a_model_that_is_not_there_is_said(tmp_path):
    done = make(tmp_path, "--model", "none")
    assert done.returncode == 1 and "imgrec model pull none" in done.stderr
    assert not list(tmp_path.glob("*.tar.gz"))


def test_it_holds_program_libraries_model_and_licences(unpacked):
    contents = json.loads((unpacked / "bundle.json").read_text())
    assert contents["models"] == ["resnet18-pqf"]
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()} - {"bundle.json"}
    assert files == set(contents["files"])
    assert {"bin/imgrec", "models/resnet18-pqf/model.json"} <= files
    assert any(name.startswith("lib/libopencv_core") for name in files) and "lib/libstdc++.so.6" in files
    if b"libheif.so.1" in pathlib.Path(imgrec.BINARY).read_bytes():
        assert {"lib/libheif.so.1", "lib/libde265.so.0", "lib/libdav1d.so.6"} <= set(files)
    assert not any(OF_THE_MACHINE.match(pathlib.Path(name).name) for name in files if name.startswith("lib/"))
    assert (unpacked / "share/doc").is_dir() and len(list((unpacked / "share/doc").iterdir())) > 20


def test_nothing_but_the_c_library_comes_from_the_machine(unpacked):
    """As the loader itself resolves them, for the program and for every library that may be loaded later."""
    clean = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    wrong = []
    for file in [unpacked / "bin/imgrec", *sorted((unpacked / "lib").iterdir())]:
        # A library is looked at as the program sees it: with the program's own search path.
        loaded = subprocess.run(["/lib64/ld-linux-x86-64.so.2", "--library-path", str(unpacked / "lib"), "--list", str(file)]
                                if file.parent.name == "lib" else ["ldd", str(file)],
                                capture_output=True, text=True, env=clean, check=True).stdout
        assert "not found" not in loaded, (file, loaded)
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", loaded, re.M):
            if not OF_THE_MACHINE.match(name) and not pathlib.Path(path).resolve().is_relative_to(unpacked.resolve()):
                wrong.append(f"{file.name}: {name} => {path}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(stock_debian.isolation() is None, reason="mounts of one's own are not allowed here")
def test_it_classifies_on_a_stock_debian(unpacked, tmp_path):
    """In a root folder without any package that was installed for building or testing."""
    stock = stock_debian.root(os.environ["IMGREC_BUILD_DIR"])
    photo = sorted(imgrec.shared("photos/imagenet-100").glob("*.JPEG"))[0]
    root = tmp_path / "root"
    for name in ("usr", "proc", "dev", "tmp", "opt"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    shutil.copytree(unpacked, root / "opt/imgrec")
    shutil.copy(photo, root / "tmp/photo.jpg")
    script = (f"set -e; mount --bind {stock}/usr {root}/usr; mount -o remount,bind,ro {root}/usr; mount -t proc proc {root}/proc; "
              f"touch {root}/dev/null; mount --bind /dev/null {root}/dev/null; "
              f"exec chroot {root} /usr/bin/env -i /opt/imgrec/bin/imgrec classify --json --state-dir /tmp/state "
              "--model-dir /opt/imgrec/models --model resnet18-pqf /tmp/photo.jpg")
    done = subprocess.run([*stock_debian.isolation(), "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    here = json.loads(imgrec.run("classify", "--json", "--model", "resnet18-pqf", "--model-dir", imgrec.model_dir(), photo).stdout)
    assert there["labels"] == here["labels"]
