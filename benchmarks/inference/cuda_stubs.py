"""Makes the CPU half of the PyTorch package usable without the CUDA packages (gigabytes) that it is linked with.

Puts empty libraries of their names beside PyTorch's own; each function in them answers 100 (cudaErrorNoDevice). What runs on
the CPU is PyTorch's as it is published. Needs nm, readelf and gcc.
"""
import collections
import fcntl
import pathlib
import re
import subprocess
import sys
import sysconfig

CUDA = re.compile(r"lib(cu|nv|nccl)")


def output(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout


def wanted_symbols(libraries):
    """Missing library → version of its symbols ("" for none) → names."""
    library_of, undefined, defined = {}, set(), set()
    for library in libraries:
        file = ""
        for line in output("readelf", "-VW", library).splitlines():
            if found := re.search(r"File: (\S+)", line):
                file = found.group(1)
            if (found := re.search(r"Name: (\S+)\s+Flags", line)) and CUDA.match(file):
                library_of[found.group(1)] = file
        undefined |= {line.split()[-1] for line in output("nm", "-D", "--undefined-only", library).splitlines()}
        defined |= {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines()}
    wanted = collections.defaultdict(lambda: collections.defaultdict(set))
    for symbol in undefined:
        name, _, version = symbol.partition("@")
        if name in defined:
            continue
        if version in library_of:
            wanted[library_of[version]][version].add(name)
        elif not version and re.match(r"(cu|nv|nccl|__cuda)", name):
            wanted[next(iter(sorted(set(library_of.values()))))][""].add(name)
    return wanted


def write_stub(folder, name, versions):
    source, script = folder / f".{name}.s", folder / f".{name}.map"
    symbols = sorted({symbol for group in versions.values() for symbol in group})
    source.write_text(".text\n" + "".join(f".globl {symbol}\n.type {symbol},@function\n{symbol}:\n" for symbol in symbols) +
                      "mov $100,%eax\nret\n.section .note.GNU-stack,\"\",@progbits\n")
    script.write_text("".join(f"{version} {{ global: {'; '.join(sorted(group))}; }};\n"
                              for version, group in versions.items() if version))
    flags = [f"-Wl,--version-script={script}"] if any(versions) else []
    output("gcc", "-shared", "-nostdlib", "-o", folder / f".{name}", f"-Wl,-soname,{name}", *flags, source)
    (folder / f".{name}").replace(folder / name)
    source.unlink()
    script.unlink()


def make():
    """Does nothing where it has been done, and where PyTorch needs none of it. Several processes may call it at a time."""
    folder = pathlib.Path(sysconfig.get_path("purelib")) / "torch" / "lib"
    with open(folder / ".stubs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_missing(folder)


def make_missing(folder):
    libraries = sorted(path for path in folder.glob("lib*.so*") if not path.name.startswith("."))
    needed = {name for library in libraries for name in re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-dW", library))
              if CUDA.match(name) and not (folder / name).exists()}
    if not needed:
        return
    wanted = wanted_symbols(libraries)
    for name in sorted(needed):
        write_stub(folder, name, wanted[name])


if __name__ == "__main__":
    sys.exit(make())
