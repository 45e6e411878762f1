#!/usr/bin/env python3
"""How fast the web tier is, beside Flask and boto3 under gunicorn and beside nginx, and what waiting clients, slow senders and
a store that hangs cost. `./dev bench web` runs it. Standard library only."""
import argparse
import asyncio
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import os

import pressure
import readers
import services

BODY_BYTES = 100_000
OPEN_FILES = 4096


def note(measured, wanted):
    print(f"  {measured:78} (wanted: {wanted})", flush=True)


def uploads_per_cpu_second(options, service, form):
    """Of kept connections. The first second, in which everything is made once, does not count."""
    services.wrk(service, form, BODY_BYTES, options.connections, 1)
    before = service.cpu_seconds()
    taken = services.wrk(service, form, BODY_BYTES, options.connections, options.seconds)
    return taken / (service.cpu_seconds() - before)


def of_imgrec(options, settings=()):
    with services.memory_service(options.build) as aws, services.imgrec(options.build, aws, settings) as service:
        return uploads_per_cpu_second(options, service, "multipart")


def of_flask(options):
    with services.memory_service(options.build) as aws, services.flask(options.python, aws) as service:
        return uploads_per_cpu_second(options, service, "multipart")


def of_nginx(options):
    with services.nginx(options.nginx) as service:
        return uploads_per_cpu_second(options, service, "put")


def told(values):
    return f"{statistics.median(values):6.0f} ({min(values):.0f} to {max(values):.0f})"


def ratio(ours, theirs):
    """The median of the quotients of each round."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def uploads(options):
    rounds = [(of_imgrec(options), of_flask(options), of_nginx(options)) for _ in range(options.rounds)]
    imgrec, flask, nginx = zip(*rounds)
    print(f"uploads of {BODY_BYTES} bytes per CPU-second of the web tier, one core, {options.connections} kept connections, {options.rounds} rounds "
          f"of {options.seconds} s")
    print(f"  imgrec web, store and queue on AWS's wire   {told(imgrec)}")
    note(f"Flask and boto3 under gunicorn, the same    {told(flask)}: imgrec takes {ratio(imgrec, flask):.1f} times as many", "10")
    note(f"nginx, bodies into files, nothing else      {told(nginx)}: imgrec takes {ratio(imgrec, nginx):.2f} times as many", "0.5")


def tls(options):
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-web-") as folder:
        certificate, key = f"{folder}/chain.pem", f"{folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        settings = ("--web-tls-certificate", certificate, "--web-tls-key", key)
        rounds = [(of_imgrec(options), of_imgrec(options, settings)) for _ in range(options.rounds)]
    plain, encrypted = zip(*rounds)
    print(f"the same with TLS, {options.rounds} rounds")
    print(f"  without                                     {told(plain)}")
    note(f"with                                        {told(encrypted)}: {ratio(encrypted, plain):.2f} of it", "0.8")


def held(options):
    print(f"{options.readers} connections that wait")
    with services.memory_service(options.build) as aws, services.imgrec(options.build, aws) as service:
        note(f"for the answer to an image: {asyncio.run(readers.held_memory_mib(service, options.readers)):.0f} MiB more", "50")
    with services.imgrec(options.build) as service:
        memory, delays = asyncio.run(readers.events(service, options.readers, options.changes))
        note(f"for events (SSE): {memory:.0f} MiB more", "50")
        note(f"upload to its event at each of them: p50 {readers.percentile(delays, 50):.0f} ms, p99 {readers.percentile(delays, 99):.0f} ms, "
             f"max {max(delays):.0f} ms", "p99 250 ms")


def slow(options):
    image = b"\xff\xd8\xff\xe0" + os.urandom(BODY_BYTES - 4)
    rows = []
    for _ in range(options.rounds):
        with services.memory_service(options.build) as aws, services.imgrec(options.build, aws) as service:
            pressure.uploads_ms(service, image, options.rate, 1)
            alone = readers.percentile(pressure.uploads_ms(service, image, options.rate, options.seconds), 99)
            with pressure.slow_senders(service, 8, 64 << 20):
                beside = readers.percentile(pressure.uploads_ms(service, image, options.rate, options.seconds), 99)
            rows.append((beside / alone, beside, alone, service.memory_mib("VmHWM")))
    rows.sort()
    quotient, beside, alone, memory = rows[len(rows) // 2]
    print(f"8 slow senders of 64 MiB in chunks, beside {options.rate} uploads a second, {options.rounds} rounds")
    note(f"p99 of the uploads {beside:.1f} ms, without slow senders {alone:.1f} ms: {quotient:.2f} of it; at most {memory:.0f} MiB", "2")


def hanging(options):
    image = b"\xff\xd8\xff\xe0" + os.urandom(BODY_BYTES - 4)
    with services.memory_service(options.build) as aws, services.imgrec(options.build, aws) as service:
        taken = pressure.healthz_ms_while_store_hangs(service, aws, image, 500, 200)
    print("GET /healthz while the store hangs under 500 uploads")
    note(f"p50 {readers.percentile(taken, 50):.1f} ms, p99 {readers.percentile(taken, 99):.1f} ms, max {max(taken):.1f} ms", "p99 50 ms")


PARTS = {"uploads": uploads, "tls": tls, "held": held, "slow": slow, "hanging": hanging}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--build", type=lambda path: pathlib.Path(path).absolute(), default="build/release")
    parser.add_argument("--python", type=lambda path: pathlib.Path(path).absolute(), default="build/venv/web/bin/python",
                        help="an interpreter that has Flask, boto3 and gunicorn")
    parser.add_argument("--nginx", default="build/nginx/usr/sbin/nginx")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=50, help="uploads that the readers hear of")
    parser.add_argument("--rate", type=int, default=100, help="uploads a second beside slow senders")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("The service and what measures it take a core each, and this machine has one.")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_FILES:
        sys.exit(f"The connections need {OPEN_FILES} open files, and this machine allows {hard}: see ulimit -Hn.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    print(f"processor: {found.group(1) if found else 'unknown'}")
    for part in options.parts or PARTS:
        PARTS[part](options)


if __name__ == "__main__":
    main()
