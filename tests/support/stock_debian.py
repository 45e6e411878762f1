"""A root folder with what a stock Debian 12 has and nothing that was installed for building or testing: the packages of
priority required and important, Python (cloud-init needs it) and the certificates, copied from this machine."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess

LEFT_OUT_ALWAYS = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/share/i18n", "/boot")
LEFT_OUT = (*LEFT_OUT_ALWAYS, "/usr/lib/systemd", "/lib/systemd", "/usr/share/perl", "/var/lib")
NAME = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)")  # in a list of dependencies
ROOT_LINKS = ("bin", "sbin", "lib", "lib64")


def packages(more=("python3", "ca-certificates")):
    """Their names: the stock ones, and more, and what those depend on. What is not installed here is left out."""
    rows = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\t${Priority}\t${Depends}, ${Pre-Depends}\t${Provides}\n"], check=True,
                          capture_output=True, text=True).stdout.splitlines()
    installed, provided = {}, {}
    for name, priority, depends, provides in (row.split("\t") for row in rows):
        installed[name] = priority, depends
        provided |= {virtual: name for virtual in re.findall(NAME, provides)}
    wanted = [name for name, (priority, _) in installed.items() if priority in ("required", "important")]
    wanted += more
    found = set()
    while wanted:
        name = wanted.pop()
        if name not in installed:
            name = provided.get(name)
        if name in found or name not in installed:
            continue
        found.add(name)
        wanted += re.findall(NAME, installed[name][1])
    return found


def make(target, names, left_out=LEFT_OUT):
    target = pathlib.Path(target)
    target.mkdir(parents=True)
    listed = subprocess.run(["dpkg-query", "-L", *sorted(names)], check=True, capture_output=True, text=True).stdout
    for name in ROOT_LINKS:  # /bin is /usr/bin, and so on
        (target / name).symlink_to("usr/" + name)
    for name in sorted(set(listed.splitlines())):
        source = pathlib.Path(name)
        if not name.startswith("/") or name.startswith(left_out) or source.is_dir() or not os.path.lexists(source):
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


def copy_package_database(target, names):
    """So that dpkg and apt in the root know those packages as installed, and the links of their alternatives are there."""
    host, copy = pathlib.Path("/var/lib/dpkg"), target / "var/lib/dpkg"
    for folder in ("info", "updates", "triggers", "alternatives", "parts"):
        (copy / folder).mkdir(parents=True, exist_ok=True)
    stanzas = (host / "status").read_text().split("\n\n")
    kept = [stanza.strip() for stanza in stanzas if stanza.strip().splitlines()[:1] and
            stanza.strip().splitlines()[0].removeprefix("Package: ") in names]
    (copy / "status").write_text("\n\n".join(kept) + "\n")
    for file in host.glob("info/*"):
        if file.name == "format" or file.name.rsplit(".", 1)[0].split(":")[0] in names:
            shutil.copy2(file, copy / "info" / file.name)
    for name in ("diversions", "statoverride", "triggers/File"):
        if (host / name).exists():
            shutil.copy2(host / name, copy / name)
    (target / "etc/alternatives").mkdir(parents=True, exist_ok=True)
    for file in host.glob("alternatives/*"):
        link = pathlib.Path(file.read_text().splitlines()[1])
        chosen = pathlib.Path("/etc/alternatives") / file.name
        if not chosen.is_symlink() or not os.path.lexists(target / os.readlink(chosen).lstrip("/")):
            continue
        for one in (chosen, link):
            if one.is_symlink() and not os.path.lexists(target / one.relative_to("/")):
                (target / one.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one, target / one.relative_to("/"), follow_symlinks=False)
        shutil.copy2(file, copy / "alternatives" / file.name)


def root(build_dir):
    """Made once per build folder."""
    target = pathlib.Path(build_dir) / "stock-debian"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(str(target) + ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            make(target, packages())
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
