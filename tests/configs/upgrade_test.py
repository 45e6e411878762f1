"""The Debian package on a machine that runs: installed, upgraded while images come in, broken off in the middle, removed, purged.

systemd is process 1 there (debian_machine.py), so the units run as they are, confined as they are. No earlier release is stored:
the other versions of the package are this build with another number; what earlier releases wrote is tried in tests/formats."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import debian_machine
import imgrec
import quick_model

pytestmark = pytest.mark.skipif(debian_machine.why_not() is not None, reason=f"no machine can run here: {debian_machine.why_not()}")

LONG = bool(os.environ.get("IMGREC_TEST_LONG"))
ROUNDS = 12 if LONG else 1
KILLS = 25 if LONG else 2
UNIT = "imgrec-local.service"
LOCAL_TOML = "/etc/imgrec/local.toml"
SESSION = {"Content-Type": "image/bmp", "X-Session-Id": "session-1"}
NEVER, AT_ONCE = "1h", "0s"  # until a worker starts


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """old, new (this build), and next, whose local.toml has another comment."""
    folder = tmp_path_factory.mktemp("packages")
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
    yield found
    shutil.rmtree(folder)


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

    def begin(self, name, workers=AT_ONCE):
        """A machine on which that version was just installed, as README.md says, and runs."""
        self.run("dpkg", "--purge", "imgrec")
        done = self.install(name)
        assert done.returncode == 0, done.stderr
        self.settings(workers)
        self.import_model()
        self.do("systemctl", "start", UNIT)
        self.wait_ready()

    def settings(self, workers):
        self.path("/etc/default/imgrec").write_text(
            f"IMGREC_WEB_PORT={self.port}\nIMGREC_MODEL_NAME={quick_model.NAME}\nIMGREC_LOCAL_BOOT_DELAY={workers}\n"
            # Images that wait for workers are not refused, and clients that wait are told soon that the service stops.
            "IMGREC_WEB_QUEUE_JOBS_MIN=100000\nIMGREC_WEB_DRAIN_TIMEOUT=2s\n")

    def import_model(self):
        self.do("imgrec", "model", "import", "/root/quick.onnx", "--name", quick_model.NAME, "--profile", "imagenet", "--labels",
                "/root/labels.txt", "--model-dir", "/var/lib/imgrec/models")

    def wait_ready(self):
        imgrec.wait_until(self.is_ready, what="/readyz")

    def is_ready(self):
        try:
            return self.service.request("GET", "/readyz", timeout=5)[0] == 200
        except OSError:
            return False

    def main_process(self):
        return int(self.do("systemctl", "show", "-p", "MainPID", "--value", UNIT))

    def runs_installed_program(self):
        """Rather than one that was replaced since."""
        return self.do("readlink", f"/proc/{self.main_process()}/exe").strip() == "/usr/bin/imgrec"

    def unit_state(self):
        return self.run("systemctl", "is-active", UNIT).stdout.strip()

    def journal(self, since=0):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", UNIT, "--since", f"@{since:.0f}").stdout

    def change_settings(self, value):
        """An administrator sets web.results_max in local.toml. Returns the file's text."""
        file = self.path(LOCAL_TOML)
        changed, count = re.subn(r"^#results_max = \w+", f"results_max = {value}", file.read_text(), flags=re.M)
        assert count == 1
        file.write_text(changed)
        return changed


@pytest.fixture(scope="module")
def booted(packages):
    folder = pathlib.Path(os.environ["IMGREC_BUILD_DIR"]) / "debian-machine"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        root = debian_machine.make_root(folder / "root", packages["new"][0])
        quick_model.benchmarks.quick_model(root / "root")
        with Machine(root, packages) as machine:
            yield machine
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def machine(booted, request):
    failed = request.session.testsfailed
    yield booted
    if request.session.testsfailed > failed:
        print(f"--- the journal ---\n{booted.journal()[-20_000:]}")


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


