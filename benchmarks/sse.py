"""Many readers of /v1/events on one web node: memory, and the time from an upload to its event at each reader.

    python3 benchmarks/sse.py [--build build/release] [--readers 1000] [--changes 50]

Readers and node share this machine's processors. Prints one JSON document. Standard library only."""
import argparse
import asyncio
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 1000 + b"\xff\xd9"
SESSION = "bench"
CONNECTING_AT_ONCE = 100
TIMEOUT_S = 30


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def percentile(values, share):
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


class Reader:
    """Notes when each job's event came."""

    def __init__(self, seen):
        self.seen = seen

    async def connect(self, host, port):
        self.incoming, self.outgoing = await asyncio.open_connection(host, port)
        self.outgoing.write(f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nX-Session-Id: {SESSION}\r\n\r\n".encode())
        while b"event: snapshot" not in await self.incoming.readline():
            pass
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.incoming.readline():
            if line.startswith(b'data: {"job"'):
                self.seen.setdefault(json.loads(line[6:])["job"], []).append(time.monotonic())


async def upload(host, port):
    """When it was sent, and the job's id."""
    incoming, outgoing = await asyncio.open_connection(host, port)
    head = (f"POST /v1/classify HTTP/1.1\r\nHost: {host}\r\nX-Session-Id: {SESSION}\r\nPrefer: respond-async\r\n"
            f"Content-Length: {len(JPEG)}\r\nConnection: close\r\n\r\n")
    sent = time.monotonic()
    outgoing.write(head.encode() + JPEG)
    answer = await incoming.read()
    outgoing.close()
    if not answer.startswith(b"HTTP/1.1 202"):
        raise SystemExit(f"the upload was answered {answer[:200]!r}")
    return sent, json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])["job"]


async def measure(pid, host, port, readers, changes):
    await upload(host, port)  # whatever is made once
    before = resident_mb(pid)
    seen = {}
    all_readers = [Reader(seen) for _ in range(readers)]
    for first in range(0, readers, CONNECTING_AT_ONCE):
        await asyncio.gather(*(reader.connect(host, port) for reader in all_readers[first:first + CONNECTING_AT_ONCE]))
    idle = resident_mb(pid)
    delays = []
    for _ in range(changes):
        sent, job = await upload(host, port)
        end = time.monotonic() + TIMEOUT_S
        while len(seen.get(job, ())) < readers:
            if time.monotonic() > end:
                raise SystemExit(f"only {len(seen.get(job, ()))} of {readers} readers had an event within {TIMEOUT_S} s")
            await asyncio.sleep(0.005)
        delays += [1000 * (at - sent) for at in seen[job]]
        await asyncio.sleep(0.1)
    after = resident_mb(pid)
    for reader in all_readers:
        reader.task.cancel()
    return {"readers": readers, "changes": changes, "resident_mb_before": round(before, 1), "more_mb_idle": round(idle - before, 1),
            "more_mb_after_changes": round(after - before, 1), "event_ms_p50": round(percentile(delays, 50), 1),
            "event_ms_p99": round(percentile(delays, 99), 1), "event_ms_max": round(max(delays), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=50)
    options = parser.parse_args()
    files = options.readers + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < files:
        sys.exit(f"{options.readers} readers need {files} open files, and this machine allows {hard}: see ulimit -Hn.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-") as state:
        log = pathlib.Path(state) / "log"
        with log.open("w") as out:
            node = subprocess.Popen([f"{options.build}/imgrec", "web", "--state-dir", state, "--port", "0"], stderr=out,
                                    env={"IMGREC_WEB_CONNECTIONS_MAX": str(options.readers + 100), "PATH": "/usr/bin:/bin"})
        try:
            end = time.monotonic() + TIMEOUT_S
            while not (found := re.search(r"bind=([0-9.]+) port=(\d+)", log.read_text())):
                if time.monotonic() > end or node.poll() is not None:
                    sys.exit(f"the web node did not start:\n{log.read_text()}")
                time.sleep(0.05)
            print(json.dumps(asyncio.run(measure(node.pid, found.group(1), int(found.group(2)), options.readers, options.changes))))
        finally:
            node.terminate()
            node.wait(60)


if __name__ == "__main__":
    main()
