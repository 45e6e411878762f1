"""A bare Debian 12 that runs: its own systemd is process 1 (systemd-nspawn), its own dpkg knows what is installed, and it shares
the network. What is in it is copied from this machine: the stock packages, and those that a package under test depends on."""
import os
import pathlib
import shutil
import signal
import subprocess

import imgrec
import stock_debian

CGROUPS = [pathlib.Path(name) for name in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")]


def why_not():
    """Why no such machine can run here; nothing where it can."""
    if os.geteuid() != 0 or stock_debian.isolation() is None:
        return "needs root, with mounts and processes of one's own"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed (package systemd-container)"
    if not any((group / "cgroup.procs").exists() and os.access(group, os.W_OK) for group in CGROUPS):
        return "control groups cannot be made here"
    return None


def depends_of(package):
    """The names in the dependencies of a .deb file, alternatives too."""
    text = subprocess.run(["dpkg-deb", "-f", package, "Depends"], check=True, capture_output=True, text=True).stdout
    return stock_debian.NAME.findall(text)


def make_root(target, package):
    """A root folder with systemd and all that the .deb file depends on, as if dpkg had installed it."""
    names = stock_debian.packages(["systemd", *depends_of(package)])
    stock_debian.make(target, names, left_out=stock_debian.LEFT_OUT_ALWAYS)
    stock_debian.copy_package_database(target, names)
    for name in ("passwd", "group"):  # of this machine, on which the package may be installed
        file = target / "etc" / name
        file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("imgrec:")))
    for folder in ("proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "var/log", "var/cache/apt/archives/partial",
                   "var/lib/apt/lists/partial", "usr/local"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    (target / "etc/machine-id").touch()
    (target / "etc/hostname").write_text("debian\n")
    return target


class DebianMachine:
    """Booted on entry, powered off on exit."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self._nspawn = None
        self._leader = None
        self._log = None
        # A group of its own: what systemd makes of groups stays below it, beside that of another test.
        self._groups = [group / f"imgrec-test-{os.getpid()}" for group in CGROUPS if (group / "cgroup.procs").exists()]

    def __enter__(self):
        for group in self._groups:
            group.mkdir(exist_ok=True)
        self._log = open(self.root.with_name("console.txt"), "w+")
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=read-only", "--resolv-conf=off",
             "--timezone=off", "--link-journal=no", "-D", self.root], stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=subprocess.STDOUT, preexec_fn=self._enter_groups)
        try:
            imgrec.wait_until(self._booted, what="the machine's start")
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def _enter_groups(self):
        for group in self._groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _booted(self):
        if self._nspawn.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended with {self._nspawn.returncode}:\n{self.console()}")
        children = pathlib.Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[0])
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def console(self):
        self._log.seek(0)
        return self._log.read()

    def command(self, *words):
        """The words that run a command in it, as root."""
        return ["nsenter", "--target", str(self._leader), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd", "env", "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive", *map(str, words)]

    def run(self, *words, input=None, timeout=300):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout,
                              **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))

    def do(self, *words, input=None):
        """As run(), and fails the test when the command does."""
        done = self.run(*words, input=input)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *words, **options):
        """The process of a command, in a session of its own."""
        return subprocess.Popen(self.command(*words), text=True, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def path(self, inside):
        return self.root / str(inside).lstrip("/")

    def __exit__(self, *_):
        if self._leader is not None and self._nspawn.poll() is None:
            self.run("systemctl", "poweroff")
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                os.kill(self._leader, signal.SIGKILL)
        if self._nspawn.poll() is None:
            self._nspawn.kill()
        self._nspawn.wait(60)
        self._log.close()
        for group in self._groups:
            for folder, _, _ in os.walk(group, topdown=False):
                imgrec.wait_until(lambda: self._remove(folder), 10, f"the end of {folder}")

    @staticmethod
    def _remove(folder):
        try:
            os.rmdir(folder)
        except OSError:
            return False
        return True
