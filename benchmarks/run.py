#!/usr/bin/env python3
"""Runs the benchmarks that `./dev bench` lists and prints their tables. Standard library only.

    ./dev bench                     all of them
    ./dev bench throughput          one
    ./dev bench throughput --photos DIR --model NAME --model-dir DIR
"""
import argparse
import collections
import contextlib
import csv
import json
import os
import pathlib
import re
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import calls as counting

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def processor():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return f"{found.group(1) if found else 'unknown processor'}, {len(os.sched_getaffinity(0))} cores"


class Service:
    """`imgrec local` with a state folder of its own."""

    def __init__(self, options, *flags):
        self.options = options
        # Removed at the program's end: some file systems are slow to make files where many were deleted just now.
        self.folder = options.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="imgrec-bench-", dir=options.state_parent))
        self.process = subprocess.Popen(
            [options.build / "imgrec", "local", "--port", "0", "--state-dir", self.folder, "--model", options.model,
             *(["--model-dir", options.model_dir] if options.model_dir else []), "--log-level", "info", *flags],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"http://([0-9.]+):(\d+)", line):
                self.address = found.group(1), int(found.group(2))
                break
        else:
            sys.exit("imgrec local did not start:\n" + "".join(self.lines))
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def upload(self, photos, images):
        """Sends so many images over kept connections: what `imgrec load` measured."""
        return counting.load(self.options.build / "imgrec", self.address, photos, "--requests", images,
                             "--concurrency", self.options.connections, "--fail-if", "failed>0")

    def processes(self):
        """The service's own process and its children: pid → (CPU seconds so far, resident bytes)."""
        found = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                pid = int(stat.parent.name)
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if pid == self.process.pid or int(fields[1]) == self.process.pid:
                    ticks = int(fields[11]) + int(fields[12])
                    found[pid] = ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, ValueError):
                continue  # a process that ended meanwhile
        return found

    def cpu_seconds_and_rss(self):
        """Of all its processes together."""
        used = self.processes().values()
        return sum(cpu for cpu, _ in used), sum(rss for _, rss in used)


def photos_of(options):
    files = options.photos.iterdir() if options.photos.is_dir() else []
    photos = sorted(p for p in files if p.suffix.lower() in IMAGE_SUFFIXES)
    if not photos:
        sys.exit(f"no photos in {options.photos}: ./dev setup fetches some, or give --photos DIR")
    return photos


