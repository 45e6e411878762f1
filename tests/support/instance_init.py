"""The first process of a test's instance: boots a folder as EC2 boots a Debian 12 image with user-data.

    unshare … python3 instance_init.py STOCK_ROOT INSTANCE_ROOT USER_DATA METADATA_URL [IMAGE_ROOT]

It mounts the stock system's /usr (read-only) and this instance's own folders, goes into them, does what cloud-init does
with the user-data (write_files, then runcmd), and what systemd does with the units that systemctl then names. SIGTERM is
the power button. IMAGE_ROOT: the folder of an instance of which its image was made. It ends with 0 when the instance is powered off.

Of units it knows what changes how a service starts, ends and is started again; keys that only confine it are listed, and
any other key is an error, so that a unit cannot mean something that is not tried here.
"""
import json
import os
import pathlib
import resource
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time

import yaml

USED = {"SuccessAction", "FailureAction", "StartLimitIntervalSec", "StartLimitBurst", "Type", "ExecStart", "EnvironmentFile",
        "Restart", "RestartPreventExitStatus", "RestartSec", "TimeoutStopSec", "DynamicUser", "User", "StateDirectory", "UMask", "LimitNOFILE"}
CONFINING = {"Description", "Wants", "After", "WantedBy", "TasksMax", "MemoryMax", "MemorySwapMax", "NoNewPrivileges",
             "CapabilityBoundingSet", "AmbientCapabilities", "PrivateTmp", "PrivateDevices", "PrivateUsers",
             "LockPersonality", "RemoveIPC", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber"}
CONFINING_PREFIXES = ("Protect", "Restrict")
DYNAMIC_UID = 61184


def say(text):
    print(f"[init {time.strftime('%H:%M:%S')}] {text}", flush=True)


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


CLOUD_INIT = """#!/bin/sh
[ "$*" = "clean --logs --seed" ] || exit 2
rm -rf /var/lib/cloud /var/log/cloud-init*
"""


def first_start(root):
    """What each Debian of a cloud makes for itself alone."""
    own = {"etc/machine-id": secrets.token_hex(16) + "\n", "etc/hostname": f"ip-{secrets.randbelow(256)}\n", "var/lib/cloud/instance/id": "i-0\n",
           "etc/ssh/ssh_host_ed25519_key": secrets.token_hex(32), "root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
           "var/log/cloud-init-output.log": "Cloud-init finished\n"}
    for name, text in own.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or not file.read_text() or name == "etc/hostname":
            file.write_text(text)
    (root / "local/sbin/cloud-init").write_text(CLOUD_INIT)
    (root / "local/sbin/cloud-init").chmod(0o755)


def enter(stock, root, image):
    """Only what is copied or mounted here can be seen from now on."""
    for name in ("local/sbin", "local/bin", "usr", "proc", "dev", "run", "tmp", "opt", "var/lib", "var/log", "root"):
        (root / name).mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str((image or stock) / "etc"), str(root / "etc")], check=True)
    if image:
        subprocess.run(["cp", "-a", str(image / "opt"), str(image / "local"), str(root)], check=True)
    first_start(root)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    mount("--bind", stock / "usr", root / "usr")
    mount("-o", "remount,bind,ro", root / "usr")
    mount("--bind", root / "local", root / "usr/local")  # the machine's own part of it
    mount("-t", "proc", "proc", root / "proc")
    for name in ("null", "zero", "urandom", "random"):
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    (root / "tmp").chmod(0o1777)
    os.chroot(root)
    os.chdir("/")


def parse_unit(name):
    """Of "imgrec@web.service" the template imgrec@.service, in which %i is "web"."""
    base, at, instance = name.removesuffix(".service").partition("@")
    path = f"/etc/systemd/system/{base}{at}.service"
    keys = {}
    for line in pathlib.Path(path).read_text().replace("%i", instance if at else "%i").splitlines():
        if not line or line[0] in "#;[":
            continue
        key, _, value = line.partition("=")
        assert key in USED | CONFINING or key.startswith(CONFINING_PREFIXES), f"{path}: {key} is not known to this test"
        keys[key] = value
    return keys


