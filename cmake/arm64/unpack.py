#!/usr/bin/python3
"""Unpacks Debian packages into a root folder: unpack.py ARCHIVES ROOT FINAL

FINAL is where ROOT will be. No script of a package runs; what they would do and is needed here is done below. dpkg's database
of the root names files by their full path, FINAL included: so dpkg-query and dpkg-shlibdeps (which know no roots) find the
package of a library in it, given --admindir.
"""
import os
import pathlib
import subprocess
import sys

# Of update-alternatives.
ALTERNATIVES = {"usr/lib/aarch64-linux-gnu/libblas.so.3": "blas/libblas.so.3",
                "usr/lib/aarch64-linux-gnu/liblapack.so.3": "lapack/liblapack.so.3"}


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def unpack(archive, root):
    """Names of its files, as they are in the archive."""
    # Not `dpkg-deb --extract`, which replaces the links of a merged /usr (lib -> usr/lib) by folders.
    data = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
    listed = subprocess.run(["tar", "-xv", "-C", root, "--keep-directory-symlink", "--no-same-owner"], stdin=data.stdout, check=True,
                            capture_output=True, text=True).stdout
    if data.wait() != 0:
        raise SystemExit(f"unpack.py: {archive} cannot be read.")
    return [name for name in listed.splitlines() if not name.endswith("/")]


def register(archive, names, root, final, status):
    control = output("dpkg-deb", "--field", archive).rstrip("\n")
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line and not line.startswith(" "))
    status.write(f"{control}\nStatus: install ok installed\n\n")
    name = fields["Package"] + (":" + fields["Architecture"] if fields.get("Multi-Arch") == "same" else "")
    info = root / "var/lib/dpkg/info"
    scripts = root / "tmp-control"
    output("dpkg-deb", "--control", archive, scripts)
    for kind in ("symbols", "shlibs"):
        if (scripts / kind).exists():
            (scripts / kind).rename(info / f"{name}.{kind}")
    subprocess.run(["rm", "-r", scripts], check=True)
    files = [(root / pathlib.PurePath(one).parent).resolve() / pathlib.PurePath(one).name for one in names]
    (info / f"{name}.list").write_text("".join(f"{final}/{file.relative_to(root)}\n" for file in files))


def main():
    archives, root, final = map(pathlib.Path, sys.argv[1:])
    root = root.resolve()
    for folder in ("bin", "lib", "sbin"):
        (root / "usr" / folder).mkdir(parents=True, exist_ok=True)
        (root / folder).symlink_to(f"usr/{folder}")
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/info/format").write_text("1\n")
    packages = sorted(archives.glob("*.deb"))
    if not packages:
        raise SystemExit(f"unpack.py: there are no packages in {archives}.")
    with open(root / "var/lib/dpkg/status", "w") as status:
        for archive in packages:
            register(archive, unpack(archive, root), root, final, status)
    for link, to in ALTERNATIVES.items():
        if not (root / link).parent.joinpath(to).exists():
            raise SystemExit(f"unpack.py: {to} is in no package.")
        (root / link).symlink_to(to)
    # Links to absolute paths would lead out of the root.
    for folder, _, names in os.walk(root):
        for name in names:
            path = pathlib.Path(folder) / name
            if path.is_symlink() and os.readlink(path).startswith("/"):
                to = os.path.relpath(root / os.readlink(path).lstrip("/"), path.parent)
                path.unlink()
                path.symlink_to(to)


main()
