#!/usr/bin/python3
"""Makes the bundle: what a stock Debian 12 machine needs to be a worker, in one .tar.gz. `./dev bundle` runs it.

    bin/imgrec           stripped; it finds its libraries in ../lib (DT_RPATH)
    lib/                 every shared library that it needs or loads, but glibc's, which are the machine's own
    models/NAME/         the models, with their variants
    share/doc/           licences of the libraries
    bundle.json          what is in it, with SHA-256

The same input gives the same bytes: names sorted, times and owners zero. Prints the file's path and SHA-256.
"""
import argparse
import gzip
import hashlib
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "configs/package"))
import sbom  # noqa: E402

# Of one glibc they all have to be, that of the machine's loader.
GLIBC = re.compile(r"^(ld-linux.*|lib(c|m|pthread|dl|rt|resolv|util|anl|mvec|nss_\w+|BrokenLocale|thread_db)\.so\.\d+|linux-vdso.*)$")
# Loaded by name at run time, so no program says that it needs them; they lie beside libopenvino.
ABI = {"x86_64": "x86-64", "aarch64": "AArch64"}.get(platform.machine(), "libc6")  # as ldconfig says it
LOADED_BY_NAME = ("libheif.so.1",)  # by the program itself, where this machine has it: for HEIC and AVIF
OPENVINO_PLUGINS = ("libopenvino_*_cpu_plugin.so", "libopenvino_onnx_frontend.so*", "libopenvino_ir_frontend.so*")


def architecture_of(program):
    """As `uname -m` names it. The ELF header's e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""
    machine = int.from_bytes(program.read_bytes()[18:20], "little")
    return {62: "x86_64", 183: "aarch64"}.get(machine) or sys.exit(f"bundle: {program} is for no processor that is known here ({machine}).")


def installed(name, system):
    """Where the loader would find a library; nothing when it is not there."""
    if system.root:
        return [*system.root.glob(f"usr/lib/*-linux-gnu/{name}")]
    listed = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    return [pathlib.Path(path) for path in re.findall(rf"^\s*{re.escape(name)} \(.*{ABI}.*\) => (/\S+)$", listed, re.M)][:1]


def collect(program, system):
    """All libraries of the bundle: SONAME → file."""
    found = system.libraries(program)
    openvino = [path for name, path in found.items() if name.startswith("libopenvino.so")]
    for folder in {path.parent for path in openvino}:
        plugins = [plugin for pattern in OPENVINO_PLUGINS for plugin in folder.glob(pattern)]
        for plugin in plugins:
            for name, path in ({plugin.name: plugin} | system.libraries(plugin)).items():
                # Where both Debian and OpenVINO have a library, OpenVINO's is the newer one.
                if name not in found or path.parent == folder:
                    found[name] = path
    for name in LOADED_BY_NAME:
        for path in installed(name, system):
            found = {name: path} | system.libraries(path) | found  # what the program has already stays
    return {name: path.resolve() for name, path in sorted(found.items()) if not GLIBC.match(name)}


def copy_licences(libraries, target, system):
    """Debian's copyright files, one per package; for a library of no package the licences beside it."""
    owners = system.owners(libraries.values())
    for path in libraries.values():
        package = owners.get(path)
        source = pathlib.Path(system.root or "/", f"usr/share/doc/{package}/copyright") if package else None
        if source and source.exists():
            (target / package).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / package / "copyright")


def stage(options, folder, system, architecture):
    subprocess.run(["cmake", "--install", options.build, "--prefix", folder, "--component", "imgrec", "--strip"], check=True,
                   stdout=subprocess.DEVNULL)
    program = pathlib.Path(options.build) / "imgrec"
    libraries = collect(program, system)
    (folder / "lib").mkdir()
    for name, path in libraries.items():
        shutil.copyfile(path, folder / "lib" / name)
    copy_licences(libraries, folder / "share/doc", system)
    (folder / "share/doc/imgrec").mkdir(parents=True, exist_ok=True)
    (folder / "share/doc/imgrec/imgrec.cdx.json").write_text(sbom.text(program, system))
    for name in options.model:
        source = pathlib.Path(options.model_dir) / name
        (folder / "models" / name).mkdir(parents=True)
        for file in source.iterdir():
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, folder / "models" / name / file.name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    version = f"imgrec {sbom.program_version(program, system)}"
    contents = {"version": version, "architecture": architecture, "models": sorted(options.model),
                "files": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}}
    (folder / "bundle.json").write_text(json.dumps(contents, indent=1, sort_keys=True) + "\n")
    return version


def pack(folder, target):
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as zipped, \
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, str(path.relative_to(folder)))
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            is_program = path.is_dir() or path.parent.name in ("bin", "lib")
            entry.mode = 0o755 if is_program else 0o644
            if path.is_dir():
                archive.addfile(entry)
            else:
                with open(path, "rb") as file:
                    archive.addfile(entry, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="folder of the built program [build/release]")
    parser.add_argument("--model", action="append", required=True, help="a model to put in; may be repeated")
    parser.add_argument("--model-dir", required=True, help="folder of models (imgrec config show: model.dir)")
    parser.add_argument("--output", default="build/bundle", help="folder of the result [build/bundle]")
    sbom.System.add_options(parser)
    options = parser.parse_args()
    for name in options.model:
        if not pathlib.Path(options.model_dir, name, "model.json").exists():
            sys.exit(f"bundle: the model {name} is not in {options.model_dir}. Install it with `imgrec model pull {name}`, or "
                     "give --model-dir.")
    system = sbom.System(options.root, options.emulator)
    architecture = architecture_of(pathlib.Path(options.build) / "imgrec")
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=output) as work:
        folder = pathlib.Path(work) / "stage"
        version = stage(options, folder, system, architecture).split()[-1]
        packed = pathlib.Path(work) / "bundle.tar.gz"
        pack(folder, packed)
        with open(packed, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # Its name has the content's digest in it: an instance never gets other bytes under a name that it knows.
        target = output / f"imgrec-{version}-{architecture}-{digest[:12]}.tar.gz"
        packed.replace(target)
    print(f"{target}\n{digest}")


main()