class Unit:
    def __init__(self, name, environment, power_off):
        self.keys = parse_unit(name)
        self.name, self.environment, self.power_off = name, environment, power_off
        self.process = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def variables(self):
        out = dict(self.environment)
        path = self.keys.get("EnvironmentFile", "-")
        if path.startswith("-") and not os.path.exists(path[1:]):
            return out
        for line in pathlib.Path(path.removeprefix("-")).read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals:
                out[name] = value
        return out

    def become_user(self):
        os.umask(int(self.keys.get("UMask", "0022"), 8))
        if "LimitNOFILE" in self.keys:
            most = min(int(self.keys["LimitNOFILE"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if self.keys.get("DynamicUser") == "yes":
            try:
                os.setgroups([])
                os.setgid(DYNAMIC_UID)
                os.setuid(DYNAMIC_UID)
            except OSError:
                pass  # a user's own namespace has no second user

    def run_once(self):
        if "StateDirectory" in self.keys:
            folder = "/var/lib/" + self.keys["StateDirectory"]
            os.makedirs(folder, 0o755, exist_ok=True)
            try:
                os.chown(folder, DYNAMIC_UID, DYNAMIC_UID)
            except OSError:
                pass
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", **self.variables()}
        self.process = subprocess.Popen(self.keys["ExecStart"].split(), env=environment, preexec_fn=self.become_user)
        return self.process.wait()

    def run(self):
        starts = []
        while not self.stopping.is_set():
            interval = float(self.keys.get("StartLimitIntervalSec", 10))
            starts = [at for at in starts if at > time.monotonic() - interval] + [time.monotonic()]
            if len(starts) > int(self.keys.get("StartLimitBurst", 5)):
                say(f"{self.name}: started too often")
                return self.act("FailureAction")
            code = self.run_once()
            say(f"{self.name}: ended with {code}")
            if self.stopping.is_set():
                return
            if code == 0:
                return self.act("SuccessAction")
            if self.keys.get("Restart") != "on-failure" or str(code) in self.keys.get("RestartPreventExitStatus", "").split():
                return self.act("FailureAction")
            self.stopping.wait(float(self.keys.get("RestartSec", 0.1)))

    def act(self, key):
        if self.keys.get(key) == "poweroff":
            self.power_off()

    def stop(self):
        self.stopping.set()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(float(self.keys.get("TimeoutStopSec", 90)))
            except subprocess.TimeoutExpired:
                say(f"{self.name}: killed, it did not end in time")
                self.process.kill()


class System:
    def __init__(self, environment):
        self.environment = environment
        self.units = {}
        self.off = threading.Event()

    def systemctl(self, words):
        options = {word for word in words if word.startswith("--")}
        verb, *names = [word for word in words if not word.startswith("--")]
        if verb == "poweroff":
            self.off.set()
        elif verb in ("enable", "start"):
            for name in names:
                if verb == "start" or "--now" in options:
                    self.units[name] = Unit(name, self.environment, self.off.set)
        elif verb != "daemon-reload":
            return f"systemctl {verb} is not known to this test"
        return ""

    def serve(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/run/init.socket")
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    error = self.systemctl(json.loads(connection.makefile().readline()))
                except (OSError, AssertionError) as problem:
                    error = str(problem)
                connection.sendall(json.dumps({"error": error}).encode() + b"\n")


def boot(user_data, environment, system):
    """What cloud-init does at the first start."""
    assert user_data.startswith("#cloud-config\n")
    config = yaml.safe_load(user_data)
    assert set(config) <= {"write_files", "runcmd"}, f"not known to this test: {set(config)}"
    for file in config["write_files"]:
        assert set(file) <= {"path", "permissions", "content"}
        path = pathlib.Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
        path.chmod(int(file["permissions"], 8))
    for command in config["runcmd"]:
        done = subprocess.run(command, env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment}).returncode
        say(f"runcmd ended with {done}")


def main():
    stock, root, user_data, metadata, *image = sys.argv[1:]
    user_data = pathlib.Path(user_data).read_text()
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata}
    enter(pathlib.Path(stock), pathlib.Path(root), pathlib.Path(image[0]) if image else None)
    system = System(environment)
    signal.signal(signal.SIGTERM, lambda *_: system.off.set())
    threading.Thread(target=system.serve, daemon=True).start()
    threading.Thread(target=boot, args=(user_data, environment, system), daemon=True).start()
    while not system.off.wait(0.2):
        pass
    say("powering off")
    for unit in list(system.units.values()):
        unit.stop()
    say("off")
    sys.stdout.flush()
    os._exit(0)


main()
