"""The Debian package of this build on a machine that runs (debian_machine.py): versions of it, and clients whose images must not get
lost while it is replaced."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import debian_machine
import imgrec
import quick_model

LOCAL_UNIT = "imgrec-local.service"
LOCAL_TOML = "/etc/imgrec/local.toml"
NEVER, AT_ONCE = "1h", "0s"  # until a worker of imgrec-local starts
SESSION = {"Content-Type": "image/bmp", "X-Session-Id": "session-1"}


def make_packages(folder):
    """Of each version its file and number: old, new (this build), and next, whose local.toml has another comment."""
    done = subprocess.run(["cpack", "--config", pathlib.Path(os.environ["IMGREC_BUILD_DIR"]) / "CPackConfig.cmake", "-G", "DEB", "-B", folder,
                           "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=none", "-D", "CPACK_THREADS=0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made, = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-R", made, folder / "content"], check=True)
    control = folder / "content/DEBIAN/control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.M).group(1)
    found = {"new": (made, version)}
    for name, other in (("old", "0.0.1"), ("next", version + "+1")):
        control.write_text(re.sub(r"^Version: .*$", f"Version: {other}", control.read_text(), flags=re.M))
        if name == "next":
            with open(folder / "content" / LOCAL_TOML[1:], "a") as settings:
                settings.write("# A comment of the next version.\n")
        found[name] = folder / f"{name}.deb", other
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "content", found[name][0]], check=True,
                       stdout=subprocess.DEVNULL)
    return found


class Machine(debian_machine.DebianMachine):
    def __init__(self, root, packages):
        super().__init__(root)
        self.versions = {name: version for name, (_, version) in packages.items()}
        for name, (file, _) in packages.items():
            shutil.copy2(file, self.path(f"/root/{name}.deb"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.service = imgrec.Service("local", state_dir=self.path("/var/lib/imgrec"))
        self.service.address = "127.0.0.1", self.port

    def install(self, name, *options, **how):
        return self.run("dpkg", *options, "-i", f"/root/{name}.deb", **how)

    def is_installed(self, name):
        told = self.do("dpkg-query", "-W", "-f", "${db:Status-Want} ${db:Status-Status} ${Version}", "imgrec")
        return told == f"install installed {self.versions[name]}"

    def renew(self, name):
        """A machine on which nothing but that version was just installed, with a model."""
        self.run("dpkg", "--purge", "imgrec")
        done = self.install(name)
        assert done.returncode == 0, done.stderr
        self.do("imgrec", "model", "import", "/root/quick.onnx", "--name", quick_model.NAME, "--profile", "imagenet", "--labels",
                "/root/labels.txt", "--model-dir", "/var/lib/imgrec/models")

    def begin(self, name, workers=AT_ONCE):
        """The same, and imgrec-local runs."""
        self.renew(name)
        self.settings(workers)
        self.do("systemctl", "start", LOCAL_UNIT)
        self.wait_ready()

    def settings(self, workers):
        self.variables({"IMGREC_LOCAL_BOOT_DELAY": workers})

    def variables(self, more):
        """Of the units, from their next start on."""
        found = {"IMGREC_WEB_PORT": self.port, "IMGREC_MODEL_NAME": quick_model.NAME,
                 # Images that wait for workers are not refused, and clients that wait are told soon that the service stops.
                 "IMGREC_WEB_QUEUE_JOBS_MIN": 100000, "IMGREC_WEB_DRAIN_TIMEOUT": "2s"} | more
        self.path("/etc/default/imgrec").write_text("".join(f"{name}={value}\n" for name, value in found.items()))

    def wait_ready(self):
        imgrec.wait_until(self.is_ready, what="/readyz")

    def is_ready(self):
        try:
            return self.service.request("GET", "/readyz", timeout=5)[0] == 200
        except OSError:
            return False

    def main_process(self, unit=LOCAL_UNIT):
        return int(self.do("systemctl", "show", "-p", "MainPID", "--value", unit))

    def runs_installed_program(self, unit=LOCAL_UNIT):
        """Rather than one that was replaced since."""
        return self.do("readlink", f"/proc/{self.main_process(unit)}/exe").strip() == "/usr/bin/imgrec"

    def unit_state(self, unit=LOCAL_UNIT):
        return self.run("systemctl", "is-active", unit).stdout.strip()

    def journal(self, unit="imgrec-*", since=0):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, "--since", f"@{since:.0f}").stdout

    def change_settings(self, value):
        """An administrator sets web.results_max in local.toml. Returns the file's text."""
        file = self.path(LOCAL_TOML)
        changed, count = re.subn(r"^#results_max = \w+", f"results_max = {value}", file.read_text(), flags=re.M)
        assert count == 1
        file.write_text(changed)
        return changed


