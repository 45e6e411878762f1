"""AWS calls per image at load: web and workers as on AWS, over SQS and S3 in memory (benchmarks/aws/memory_service.cpp),
which counts every call. Standard library only; `run.py calls` prints the table, tests/e2e/calls_test.py holds its bounds.
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import threading
import time
import urllib.request
import zlib

START_SECONDS = 60
Counted = collections.namedtuple("Counted", "calls images_per_second latency_ms")  # calls: operation → calls per image


def small_images(folder, count=8):
    """PNG files of a few hundred bytes: what is counted does not depend on their size."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    files = []
    for i in range(count):
        row = b"\0" + bytes((31 * i + 7 * x) % 256 for x in range(3 * 32))
        file = pathlib.Path(folder) / f"small-{i}.png"
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                         chunk(b"IDAT", zlib.compress(row * 32)) + chunk(b"IEND", b""))
        files.append(file)
    return files


def load(imgrec, address, files, *flags):
    """What `imgrec load` tells of a workload that it sent; an error where a condition of --fail-if holds."""
    host, port = address
    done = subprocess.run([imgrec, "load", "--no-status", "--json", "-", "--url", f"http://{host}:{port}", *map(str, flags), "--", *files],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"imgrec load ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


class Process:
    """One that writes what is waited for to its standard error."""

    def __init__(self, command, environment, ready):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        errors="replace")
        self.lines = []
        self.found = threading.Event()
        self.match = None
        threading.Thread(target=self._read, args=(re.compile(ready),), daemon=True).start()
        self.name = " ".join(map(str, command[:2]))

    def _read(self, ready):
        for line in self.process.stderr:
            self.lines.append(line)
            if not self.found.is_set() and (match := ready.search(line)):
                self.match = match
                self.found.set()
        self.found.set()

    def wait_ready(self):
        if not self.found.wait(START_SECONDS) or self.match is None:
            raise RuntimeError(f"{self.name} did not start:\n{self.log()}")
        return self.match

    def log(self):
        return "".join(self.lines)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")


class Bench:
    """A web node and workers with a model of `model_dir`. programs: the paths of imgrec and memory_service;
    latency_ms: of each call of AWS."""

    def __init__(self, programs, folder, model, model_dir, latency_ms=0, workers=2):
        self.programs, self.folder, self.cleanup = programs, pathlib.Path(folder), contextlib.ExitStack()
        self.started = 0
        try:
            self.server = subprocess.Popen([self.programs["memory_service"], str(latency_ms)],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.cleanup.callback(self.server.wait, 20)
            self.cleanup.callback(self.server.stdin.close)
            self.url = f"http://127.0.0.1:{int(self.server.stdout.readline())}"
            self.config = self.folder / "aws.toml"
            self.config.write_text(
                'platform = "aws"\n[aws]\nqueues = "use"\nbuckets = "use"\ninput_bucket = "images"\noutput_bucket = "results"\n'
                f'endpoint_url = "{self.url}"\nspot = true\n[model]\nname = "{model}"\ndir = "{model_dir}"\n'
                '[web]\nport = 0\nnode = "web-1"\n[worker]\nthreads = 1\n')
            clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "IMGREC_"))}
            self.environment = {**clean, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
                                "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1",
                                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
            roles = [self.start_worker() for _ in range(workers)]
            web = self.start("web", r"http://([0-9.]+):(\d+)")
            self.address = web.wait_ready().groups()
            for role in roles:
                role.wait_ready()
        except BaseException:
            self.cleanup.close()
            raise

    def start(self, role, ready, **environment):
        self.started += 1
        state = self.folder / f"{role}-{self.started}"
        state.mkdir()
        process = Process([self.programs["imgrec"], role, "--config", self.config, "--state-dir", state],
                          self.environment | environment, ready)
        self.cleanup.callback(process.stop)
        return process

    def start_worker(self, **environment):
        return self.start("worker", "worker ready", **environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def take_calls(self):
        """Since the last time; waits until no message is left, so that all that belongs to the images has been called."""
        end, sums = time.monotonic() + 60, collections.Counter()
        while True:
            request = urllib.request.Request(self.url + "/-/calls", data=b"", method="POST")
            got = json.loads(urllib.request.urlopen(request, timeout=20).read())
            left = got.pop("visible") + got.pop("in-flight")
            sums.update(got)
            if left == 0:
                return sums
            if time.monotonic() > end:
                raise RuntimeError(f"{left} messages are left in the queues")
            time.sleep(0.05)

    def upload(self, files, images, connections):
        return load(self.programs["imgrec"], self.address, files, "--requests", images, "--concurrency", connections,
                    "--fail-if", "failed>0")

    def count(self, files, images, connections):
        """Sends so many images and counts the calls until the last trace of them is gone."""
        self.take_calls()
        client = self.upload(files, images, connections)
        calls = {name: number / images for name, number in sorted(self.take_calls().items())}
        return Counted(calls, images / client["seconds"], {name: 1000 * seconds for name, seconds in client["latency_s"].items()})


def sum_of(service, calls):
    return sum(number for name, number in calls.items() if name.startswith(service + " "))