def test_an_install_starts_nothing_and_a_started_unit_is_confined(machine):
    machine.run("dpkg", "--purge", "imgrec")
    done = machine.install("new")
    assert done.returncode == 0, done.stderr
    assert machine.is_installed("new")
    for role in ("local", "web", "controller", "worker"):
        assert machine.run("systemctl", "is-enabled", f"imgrec-{role}").stdout.strip() == "disabled"
        assert machine.run("systemctl", "is-active", f"imgrec-{role}").stdout.strip() == "inactive"
    machine.begin("new")
    assert machine.unit_state() == "active"
    status = machine.do("cat", f"/proc/{machine.main_process()}/status")
    user = machine.do("id", "-u", "imgrec").strip()
    assert re.search(rf"^Uid:\s+{user}\s+{user}\s", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert int(re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.M).group(1), 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone"
    expect_answers(machine, send_some(machine))
    # A model that an administrator adds later is for the service, too.
    machine.do("imgrec", "model", "import", "/root/quick.onnx", "--name", "later", "--profile", "imagenet", "--labels", "/root/labels.txt",
               "--model-dir", "/var/lib/imgrec/models")
    machine.do("setpriv", "--reuid=imgrec", "--regid=imgrec", "--clear-groups", "imgrec", "model", "verify", "later", "--model-dir",
               "/var/lib/imgrec/models")


def test_an_upgrade_while_images_come_in_loses_none(machine):
    machine.begin("old", workers=NEVER)
    clients = Clients(machine)
    try:
        clients.wait_for_more(20)
        before = dict(clients.accepted)
        first, begun = machine.main_process(), time.time()
        machine.settings(AT_ONCE)  # for the service that starts anew: until then all images wait
        done = machine.install("new")
        assert done.returncode == 0, done.stderr
        assert machine.is_installed("new")
        assert machine.main_process() != first and machine.runs_installed_program()
        clients.wait_for_more(20)
        # Now with workers that are at work, and to a version with other settings: to and fro.
        for _ in range(ROUNDS):
            for name in ("next", "new"):
                done = machine.install(name)
                assert done.returncode == 0, done.stderr
                clients.wait_for_more(20)
    finally:
        clients.stop()
    assert machine.unit_state() == "active"
    results = clients.check()
    for name in before:
        assert results[name]["completed_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begun)), "it did not wait"
    assert len(clients.answered) > 0
    journal = machine.journal(since=begun)
    assert journal.count("Deactivated successfully") == 1 + 2 * ROUNDS, "a stop was no drain"
    assert "reception only permitted" not in journal, "a worker spoke to systemd"


def test_a_service_that_does_not_start_again_leaves_the_package_whole_and_keeps_its_images(machine):
    machine.begin("old", workers=NEVER)
    sent = send_some(machine)
    settings = machine.path(LOCAL_TOML)
    good = settings.read_text()
    machine.change_settings('"many"')
    done = machine.install("new")
    assert done.returncode == 0, done.stderr
    assert "a service did not start again" in done.stderr
    assert machine.is_installed("new")
    imgrec.wait_until(lambda: machine.unit_state() == "failed", what="the failed unit")
    assert machine.do("systemctl", "show", "-p", "NRestarts", "--value", UNIT).strip() == "0", "wrong settings are not tried again"
    assert "results_max" in machine.journal()
    settings.write_text(good)
    machine.settings(AT_ONCE)
    machine.do("systemctl", "start", UNIT)
    machine.wait_ready()
    expect_answers(machine, sent)


def test_changed_settings_are_kept(machine):
    machine.begin("old")
    settings = machine.path(LOCAL_TOML)
    changed = machine.change_settings(4000)
    done = machine.install("new")  # nobody is asked: the package's own file is as it was
    assert done.returncode == 0, done.stderr
    assert settings.read_text() == changed
    # Here it differs, and there is nobody to ask.
    asked = machine.install("next")
    assert asked.returncode != 0 and LOCAL_TOML in asked.stdout + asked.stderr
    assert settings.read_text() == changed
    machine.wait_ready()
    machine.do("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")
    assert machine.is_installed("next")
    assert settings.read_text() == changed
    assert "of the next version" in machine.path(LOCAL_TOML + ".dpkg-dist").read_text()
    machine.wait_ready()
    machine.begin("old")
    settings.write_text(changed)
    machine.do("dpkg", "-i", "/root/next.deb", input="N\n")  # a person keeps it
    assert settings.read_text() == changed
    assert machine.unit_state() == "active"


def test_a_removal_keeps_settings_and_images_and_a_purge_nothing(machine):
    machine.begin("new", workers=NEVER)
    machine.do("systemctl", "enable", UNIT)
    machine.change_settings(4000)
    sent = send_some(machine)
    machine.do("apt-get", "remove", "-y", "imgrec")
    assert machine.unit_state() != "active" and not machine.is_ready()
    assert not machine.path("/usr/bin/imgrec").exists()
    assert "results_max = 4000" in machine.path(LOCAL_TOML).read_text()
    assert machine.path("/var/lib/imgrec/queue.sqlite").exists()
    machine.settings(AT_ONCE)
    machine.do("apt-get", "install", "-y", "/root/new.deb")
    assert "results_max = 4000" in machine.path(LOCAL_TOML).read_text()
    machine.do("systemctl", "start", UNIT)
    machine.wait_ready()
    expect_answers(machine, sent)

    machine.do("apt-get", "purge", "-y", "imgrec")
    left = machine.do("find", "/", "-xdev", "-name", "*imgrec*", "-not", "-path", "/root/*", "-not", "-path", "/tmp/*").split()
    assert left == [], "a purge leaves the user and nothing else"
    assert machine.do("id", "-u", "imgrec")
    assert "not-found" in machine.do("systemctl", "show", "-p", "LoadState", "--value", UNIT)


def kill(process):
    """With all that it started, and waits for their end: the power button would do no more to dpkg."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)

    def ended():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False
    imgrec.wait_until(ended, what="the end of all that was killed")  # one that writes holds dpkg's lock until it is done


def kill_at(process, stages):
    """Kills dpkg when it has told of those stages of the package, in that order."""
    left = list(stages)
    for line in process.stdout:
        if re.match(rf"status: imgrec\S*: {left[0]}", line) and left.pop(0) and not left:
            return kill(process)
    raise AssertionError("dpkg came to its end before")


def upgrade_to_be_killed(machine):
    return machine.start("dpkg", "--status-fd", "1", "-i", "/root/new.deb", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("stages", [["half-installed"], ["half-installed", "half-configured"]], ids=["unpacking", "configuring"])
def test_an_upgrade_that_is_killed_is_finished_later(machine, stages):
    machine.begin("old", workers=NEVER)
    sent = send_some(machine)
    kill_at(upgrade_to_be_killed(machine), stages)
    assert not machine.is_installed("new")
    assert machine.do("dpkg", "--audit"), "it was not broken off"
    machine.wait_ready()  # whichever version runs, it goes on
    sent |= send_some(machine, name="later")
    machine.settings(AT_ONCE)
    repaired = machine.run("dpkg", "--configure", "-a")
    if stages[-1] == "half-installed":  # dpkg needs the package again, and says so
        assert machine.install("new").returncode == 0
    else:
        assert repaired.returncode == 0, repaired.stderr
    assert machine.is_installed("new")
    assert machine.do("dpkg", "--audit") == ""
    assert machine.unit_state() == "active"
    machine.wait_ready()
    expect_answers(machine, sent)
    assert machine.runs_installed_program()


def test_an_upgrade_may_be_killed_at_any_moment(machine):
    """The same install again repairs it, wherever it was broken off."""
    dice = random.Random(1)
    machine.begin("old")
    begun = time.monotonic()
    assert machine.install("new").returncode == 0
    lasts = time.monotonic() - begun
    for number in range(KILLS):
        machine.begin("old", workers=NEVER)
        sent = send_some(machine)
        process = upgrade_to_be_killed(machine)
        moment = dice.uniform(0, lasts)
        time.sleep(moment)
        kill(process)
        machine.settings(AT_ONCE)
        done = machine.install("new")
        assert done.returncode == 0, f"killed after {moment:.2f} s: {done.stderr}"
        machine.do("dpkg", "--configure", "-a")  # what other packages had still to do
        assert machine.is_installed("new") and machine.do("dpkg", "--audit") == ""
        assert machine.unit_state() == "active", f"killed after {moment:.2f} s"
        machine.wait_ready()
        expect_answers(machine, sent)
        assert machine.runs_installed_program()
