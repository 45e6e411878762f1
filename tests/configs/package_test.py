"""The Debian package: what is in it, what its scripts and units say, and that its program runs from where it was unpacked."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

import imgrec

ROLES = ("local", "web", "controller", "worker")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    done = subprocess.run(["cpack", "--config", pathlib.Path(os.environ["IMGREC_BUILD_DIR"]) / "CPackConfig.cmake", "-G", "DEB", "-B", folder,
                           "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=none", "-D", "CPACK_THREADS=0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made, = folder.glob("*.deb")
    return made


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


def test_says_what_it_is_and_needs(package):
    def field(name):
        return subprocess.run(["dpkg-deb", "-f", package, name], check=True, capture_output=True, text=True).stdout.strip()
    assert field("Package") == "imgrec"
    assert field("Version") == imgrec.run("version").stdout.split()[1]
    # The ELF header's e_machine.
    machine = int.from_bytes(pathlib.Path(imgrec.BINARY).read_bytes()[18:20], "little")
    assert field("Architecture") == {62: "amd64", 183: "arm64"}[machine]
    needed = {word.split()[0] for word in field("Depends").split(",")}
    assert {"libc6", "libssl3", "libcurl4", "libsqlite3-0", "systemd"} <= needed
    assert not any("openvino" in word or "tbb" in word for word in needed), "those are in the package"


def test_settings_are_kept_and_hold_nothing_but_comments(unpacked):
    kept = (unpacked / "DEBIAN/conffiles").read_text().split()
    assert kept == ["/etc/imgrec/aws.toml", "/etc/imgrec/local.toml"]
    for path in kept:
        file = unpacked / path[1:]
        set_lines = [line for line in file.read_text().splitlines() if line and not line.strip().startswith(("#", "["))]
        assert set_lines == (['platform = "aws"'] if "aws" in path else []), path


def test_everything_belongs_to_root_and_is_documented(package, unpacked):
    listed = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^\S+ (\S+)", listed, re.M)) == {"root/root"}
    assert not re.search(r"^\S{5}w|^\S{8}w", listed, re.M), "nobody else may write"
    documents = unpacked / "usr/share/doc/imgrec"
    licences = (documents / "copyright").read_text()
    assert "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/" in licences
    assert imgrec.run("version", "--licences").stdout == licences
    assert (documents / "CHANGELOG.md.gz").exists() and (documents / "changelog.gz").exists()
    if json.loads(imgrec.run("version", "--json").stdout)["openvino"]:
        assert (documents / "openvino/LICENSE").exists() and list((unpacked / "usr/lib/imgrec").glob("libopenvino.so.*"))


# Libraries that the program loads, and headers of the system: Debian's packages have their licences.
LOADED = {"arpa", "curl", "fmt", "libheif", "linux", "net", "netinet", "opencv2", "openssl", "openvino", "prometheus", "spdlog", "sys",
          "toml++", "webp"}
COMPILED_IN = {"boost": "Boost.Asio", "CLI": "CLI11", "nlohmann": "nlohmann-json"}  # folder of its headers: name


def test_the_licences_name_all_that_is_compiled_in():
    licences = imgrec.run("version", "--licences").stdout
    folders = set()
    for part in ("aws", "cmd", "inference", "lib", "roles"):
        for file in (imgrec.ROOT / part).rglob("*.[ch]pp"):
            folders |= set(re.findall(r"^#include <([^/>]+)/", file.read_text(), re.M))
    assert folders - LOADED == set(COMPILED_IN)
    packages = re.findall(r"^imgrec_npm_package\(\S+ (\S+)", (imgrec.ROOT / "roles/web/page/CMakeLists.txt").read_text(), re.M)
    assert len(packages) == 2
    photos = re.findall(r'^    \("(\w+)", "', (imgrec.ROOT / "configs/demo/samples.sh").read_text(), re.M)
    assert len(photos) == 4
    for name in [*COMPILED_IN.values(), *(package.removesuffix("-dist") for package in packages), *(f"{photo}.webp" for photo in photos)]:
        assert re.search(rf"^Files: .*{re.escape(name)}", licences, re.M | re.I), name


def test_the_list_of_parts_is_one_that_tools_read(unpacked):
    venv = os.environ.get("IMGREC_TEST_PACKAGING_VENV") or pytest.skip("IMGREC_TEST_PACKAGING_VENV is not set: ./dev test sets it")
    code = ("import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import JsonStrictValidator as Reader\n"
            "sys.exit(str(Reader(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or '') or None)")
    file = unpacked / "usr/share/doc/imgrec/imgrec.cdx.json"
    done = subprocess.run([f"{venv}/bin/python", "-c", code], input=file.read_text(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = json.loads(file.read_text())
    assert listed["metadata"]["component"]["version"] == imgrec.run("version").stdout.split()[1]
    versions = {part["name"]: part["version"] for part in listed["components"]}
    assert {"boost", "cli11", "nlohmann-json", "uplot", "swagger-ui-dist", "libssl3", "libheif1"} <= set(versions)
    assert ("openvino" in versions) == json.loads(imgrec.run("version", "--json").stdout)["openvino"]
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libssl3"], check=True, capture_output=True, text=True).stdout
    assert versions["libssl3"] == installed
    # What the program says that it needs, found in another way: by the names of files in Debian's packages.
    needed = re.findall(r"\(NEEDED\).*\[(\S+)\]", subprocess.run(["readelf", "-d", unpacked / "usr/bin/imgrec"], check=True, capture_output=True, text=True).stdout)
    assert len(needed) > 20
    for name in needed:
        if not list((unpacked / "usr/lib/imgrec").glob(name)):
            owners = subprocess.run(["dpkg-query", "-S", f"*/{name}"], check=True, capture_output=True, text=True).stdout
            assert {line.split(":")[0] for line in owners.splitlines()} & set(versions), name
    assert set(listed["dependencies"][0]["dependsOn"]) == {part["bom-ref"] for part in listed["components"]}


def test_its_program_runs_where_it_was_unpacked(unpacked):
    program = [*imgrec.EMULATOR, unpacked / "usr/bin/imgrec"]
    done = subprocess.run([*program, "version", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(imgrec.run("version", "--json").stdout)


def test_its_program_answers_as_the_reference(unpacked, tmp_path):
    photos = imgrec.shared("photos/test")
    reference = json.loads((photos / "top5.resnet18-pqf.json").read_text())
    names = sorted(reference)[:4]
    done = subprocess.run([*imgrec.EMULATOR, unpacked / "usr/bin/imgrec", "classify", "--json", "--model", "resnet18-pqf", "--precision", "f32",
                           "--model-dir", imgrec.model_dir(), *(photos / f"{name}.JPEG" for name in names)],
                          env=imgrec.environment({"IMGREC_STATE_DIR": str(tmp_path)}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    has_openvino = json.loads(imgrec.run("version", "--json").stdout)["openvino"]
    assert {answer["engine"] for answer in answers} == {"openvino" if has_openvino else "opencv"}
    best = {pathlib.Path(answer["file"]).stem: answer["labels"][0] for answer in answers}
    assert set(best) == set(names)
    for name in names:
        assert (best[name]["index"], best[name]["score"]) == (reference[name][0][0], pytest.approx(reference[name][0][2], abs=1e-3))


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_scripts_start_nothing_and_do_without_systemd(unpacked, script):
    file = unpacked / "DEBIAN" / script
    assert file.stat().st_mode & 0o777 == 0o755
    text = file.read_text()
    assert subprocess.run(["sh", "-n", file]).returncode == 0
    assert "set -e" in text and "enable" not in text.replace("neither enabled", "") and "invoke start" not in text
    assert "systemctl" not in text or "/run/systemd/system" in text


@pytest.mark.parametrize("role", ROLES)
def test_systemd_accepts_the_units_and_finds_them_confined(unpacked, tmp_path, role):
    text = (unpacked / f"usr/lib/systemd/system/imgrec-{role}.service").read_text()
    assert "@" not in text.replace("@system-service", "").replace("@privileged", ""), "every name is filled in"
    unit = tmp_path / f"imgrec-{role}.service"
    unit.write_text(text.replace("/usr/bin/imgrec", "/usr/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert verified.returncode == 0 and not verified.stderr, verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True).stdout
    exposure = float(re.search(r"Overall exposure level for \S+ ([\d.]+)", judged).group(1))
    assert exposure <= 3, judged


# As systemd does for a unit with Type=notify.
def test_a_role_says_when_it_is_ready_and_when_it_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(30)
        with imgrec.Service("web", env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as web:
            assert told.recv(100) == b"READY=1"
            web.send_signal(signal.SIGTERM)
            assert told.recv(100) == b"STOPPING=1"


def test_manual_page_has_no_fault(unpacked, tmp_path):
    page = imgrec.run("manual").stdout
    file = tmp_path / "imgrec.1"
    file.write_text(page)
    done = subprocess.run(["groff", "-k", "-man", "-Tutf8", "-ww", file], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr[:2000]
    read = re.sub(".\x08", "", done.stdout)  # bold is a letter printed over itself
    assert "imgrec local" in read and "--web-port" in read
    assert (unpacked / "usr/share/man/man1/imgrec.1.gz").exists()


@pytest.mark.parametrize("words, offered", [
    (["mo"], {"model"}),
    (["model", "pu"], {"pull"}),
    (["local", "--por"], {"--port"}),
    (["key", "create", "--ro"], {"--role"}),
    (["model", "pull", "x"], set()),  # files, as the shell completes them
])
def test_bash_completes(unpacked, words, offered):
    script = unpacked / "usr/share/bash-completion/completions/imgrec"
    typed = " ".join(["imgrec", *words])
    done = subprocess.run(["bash", "-euc", f'source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _imgrec; '
                           'echo "${COMPREPLY[*]-}"'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell, check", [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_other_shells_accept_their_scripts(tmp_path, shell, check):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(imgrec.run("completion", shell).stdout)
    assert subprocess.run([shell, *check, script]).returncode == 0


def test_an_unknown_shell_is_refused():
    done = imgrec.run("completion", "tcsh")
    assert done.returncode == 2 and "bash, zsh, fish" in done.stderr


def test_the_units_wait_as_long_as_a_role_may_drain(unpacked):
    longest = {"local": 30, "web": 30, "worker": 30, "controller": 0}
    for role, seconds in longest.items():
        text = (unpacked / f"usr/lib/systemd/system/imgrec-{role}.service").read_text()
        assert int(re.search(r"TimeoutStopSec=(\d+)", text).group(1)) > seconds