class Clients:
    """Clients that send images and try again as HTTP.md tells them to: some are content with 202, and one waits for each answer."""

    def __init__(self, machine, count=3):
        self._machine = machine
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(count + 1)
        self._lock = threading.Lock()
        self.accepted = {}  # name → the job's path, colour and when it was accepted
        self.answered = {}  # name → result document
        self._runs = [self._pool.submit(self._run, f"async-{number}", self._send) for number in range(count)]
        self._runs.append(self._pool.submit(self._run, "sync", self._classify))

    def _run(self, who, send):
        number = 0
        while not self._stop.is_set():
            name, colour = f"{who}-{number}.bmp", list(quick_model.COLOURS)[number % len(quick_model.COLOURS)]
            while not send(name, colour):
                if self._stop.is_set():
                    return
                time.sleep(0.1)
            number += 1
            self._stop.wait(0.03)

    def _ask(self, name, colour, headers):
        """None where the service is not there, or says that it stops or cannot now: then the same is sent again."""
        try:
            status, told, body = self._machine.service.request("POST", f"/v1/classify?name={name}", quick_model.picture(colour),
                                                               SESSION | {"Idempotency-Key": name} | headers)
        except (OSError, http.client.HTTPException):
            return None
        if status == 503:
            return None
        return status, told, json.loads(body)

    def _send(self, name, colour):
        answer = self._ask(name, colour, {"Prefer": "respond-async"})
        if answer is None:
            return False
        status, told, body = answer
        assert status in (200, 202), body
        with self._lock:
            self.accepted[name] = (told.get("location") or "/v1/jobs/" + body["job"], colour, time.time())
        return True

    def _classify(self, name, colour):
        answer = self._ask(name, colour, {})
        if answer is None:
            return False
        status, told, body = answer
        with self._lock:
            if status == 202:  # it was accepted, and the service stops
                self.accepted[name] = told["location"], colour, time.time()
            else:
                assert status == 200 and body["labels"][0]["label"] == colour, body
                self.answered[name] = body
        return True

    def wait_for_more(self, count):
        with self._lock:
            wanted = len(self.accepted) + count
        imgrec.wait_until(lambda: len(self.accepted) >= wanted or any(run.done() for run in self._runs), what=f"{count} more images")

    def stop(self):
        self._stop.set()
        for run in self._runs:
            run.result(120)

    def check(self):
        """Every image that was accepted has its right answer, and there is no other job. Returns the results by name."""
        results = {}
        for name, (location, colour, _) in self.accepted.items():
            def answer():
                status, _, body = self._machine.service.request("GET", location, headers=SESSION)
                document = json.loads(body)
                return document if status == 200 and ("labels" in document or "error" in document) else None
            results[name] = imgrec.wait_until(answer, 120, f"the result of {name}")
            assert results[name]["name"] == name and results[name]["labels"][0]["label"] == colour, results[name]
        assert len({result["job"] for result in results.values()}) == len(results), "two images are one job"
        listed = self._list()
        assert len(listed) == len(set(listed)), "an image became two jobs"
        # One client may have left while its image was on its way.
        assert set(results) | set(self.answered) <= set(listed)
        return results

    def _list(self):
        names, more = [], ""
        while more is not None:
            status, _, body = self._machine.service.request("GET", f"/v1/jobs?limit=100{more}", headers=SESSION)
            page = json.loads(body)
            assert status == 200, page
            names += [job["name"] for job in page["jobs"]]
            more = f"&cursor={page['next']}" if page.get("next") else None
        return names


def send_some(machine, count=6, name="waits"):
    """Images that are accepted and wait: name → the job's path and colour."""
    sent, begin = {}, name
    for number in range(count):
        name, colour = f"{begin}-{number}.bmp", list(quick_model.COLOURS)[number % len(quick_model.COLOURS)]
        status, told, body = machine.service.request("POST", f"/v1/classify?name={name}", quick_model.picture(colour),
                                                     SESSION | {"Prefer": "respond-async"})
        assert status == 202, body
        sent[name] = told["location"], colour
    return sent


def expect_answers(machine, sent):
    for name, (location, colour) in sent.items():
        def answer():
            status, _, body = machine.service.request("GET", location, headers=SESSION)
            document = json.loads(body)
            return document if status == 200 and "labels" in document else None
        result = imgrec.wait_until(answer, 120, f"the result of {name}")
        assert result["name"] == name and result["labels"][0]["label"] == colour