def classify_seconds(options, photos, repeats):
    begin = time.monotonic()
    subprocess.run([options.build / "imgrec", "classify", "--json", "--model", options.model,
                    *(["--model-dir", options.model_dir] if options.model_dir else []), *(photos * repeats)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def throughput(options):
    """Images per second of `imgrec classify` and of `imgrec local` end to end, interleaved, all cores, warm."""
    photos = photos_of(options)
    repeats = max(1, options.images // len(photos))
    rows = []
    for _ in range(options.rounds):
        # The difference of a long and a short run is free of the time to start and to load the model.
        short, long = classify_seconds(options, photos, repeats), classify_seconds(options, photos, 3 * repeats)
        classify = 2 * repeats * len(photos) / (long - short)
        with Service(options) as service:
            count = repeats * len(photos)
            service.upload(photos, 2 * count)  # workers have started and warmed up
            local = 2 * count / service.upload(photos, 2 * count)["seconds"]
        rows.append((classify, local, local / classify))
    print(f"throughput: {options.model}, {len(photos)} photos, {options.connections} connections, {options.rounds} rounds; {processor()}")
    for name, values in zip(("imgrec classify, images/s", "imgrec local, images/s", "local / classify"), zip(*rows)):
        print(f"  {name:28} median {statistics.median(values):8.2f}   min {min(values):8.2f}   max {max(values):8.2f}")


def quick_model(folder):
    """An ONNX classifier of a few bytes (the mean of each channel → three logits): what is left is everything else."""
    def varint(value):
        low = bytes([value & 127 | (128 if value > 127 else 0)])
        return low + (varint(value >> 7) if value > 127 else b"")

    def number(field, value):
        return varint(field << 3) + varint(value)

    def data(field, value):
        value = value.encode() if isinstance(value, str) else value
        return varint(field << 3 | 2) + varint(len(value)) + value

    def node(operator, inputs, output):
        return b"".join(data(1, name) for name in inputs) + data(2, output) + data(3, output) + data(4, operator)

    def tensor(name, dims, values):
        return b"".join(number(1, dim) for dim in dims) + number(2, 1) + data(8, name) + data(9, struct.pack(f"<{len(values)}f", *values))

    def value_info(name, dims):
        return data(1, name) + data(2, data(1, number(1, 1) + data(2, b"".join(data(1, number(1, dim)) for dim in dims))))

    transposed = data(5, data(1, "transB") + number(3, 1) + number(20, 2))
    graph = (data(1, node("GlobalAveragePool", ["data"], "pooled")) + data(1, node("Flatten", ["pooled"], "flat")) +
             data(1, node("Gemm", ["flat", "w", "b"], "logits") + transposed) + data(2, "quick") +
             data(5, tensor("w", [3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1])) + data(5, tensor("b", [3], [0, 0, 0])) +
             data(11, value_info("data", [1, 3, 224, 224])) + data(12, value_info("logits", [1, 3])))
    model = pathlib.Path(folder) / "quick.onnx"
    model.write_bytes(number(1, 4) + data(7, graph) + data(8, data(1, "") + number(2, 9)))
    labels = pathlib.Path(folder) / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    return model, labels


def with_quick_model(options):
    """The options, with a model that costs nearly nothing in a folder of its own."""
    folder = options.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="imgrec-bench-model-"))
    model, labels = quick_model(folder)
    done = subprocess.run([options.build / "imgrec", "model", "import", model, "--name", "quick", "--profile", "imagenet",
                           "--labels", labels, "--model-dir", folder], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return argparse.Namespace(**{**vars(options), "model": "quick", "model_dir": folder})


def classify_cost(options, photos, repeats):
    """Images per second of `imgrec classify`, and its CPU in ms per image, both without its start."""
    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    begin = cpu()
    short = classify_seconds(options, photos, repeats)
    middle = cpu()
    long = classify_seconds(options, photos, 3 * repeats)
    images = 2 * repeats * len(photos)
    return images / (long - short), 1000 * ((cpu() - middle) - (middle - begin)) / images


def service_cost(options, photos, repeats):
    """Images per second of `imgrec local` end to end, and the CPU in ms per image of its processes and of the client."""
    images = 2 * repeats * len(photos)
    with Service(options) as service:
        service.upload(photos, images)  # workers have started and warmed up
        before = service.processes()
        client = service.upload(photos, images)
        after = service.processes()
        used = {pid: 1000 * (cpu - before.get(pid, (0, 0))[0]) / images for pid, (cpu, _) in after.items()}
        web = used.pop(service.process.pid)
        return images / client["seconds"], web, sum(used.values()), 1000 * client["cpu_seconds"] / images


def overhead(options):
    """What the service costs around the classification: CPU per image by process, beside `imgrec classify` on the same
    photos. With a model that costs nearly nothing, unless --model names one."""
    if options.model is None:
        options = with_quick_model(options)
    photos = photos_of(options)
    repeats = max(1, options.images // len(photos))
    rows = []
    for _ in range(options.rounds):
        classify, classify_ms = classify_cost(options, photos, repeats)
        local, web, workers, client = service_cost(options, photos, repeats)
        rows.append((classify, classify_ms, local, web, workers, client, web + workers + client - classify_ms,
                     local / classify))
    names = ("imgrec classify, images/s", "  CPU, ms/image", "imgrec local, images/s", "  web and controller, ms/image",
             "  workers, ms/image", "  imgrec load, ms/image", "around classification, ms/image", "local / classify")
    print(f"overhead: model {options.model}, {len(photos)} photos, {options.connections} connections, {options.rounds} rounds; {processor()}")
    for name, values in zip(names, zip(*rows)):
        print(f"  {name:32} median {statistics.median(values):8.2f}   min {min(values):8.2f}   max {max(values):8.2f}")


def idle(options):
    """CPU and memory of an idle `imgrec local`: without workers, and with one kept (--min-workers 1)."""
    print(f"idle: {options.model}, {options.idle_seconds} s; {processor()}")
    for name, flags in (("no worker", ()), ("one worker", ("--controller-min", "1"))):
        with Service(options, *flags) as service:
            time.sleep(3)  # start-up is over
            before, _ = service.cpu_seconds_and_rss()
            time.sleep(options.idle_seconds)
            after, rss = service.cpu_seconds_and_rss()
            print(f"  {name:12} {100 * (after - before) / options.idle_seconds:6.2f} % of a core   {rss / 2**20:7.1f} MiB resident")


def overload(options):
    """Goodput while images come in at a multiple of the capacity, from clients that leave after a while: by the second,
    with the times of refusals and of /healthz. And how long one image takes after the load has ended."""
    photos = photos_of(options)
    with Service(options) as service:
        images = max(10 * options.images, len(photos))
        service.upload(photos, images)  # workers have started and warmed up
        capacity = images / service.upload(photos, images)["seconds"]
        table = pathlib.Path(service.folder) / "requests.csv"
        with health_checks(service.address) as health:
            told = counting.load(options.build / "imgrec", service.address, photos, "--rate", options.overload_factor * capacity,
                                 "--duration", f"{options.overload_seconds:g}s", "--timeout", f"{options.overload_client_timeout:g}s",
                                 "--concurrency", 100_000, "--csv", table, "--fail-if", "ok<1")
        begin = time.monotonic()
        service.upload(photos[:1], 1)
        after = time.monotonic() - begin
        with table.open() as lines:
            rows = list(csv.DictReader(lines))
    good = [row for row in rows if row["ok"] == row["images"]]
    refused = [row for row in rows if row["status"] == "503"]
    by_second = collections.Counter(int(float(row["ended_s"])) for row in good)
    # The first seconds show how the rate gets known; after the end there is nothing to do.
    steady = sorted(by_second[second] for second in range(2, int(options.overload_seconds)))
    print(f"overload: {options.model}, {capacity:.1f} images/s times {options.overload_factor:g} for {options.overload_seconds:g} s, "
          f"clients leave after {options.overload_client_timeout:g} s; {processor()}")
    print(f"  goodput, images/s      mean {statistics.mean(steady):.1f} ({100 * statistics.mean(steady) / capacity:.0f} % of capacity), least second {steady[0]}")
    print(f"  sent {len(rows)}, good {len(good)}, refused {len(refused)}, left {told['errors'].get('timeout', 0)}, sent late {told['late']}; {told['errors']}")
    milliseconds = {"answered, ms": [1000 * float(row["latency_s"]) for row in good], "refused, ms": [1000 * float(row["latency_s"]) for row in refused],
                    "/healthz, ms": health.milliseconds}
    for name, values in milliseconds.items():
        values = sorted(values) or [0]
        at = {share: values[int(share * (len(values) - 1))] for share in (0.5, 0.99, 1)}
        print(f"  {name:22} p50 {at[0.5]:.1f}   p99 {at[0.99]:.1f}   max {at[1]:.1f}")
    print(f"  /healthz unanswered    {health.failed}")
    print(f"  last answer            {told['seconds'] - options.overload_seconds:.1f} s after the load; one image then takes {after:.2f} s")


class health_checks:
    """Asks /healthz ten times a second, on a connection of its own each time."""

    def __init__(self, address):
        self.url = "http://{}:{}/healthz".format(*address)
        self.milliseconds, self.failed, self._end = [], 0, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _ask(self):
        while not self._end.wait(0.1):
            begin = time.monotonic()
            try:
                urllib.request.urlopen(self.url, timeout=10).read()
                self.milliseconds.append(1000 * (time.monotonic() - begin))
            except OSError:
                self.failed += 1


def queue(options):
    """Messages per second of the embedded queue: send, receive and delete."""
    subprocess.run([options.build / "benchmarks" / "queue_benchmark"], check=True)


def aws(options):
    """Calls per second and per second of CPU of our AWS client and of boto3, to the same server, taking turns."""
    folder = options.build / "benchmarks"
    # All on one processor, one after the other. On two, most of what is measured would be the waking of the server's
    # processor: the kernel charges it to whoever sends, and on a virtual machine it costs 30 µs.
    machine, everywhere = processor(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(everywhere)})
    options.cleanup.callback(os.sched_setaffinity, 0, everywhere)
    server = subprocess.Popen([folder / "answering_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, "AWS_ENDPOINT_URL": url,
                   "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    boto3 = [options.boto3_python, pathlib.Path(__file__).parent / "aws" / "boto3_client.py"]
    ours, theirs = {}, {}
    for _ in range(options.rounds):
        for command, best in (([folder / "aws_client_benchmark"], ours), (boto3, theirs)):
            done = subprocess.run([*command, str(options.aws_seconds)], env=environment, check=True, stdout=subprocess.PIPE, text=True)
            for row in map(json.loads, done.stdout.splitlines()):
                best.setdefault(row["call"], []).append((row["cpu_s"] / row["calls"], row["wall_s"] / row["calls"]))
    memory = subprocess.run([folder / "aws_client_benchmark", "calls", str(options.aws_calls)], env=environment, check=True,
                            stdout=subprocess.PIPE, text=True)
    server.stdin.close()
    server.wait(10)
    print(f"aws: least of {options.rounds} rounds of {options.aws_seconds} s, one thread each, over http, server and client on one processor; {machine}")
    print(f"  {'':16} {'imgrec: CPU µs':>15} {'calls/s':>9} {'boto3: CPU µs':>15} {'calls/s':>9} {'CPU, boto3/imgrec':>18}")
    for name, rows in ours.items():
        cpu, wall = (1e6 * min(column) for column in zip(*rows))
        line = f"  {name:16} {cpu:15.1f} {1e6 / wall:9.0f}"
        if name in theirs:
            their_cpu, their_wall = (1e6 * min(column) for column in zip(*theirs[name]))
            line += f" {their_cpu:15.1f} {1e6 / their_wall:9.0f} {their_cpu / cpu:18.1f}"
        print(line)
    row = json.loads(memory.stdout)
    print(f"  memory over {row['calls']} calls: {row['kib_after_a_tenth']} KiB after a tenth of them, {row['kib_at_the_end']} KiB at the end")


def calls(options):
    """AWS calls per image: at load, and of one image at a time; when calls take no time, and when they take 10 ms."""
    if options.model is None:
        options = with_quick_model(options)
    rows = {}
    for latency_ms in (0, 10):
        folder = options.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="imgrec-bench-calls-"))
        files = counting.small_images(folder)
        programs = {"imgrec": options.build / "imgrec", "memory_service": options.build / "benchmarks" / "memory_service"}
        with counting.Bench(programs, folder, options.model, options.model_dir, latency_ms, options.workers) as bench:
            bench.count(files, options.connections * 5, options.connections)  # warm
            rows[f"load, {latency_ms} ms"] = bench.count(files, options.images * 20, options.connections)
            rows[f"lone, {latency_ms} ms"] = bench.count(files, 50, 1)
    print(f"calls per image: model {options.model}, {options.connections} connections (lone: 1), {options.workers} workers; {processor()}")
    print(f"  {'':36}" + "".join(f"{name:>14}" for name in rows))
    for name in sorted(set().union(*(row.calls for row in rows.values()))):
        print(f"  {name:36}" + "".join(f"{row.calls.get(name, 0):14.3f}" for row in rows.values()))
    for service in ("sqs", "s3"):
        print(f"  all of {service:29}" + "".join(f"{counting.sum_of(service, row.calls):14.3f}" for row in rows.values()))
    print(f"  {'images/s':36}" + "".join(f"{row.images_per_second:14.1f}" for row in rows.values()))
    print(f"  {'latency, median, ms':36}" + "".join(f"{row.latency_ms['p50']:14.1f}" for row in rows.values()))


BENCHMARKS = {"aws": aws, "calls": calls, "overload": overload, "queue": queue, "overhead": overhead, "throughput": throughput, "idle": idle}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--photos", type=pathlib.Path, default=pathlib.Path("build/samples"))
    parser.add_argument("--model", default=None, help="else resnet18, but for overhead and calls a model that costs nearly nothing")
    parser.add_argument("--model-dir", default=None)
    parser.add_argument("--images", type=int, default=100, help="of one measurement, at least")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--state-parent", default=None, help="where the service's state folder is made (else in /tmp)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--boto3-python", default="build/venv/moto/bin/python", help="an interpreter that has boto3")
    parser.add_argument("--aws-seconds", type=float, default=3)
    parser.add_argument("--aws-calls", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2, help="of calls: processes with one thread each")
    parser.add_argument("--overload-factor", type=float, default=5)
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--overload-client-timeout", type=float, default=30)
    parser.add_argument("--idle-seconds", type=int, default=20)
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    with contextlib.ExitStack() as options.cleanup:
        for name in options.names or BENCHMARKS:
            if options.model is None and name in ("throughput", "idle", "overload"):
                BENCHMARKS[name](argparse.Namespace(**{**vars(options), "model": "resnet18"}))
            else:
                BENCHMARKS[name](options)


if __name__ == "__main__":
    main()
