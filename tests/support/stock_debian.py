"""A root folder with what a stock Debian 12 has and nothing that was installed for building or testing: the packages of
priority required and important, Python (cloud-init needs it) and the certificates, copied from this machine."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess

LEFT_OUT = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/lib/systemd", "/lib/systemd",
            "/usr/share/i18n", "/usr/share/perl", "/var/lib", "/boot")
ROOT_LINKS = ("bin", "sbin", "lib", "lib64")


def packages():
    """Their names: the stock ones, and what they depend on."""
    rows = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\t${Priority}\t${Depends}, ${Pre-Depends}\n"], check=True,
                          capture_output=True, text=True).stdout.splitlines()
    installed = {name: (priority, depends) for name, priority, depends in (row.split("\t") for row in rows)}
    wanted = [name for name, (priority, _) in installed.items() if priority in ("required", "important")]
    wanted += ["python3", "ca-certificates"]
    found = set()
    while wanted:
        name = wanted.pop()
        if name in found or name not in installed:
            continue
        found.add(name)
        wanted += re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", installed[name][1])
    return found


def make(target):
    target = pathlib.Path(target)
    target.mkdir(parents=True)
    listed = subprocess.run(["dpkg-query", "-L", *sorted(packages())], check=True, capture_output=True, text=True).stdout
    for name in ROOT_LINKS:  # /bin is /usr/bin, and so on
        (target / name).symlink_to("usr/" + name)
    for name in sorted(set(listed.splitlines())):
        source = pathlib.Path(name)
        if not name.startswith("/") or name.startswith(LEFT_OUT) or source.is_dir() or not os.path.lexists(source):
            continue
        real = pathlib.Path("/usr" + name) if name.split("/")[1] in ROOT_LINKS else source
        copy = target / real.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(copy):
            shutil.copy2(source, copy, follow_symlinks=False)
    # What is made when packages are set up.
    for name in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if os.path.exists(name):
            (target / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name[1:])
    subprocess.run(["ldconfig", "-r", str(target)], check=True)
    return target


def root(build_dir):
    """Made once per build folder."""
    target = pathlib.Path(build_dir) / "stock-debian"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(str(target) + ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            make(target)
            (target / "usr/local").mkdir(exist_ok=True)
            (target / "usr/bin/systemctl").unlink(missing_ok=True)
            shutil.copy2(pathlib.Path(__file__).with_name("systemctl.py"), target / "usr/bin/systemctl")
            (target / "usr/bin/systemctl").chmod(0o755)
            (target / ".complete").touch()
    return target


def isolation():
    """How to get mounts and processes of one's own: the words before a command; None where that is not allowed."""
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    if os.geteuid() != 0:
        own += ["--user", "--map-root-user"]
    tried = subprocess.run([*own, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True)
    return own if tried.returncode == 0 else None
