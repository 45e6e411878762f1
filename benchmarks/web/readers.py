"""Connections that wait on a web node: clients held for their answers, and readers of its events. Standard library only."""
import asyncio
import json
import re
import time
import urllib.request

IMAGE = b"\xff\xd8\xff\xe0" + b"\0" * 1000 + b"\xff\xd9"
SESSION = "bench"
CONNECTING_AT_ONCE = 100
TIMEOUT_S = 60


def percentile(values, share):
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


def head(service, method, path, fields):
    return f"{method} {path} HTTP/1.1\r\nHost: {service.host}\r\nX-Session-Id: {SESSION}\r\n{fields}\r\n".encode()


async def connect_all(count, connect):
    for first in range(0, count, CONNECTING_AT_ONCE):
        await asyncio.gather(*(connect() for _ in range(min(CONNECTING_AT_ONCE, count - first))))


def waiting_clients(service):
    metrics = urllib.request.urlopen(service.url + "/metrics", timeout=TIMEOUT_S).read().decode()
    return sum(int(float(value)) for value in re.findall(r"^imgrec_web_waiting_clients(?:{.*})? (\S+)$", metrics, re.M))


async def held_memory_mib(service, count):
    """What so many clients take that each wait for the answer to an image which nobody classifies."""
    connections = []

    async def wait():
        incoming, outgoing = await asyncio.open_connection(service.host, service.port)
        outgoing.write(head(service, "POST", "/v1/classify", f"Content-Length: {len(IMAGE)}\r\n") + IMAGE)
        connections.append((incoming, outgoing))

    await wait()  # whatever is made once
    while waiting_clients(service) < 1:
        await asyncio.sleep(0.1)
    before, end = service.memory_mib(), time.monotonic() + TIMEOUT_S
    await connect_all(count, wait)
    while waiting_clients(service) < count + 1:
        if time.monotonic() > end:
            raise RuntimeError(f"only {waiting_clients(service)} of {count} clients are held")
        await asyncio.sleep(0.1)
    return service.memory_mib() - before


async def upload(service):
    """Uploads an image on a connection of its own: when it was sent, and the job's id."""
    incoming, outgoing = await asyncio.open_connection(service.host, service.port)
    sent = time.monotonic()
    outgoing.write(head(service, "POST", "/v1/classify",
                        f"Prefer: respond-async\r\nContent-Length: {len(IMAGE)}\r\nConnection: close\r\n") + IMAGE)
    answer = await incoming.read()
    outgoing.close()
    if not answer.startswith(b"HTTP/1.1 202"):
        raise RuntimeError(f"the upload was answered {answer[:200]!r}")
    return sent, json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])["job"]


async def events(service, readers, changes):
    """So many readers of /v1/events: the memory that they take in MiB, and the milliseconds from each upload to its event at
    each reader."""
    await upload(service)  # whatever is made once
    before = service.memory_mib()
    seen, tasks = {}, []

    async def read(incoming):
        while line := await incoming.readline():
            if line.startswith(b'data: {"job"'):
                seen.setdefault(json.loads(line[6:])["job"], []).append(time.monotonic())

    async def connect():
        incoming, outgoing = await asyncio.open_connection(service.host, service.port)
        outgoing.write(head(service, "GET", "/v1/events", ""))
        while b"event: snapshot" not in await incoming.readline():
            pass
        tasks.append((asyncio.create_task(read(incoming)), outgoing))

    await connect_all(readers, connect)
    delays = []
    for _ in range(changes):
        sent, job = await upload(service)
        end = time.monotonic() + TIMEOUT_S
        while len(seen.get(job, ())) < readers:
            if time.monotonic() > end:
                raise RuntimeError(f"only {len(seen.get(job, ()))} of {readers} readers had an event within {TIMEOUT_S} s")
            await asyncio.sleep(0.005)
        delays += [1000 * (at - sent) for at in seen[job]]
        await asyncio.sleep(0.1)
    after = service.memory_mib()
    for task, _ in tasks:
        task.cancel()
    return after - before, delays
