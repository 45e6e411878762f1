#!/usr/bin/env python3
"""Real processes beside what `imgrec simulate` predicts for them: `imgrec local` with machines that boot for 20 s and take
1.25 s for an image, a burst of 100 images and a ramp. Prints how far the curves of messages and machines are apart, as the area
between them over the area below. Takes five minutes; fails above 15 %.

    ./dev bench elasticity-real
    ./dev bench elasticity-real --policy depth
"""
import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import calls  # noqa: E402
import run as benchmarks  # noqa: E402

BOOT_S, START_S, IMAGE_S, DOLLARS = 20, 0.3, 1.25, 0.0116  # START_S: of the process, after its boot delay
MACHINES_MAX, LOOK_S = 20, 1
SEEDS = 20  # of the prediction: when a threshold is crossed is chance
APART_MAX = 0.15  # area between the curves, as a part of the area below the predicted one
Case = collections.namedtuple("Case", "name at_s seconds")
Curves = collections.namedtuple("Curves", "at_s messages machines")


def cases():
    dice = random.Random(1)

    def ramp(up_s, most_per_s):
        """A Poisson process whose rate goes up to `most_per_s` within `up_s`, and down again."""
        at_s, times = 0, []
        while (at_s := at_s + dice.expovariate(most_per_s)) < 2 * up_s:
            if dice.random() < 1 - abs(at_s - up_s) / up_s:
                times.append(round(at_s + 5, 3))
        return times
    return [Case("burst of 100", [5.0] * 100, 150), Case("ramp", ramp(90, 6.4), 270)]


def scenario(case):
    return f"""duration = "{case.seconds}s"
machines_max = {MACHINES_MAX}
[workers]
image = "{round(IMAGE_S * 1000)}ms"
sigma = 0.2
boot = "{round((BOOT_S + START_S) * 1000)}ms"
boot_sigma = 0
running_share = 1
dollars_per_hour = {DOLLARS}
[service]
counts_late = "0s"
counts_off = 0
look = "{LOOK_S}s"
drain_timeout = "1m"
stop_check = "2s"
[[arrivals]]
at_s = {case.at_s}
"""


def predict(build, case, policy, folder):
    file = folder / (case.name.replace(" ", "-") + ".toml")
    file.write_text(scenario(case))
    done = subprocess.run([build / "imgrec", "simulate", "--policy", policy, "--workers", "reference", "--scenario", file, "--curves",
                           "--seeds", str(SEEDS)], stdout=subprocess.PIPE, text=True, check=True)
    return [Curves(run["at_s"], run["messages"], run["machines"]) for run in map(json.loads, done.stdout.splitlines())]


class Service:
    def __init__(self, build, policy, models, folder):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IMGREC_")}
        environment |= {"WORKER_PACE_MS": str(1000 * IMAGE_S), "IMGREC_WEB_QUEUE_WAIT_MAX": "1h",
                        "IMGREC_CONTROLLER_BOOT_TIME": "1m", "IMGREC_CONTROLLER_PRICE": str(DOLLARS)}
        command = [build / "imgrec", "local", "--port", "0", "--state-dir", folder, "--model", "quick", "--model-dir", models, "--policy",
                   policy, "--max-workers", MACHINES_MAX, "--boot-delay", f"{BOOT_S}s", "--controller-interval", f"{LOOK_S}s",
                   "--local-worker-executable", build / "benchmarks" / "paced_worker"]
        self.process = calls.Process([*map(str, command)], environment, r"http://127\.0\.0\.1:(\d+)/")
        self.port = int(self.process.wait_ready()[1])

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def send(self, image):
        status, text = self.request("POST", "/v1/classify", image, {"Content-Type": "application/octet-stream", "Prefer": "respond-async"})
        if status != 202:
            raise RuntimeError(f"an image was not taken: {status} {text[:300]}")

    def counts(self):
        text = self.request("GET", "/metrics")[1].decode()
        values = {name: [float(value) for value in re.findall(rf"^{name}{{.*}} (.*)$", text, re.M)]
                  for name in ("imgrec_queue_messages", "imgrec_instances")}
        return sum(values["imgrec_queue_messages"]), sum(values["imgrec_instances"])


