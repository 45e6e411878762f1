"""Runs the built binary for tests: one-shot commands, and services in a state folder of their own. Standard library only.

    with imgrec.Service("local", "--model", name, "--model-dir", folder) as service:
        status, body = service.classify("cat.jpg", bytes)
    assert service.exit_code == 0 and "error" not in service.log()
"""
import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import re
import resource
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

BINARY = os.environ.get("IMGREC_BINARY", "build/dev/imgrec")
EMULATOR = shlex.split(os.environ.get("IMGREC_TEST_EMULATOR", ""))  # what runs it, when it was built for another processor
ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 60  # sanitizer builds on a busy machine


def environment(extra=None):
    """This process's environment without settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMGREC_") or name.startswith("IMGREC_TEST_")}
    return kept | (extra or {})


def run(*arguments, env=None, input=None, timeout=120, cwd=None):
    """One command to its end; stdout and stderr as text."""
    return subprocess.run([*EMULATOR, BINARY, *map(str, arguments)], env=environment(env), input=input, timeout=timeout, cwd=cwd,
                          capture_output=True, text=not isinstance(input, bytes))


def program(name):
    """The path of a program that the test's entry in CMakeLists.txt declares after PROGRAMS, and that is built for it."""
    declared = dict(entry.split("=", 1) for entry in os.environ.get("IMGREC_TEST_PROGRAMS", "").split(":") if entry)
    if name not in declared:
        raise LookupError(f"{name} is not built for this test: name it after PROGRAMS in the test's imgrec_python_test(…)")
    return declared[name]


def shared(relative):
    """A file or folder of ../shared, or a skipped test (a failed one with IMGREC_REQUIRE_SHARED=1)."""
    import pytest
    path = pathlib.Path(os.environ.get("IMGREC_SHARED", ROOT.parent / "shared")) / relative
    if not path.exists():
        (pytest.fail if os.environ.get("IMGREC_REQUIRE_SHARED") == "1" else pytest.skip)(f"not there: {path}")
    return path


@contextlib.contextmanager
def open_files_limit(soft):
    """The soft limit of open files, of this process and of those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def model_dir(name="resnet18-pqf", profile="imagenet"):
    """A folder with that model of ../shared/models, imported once per build folder."""
    source = shared(f"models/{name}.onnx")
    folder = pathlib.Path(os.environ.get("IMGREC_BUILD_DIR", "build/dev")) / "test-models-shared"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if run("model", "verify", name, "--model-dir", folder, "--state-dir", folder).returncode != 0:
            done = run("model", "import", source, "--name", name, "--profile", profile, "--replace",
                       "--model-dir", folder, "--state-dir", folder)
            assert done.returncode == 0, done.stderr
    return folder


def multipart(parts):
    """[(field, file name, bytes)] as a body and its Content-Type."""
    boundary = "imgrec-" + secrets.token_hex(16)
    body = b""
    for field, filename, content in parts:
        quoted = filename.replace("\\", "\\\\").replace('"', "%22")
        body += (f"--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{quoted}\"\r\n"
                 "Content-Type: application/octet-stream\r\n\r\n").encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def wait_until(condition, seconds=START_SECONDS, what="the condition"):
    """Polls until the condition is true and returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)
    return value


class Service:
    """A long-running command. Web roles listen on a free port; `address` is theirs once started."""

    def __init__(self, role, *flags, state_dir=None, env=None, binary=None):
        self.role = role
        self._own_state_dir = state_dir is None
        self.state_dir = pathlib.Path(state_dir or tempfile.mkdtemp(prefix="imgrec-test-"))
        self._flags = [*map(str, flags)]
        if role in ("local", "web") and "--port" not in self._flags:
            self._flags += ["--port", "0"]
        self._env = environment(env)
        self._binary = binary or BINARY
        self._lines = []
        self.process = None
        self.address = None
        self.exit_code = None

    def start(self, ready=True):
        self.process = subprocess.Popen([*EMULATOR, self._binary, self.role, "--state-dir", self.state_dir, *self._flags], env=self._env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            self.wait_ready()
        return self

    def _read(self):
        for line in self.process.stdout:
            self._lines.append(line)

    def wait_ready(self, seconds=START_SECONDS):
        """Web roles: /readyz answers 200. Others: they have said so."""
        if self.role in ("local", "web"):
            found = self.wait_for_log(r"http://(\[?[0-9a-f.:]+\]?):(\d+)/", seconds)
            self.address = found.group(1).strip("[]"), int(found.group(2))
            wait_until(lambda: self._alive() and self._is_ready(), seconds, "/readyz")
        else:
            self.wait_for_log(r"worker ready|controller ready", seconds)

    def _alive(self):
        if self.process.poll() is not None:
            self._reader.join(10)
            raise RuntimeError(f"imgrec {self.role} ended with {self.process.returncode}:\n{self.log()}")
        return True

    def _is_ready(self):
        try:
            return self.request("GET", "/readyz", timeout=5)[0] == 200
        except OSError:
            return False

    def wait_for_log(self, pattern, seconds=START_SECONDS):
        """The first match in what it wrote so far, or will have written by then."""
        def found():
            return re.search(pattern, self.log()) or (self._alive() and None)
        return wait_until(found, seconds, f"a log line like {pattern!r}")

    def log(self):
        return "".join(self._lines)

    def request(self, method, path, body=None, headers=None, timeout=120):
        """Status, headers (names in lower case) and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def classify(self, name, image, timeout=120):
        """The status and the parsed result document of one image."""
        status, _, body = self.request("POST", "/v1/classify?name=" + urllib.parse.quote(name), image,
                                       {"Content-Type": "application/octet-stream"}, timeout)
        return status, json.loads(body)

    def upload(self, parts, path="/v1/classify", headers=None, timeout=120):
        """Multipart: [(field, file name, bytes)]. Status, headers and body."""
        body, content_type = multipart(parts)
        return self.request("POST", path, body, {"Content-Type": content_type} | (headers or {}), timeout)

    def children(self):
        """Process ids of its workers."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found.append(int(stat.parent.name))
        return found

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=60):
        self.exit_code = self.process.wait(seconds)
        self._reader.join(10)
        return self.exit_code

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Asks for a clean end; after the time it is killed, which fails the test."""
        if self.process is None or self.exit_code is not None:
            return self.exit_code
        if self.process.poll() is None:
            self.send_signal(number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise RuntimeError(f"imgrec {self.role} did not end within {seconds} s of a signal:\n{self.log()}") from None

    def __enter__(self):
        try:
            return self.start() if self.process is None else self
        except BaseException:
            self._clean_up()
            raise

    def __exit__(self, kind, *_):
        try:
            self.stop()
        finally:
            if kind is not None:  # pytest shows it with the failed test
                print(f"--- imgrec {self.role} ---\n{self.log()}")
            self._clean_up()

    def _clean_up(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._own_state_dir:
            shutil.rmtree(self.state_dir, ignore_errors=True)
