#!/usr/bin/env python3
"""Starts `imgrec local`, sends it photos over HTTP and prints the answers. Exit 0 only if every photo was answered by a
worker through the queue. With --scale REPORT instead: 100 images at once on a service without workers, whose workers take ten
seconds to start, as instances that boot do; `imgrec load` sends them and writes the report. Standard library only."""
import argparse
import concurrent.futures
import http.client
import json
import mimetypes
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

SCALE_IMAGES = 100
# depth ends workers as soon as the queue is empty; slo, the default, would use the minute that they are billed for.
SCALE_FLAGS = ("--min-workers", "0", "--boot-delay", "10s", "--idle-cooldown", "5s", "--controller-price", "0.0116", "--policy", "depth")
SCALE_WATCH = "12s"  # after the last answer: workers end again
STAGES = ("queue", "fetch", "decode", "preprocess", "infer", "store")


def start_service(imgrec, model, state_dir, *flags):
    """The process and the host and port it listens on. Its log goes to state_dir/imgrec.log."""
    model_dir = json.loads(subprocess.run([imgrec, "config", "show", "--json"], check=True, capture_output=True, text=True)
                           .stdout)["model.dir"]["value"]
    process = subprocess.Popen([imgrec, "local", "--port", "0", "--state-dir", str(state_dir), "--model", model,
                                "--model-dir", model_dir, *flags], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    address = None
    log = open(state_dir / "imgrec.log", "w")
    for line in process.stderr:
        log.write(line)
        if found := re.search(r"http://([0-9.]+):(\d+)", line):
            address = found.group(1), int(found.group(2))
            break
    if address is None:
        log.close()
        sys.exit(f"imgrec local did not start:\n{(state_dir / 'imgrec.log').read_text()}")

    def keep_log():
        with log:
            for line in process.stderr:
                log.write(line)
    threading.Thread(target=keep_log, daemon=True).start()
    return process, address


def classify(address, photo):
    """The result document of one photo, and the milliseconds that the client waited."""
    connection = http.client.HTTPConnection(*address, timeout=120)
    begin = time.monotonic()
    connection.request("POST", "/v1/classify?name=" + urllib.parse.quote(photo.name), photo.read_bytes(),
                       {"Content-Type": mimetypes.guess_type(photo.name)[0] or "application/octet-stream"})
    response = connection.getresponse()
    body = json.loads(response.read())
    if response.status != 200:
        raise RuntimeError(f"HTTP {response.status}: {body.get('detail', body)}")
    return body, 1000 * (time.monotonic() - begin)


def stop_service(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def scale(options):
    """The reference test: what a service that has to start its workers first makes of 100 images at once."""
    options.scale.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="imgrec-demo-") as folder:
        process, (host, port) = start_service(options.imgrec, options.model, pathlib.Path(folder), *SCALE_FLAGS)
        try:
            done = subprocess.run([options.imgrec, "load", "--url", f"http://{host}:{port}", "--requests", str(SCALE_IMAGES),
                                   "--concurrency", str(SCALE_IMAGES), "--watch-after", SCALE_WATCH, "--html", str(options.scale), str(options.photos)])
        finally:
            stop_service(process)
    if done.returncode == 0:
        print(f"\nThe picture of it: {options.scale}")
    return done.returncode


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imgrec", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True, type=pathlib.Path)
    parser.add_argument("--scale", type=pathlib.Path, metavar="REPORT")
    options = parser.parse_args()
    if options.scale:
        return scale(options)
    photos = sorted(p for p in options.photos.iterdir() if p.suffix in (".jpg", ".png"))

    failed = 0
    with tempfile.TemporaryDirectory(prefix="imgrec-demo-") as folder:
        process, address = start_service(options.imgrec, options.model, pathlib.Path(folder))
        try:
            with concurrent.futures.ThreadPoolExecutor(len(photos)) as pool:
                answers = [pool.submit(classify, address, photo) for photo in photos]
            rows = [("photo", "label", "score", "waited", *STAGES, "worker")]
            for photo, answer in zip(photos, answers):
                try:
                    result, waited_ms = answer.result()
                    best, timings, worker = result["labels"][0], result["timings_ms"], result["worker"]
                    if result["name"] != photo.name or not worker["id"]:
                        raise RuntimeError("the answer is not this photo's")
                    rows.append((photo.name, best["label"], f"{best['score']:.3f}", f"{waited_ms:.0f} ms",
                                 *(f"{timings[stage]:.1f}" for stage in STAGES), worker["app_tier_id"] or worker["id"]))
                except (RuntimeError, OSError, KeyError, IndexError, ValueError) as error:
                    failed += 1
                    rows.append((photo.name, f"FAILED: {error}", "", "", *("" for _ in STAGES), ""))
            print_table(rows)
            print(f"\n{len(photos) - failed} of {len(photos)} photos answered by {options.model}; stages in ms. "
                  "The first photos waited for a worker to start.")
            if failed:
                print("The log ends:\n" + "".join((pathlib.Path(folder) / "imgrec.log").read_text().splitlines(True)[-20:]))
        finally:
            stop_service(process)
    if not failed:
        print("\nKeep it running:  ./dev up      then open http://127.0.0.1:8000 and drop photos on the page.")
        print(f"Without a service: {options.imgrec} classify --model {options.model} PHOTO…")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
