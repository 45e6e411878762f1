#!/usr/bin/env python3
"""Requests a second that one core of a client makes, to a server that answers at once on another core: `imgrec load`, wrk and
Locust, in turn. `./dev bench load` runs it. Standard library only."""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
SERVER_CORE, CLIENT_CORE = 1, 0


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


def run(command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
                          preexec_fn=on_core(CLIENT_CORE)).stdout


def imgrec_load(options, url, image):
    told = json.loads(run([options.build / "imgrec", "load", "--no-status", "--json", "-", "--url", url, "--concurrency", options.connections,
                           "--duration", f"{options.seconds}s", image]))
    assert told["failed"] == 0, told
    return told["calls_per_s"]


def wrk(options, url, _):
    out = run(["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s", HERE / "post.lua", url + "/"])
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return float(re.search(r"Requests/sec: +([0-9.]+)", out).group(1))


def locust(options, url, _):
    told = json.loads(run([options.locust, "-f", HERE / "locustfile.py", "--headless", "--json", "-u", options.connections, "-r", options.connections,
                           "-t", f"{options.seconds}s", "--host", url]))
    assert told[0]["num_failures"] == 0, told
    return told[0]["num_requests"] / (told[0]["last_request_timestamp"] - told[0]["start_time"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--locust", default="build/venv/locust/bin/locust")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    clients = {"imgrec load": imgrec_load, "wrk": wrk, "Locust": locust}
    rates = {name: [] for name in clients}
    server = subprocess.Popen([options.build / "benchmarks" / "instant_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              preexec_fn=on_core(SERVER_CORE))
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with tempfile.TemporaryDirectory(prefix="imgrec-bench-load-") as folder:
            image = pathlib.Path(folder) / "small.jpg"
            image.write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 60)
            for _ in range(options.rounds):
                for name, client in clients.items():
                    rates[name].append(client(options, url, image))
    finally:
        server.stdin.close()
        server.wait(10)
    print(f"load: POST of 64 bytes, {options.connections} connections, one core each for client and server, {options.rounds} rounds of "
          f"{options.seconds} s")
    ours = statistics.median(rates["imgrec load"])
    for name, values in rates.items():
        ratio = "" if name == "imgrec load" else f"   imgrec load makes {ours / statistics.median(values):.2f} times as many"
        print(f"  {name:12} requests/s   median {statistics.median(values):9.0f}   min {min(values):9.0f}   max {max(values):9.0f}{ratio}")


if __name__ == "__main__":
    main()