def observe(build, case, policy, models, image, folder):
    """Sends the images of the case at their times, and looks twice a second."""
    service = Service(build, policy, models, folder)
    try:
        begin = time.monotonic() + 1
        samples, stop = [], threading.Event()

        def watch():
            while not stop.wait(0.5):
                at_s = time.monotonic() - begin
                if at_s >= 0:
                    samples.append((at_s, *service.counts()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                sent = []
                for at_s in case.at_s:
                    time.sleep(max(0, begin + at_s - time.monotonic()))
                    sent.append(pool.submit(service.send, image))
                for one in sent:
                    one.result()
            time.sleep(max(0, begin + case.seconds - time.monotonic()))
        finally:
            stop.set()
            watcher.join()
    finally:
        service.process.stop()
    return Curves(*map(list, zip(*samples)))


def at(curves, values, second):
    """The value of the latest sample by then; 0 before the first."""
    value = 0
    for when, one in zip(curves.at_s, values):
        if when > second:
            break
        value = one
    return value


def on_grid(curves, name, seconds):
    return [at(curves, getattr(curves, name), tick / 2) for tick in range(2 * seconds)]


def apart(one, mean):
    """The area between two curves, as a part of the area below the second."""
    return sum(abs(a - b) for a, b in zip(one, mean)) / max(1e-9, sum(mean))


def compare(real, runs, name, seconds):
    """(how far the real curve is from the mean of the predicted ones, how far those are from it themselves, the two maxima)"""
    predicted = [on_grid(run, name, seconds) for run in runs]
    mean = [sum(column) / len(column) for column in zip(*predicted)]
    ours = on_grid(real, name, seconds)
    return apart(ours, mean), sum(apart(one, mean) for one in predicted) / len(predicted), max(ours), max(mean)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--policy", default="slo")
    parser.add_argument("--curves", type=pathlib.Path, help="write both curves of each case to this file, as JSON")
    options = parser.parse_args()
    build = options.build.resolve()
    with tempfile.TemporaryDirectory(prefix="imgrec-elasticity-") as name:
        folder = pathlib.Path(name)
        model, labels = benchmarks.quick_model(folder)
        subprocess.run([build / "imgrec", "model", "import", model, "--name", "quick", "--profile", "imagenet", "--labels", labels,
                        "--model-dir", folder / "models"], check=True, stdout=subprocess.DEVNULL)
        image = pathlib.Path(calls.small_images(folder, 1)[0]).read_bytes()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [(case, pool.submit(observe, build, case, options.policy, folder / "models", image, folder / f"state-{number}"))
                    for number, case in enumerate(cases())]
            results = [(case, run.result(), predict(build, case, options.policy, folder)) for case, run in runs]
    print(f"policy {options.policy}, {MACHINES_MAX} machines at most, boot {BOOT_S} s, {IMAGE_S} s an image\n")
    print(f"| | real beside the mean of {SEEDS} predictions | those beside their mean | most, real | most, predicted |\n|---|---|---|---|---|")
    worst = 0
    for case, real, predicted in results:
        for name in ("messages", "machines"):
            part, by_chance, most, most_predicted = compare(real, predicted, name, case.seconds)
            worst = max(worst, part)
            print(f"| {case.name}, {name} | {100 * part:.1f} % | {100 * by_chance:.1f} % | {most:.0f} | {most_predicted:.0f} |")
    if options.curves:
        options.curves.write_text(json.dumps({case.name: {"real": real._asdict(), "predicted": [run._asdict() for run in predicted]}
                                              for case, real, predicted in results}))
    return 0 if worst <= APART_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
