"""A web node under pressure: what other clients notice of slow senders, and of a store that hangs. Standard library only."""
import contextlib
import http.client
import signal
import socket
import threading
import time

from services import threads

SLOW_CHUNK_BYTES = 16384
SLOW_CHUNK_SECONDS = 0.1
CLIENTS = 10


def uploads_ms(service, image, rate, seconds):
    """Uploads `image` so often a second: how long each took from when it was due, in milliseconds."""
    taken, begin = [], time.monotonic()

    def send(client):
        connection = http.client.HTTPConnection(service.host, int(service.port), timeout=60)
        for number in range(client, int(rate * seconds), CLIENTS):
            due = begin + number / rate
            time.sleep(max(0, due - time.monotonic()))
            connection.request("POST", "/v1/classify", body=image, headers={"Prefer": "respond-async"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                raise RuntimeError(f"an upload was answered {answer.status}")
            taken.append(1000 * (time.monotonic() - due))

    threads(CLIENTS, send)
    return taken


@contextlib.contextmanager
def slow_senders(service, count, promised_bytes):
    """So many that send chunks of one body of so many bytes, slowly, until the block is left."""
    ended = threading.Event()

    def send():
        with socket.create_connection((service.host, int(service.port))) as connection:
            connection.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: {service.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            chunk = b"%x\r\n" % SLOW_CHUNK_BYTES + b"\xff\xd8\xff\xe0" + b"x" * (SLOW_CHUNK_BYTES - 4) + b"\r\n"
            for _ in range(promised_bytes // SLOW_CHUNK_BYTES):
                if ended.wait(SLOW_CHUNK_SECONDS):
                    return
                connection.sendall(chunk)

    all_senders = [threading.Thread(target=send) for _ in range(count)]
    for sender in all_senders:
        sender.start()
    try:
        time.sleep(1)
        yield
        if not all(sender.is_alive() for sender in all_senders):
            raise RuntimeError("the slow senders ended before what they should disturb")
    finally:
        ended.set()
        for sender in all_senders:
            sender.join()


def healthz_ms_while_store_hangs(service, store, image, uploads, calls):
    """Stops the store's process, begins so many uploads at once, and asks /healthz so often: how long each took, in
    milliseconds. More uploads are begun than a node has threads for."""
    connections = []
    store.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(uploads):
            connection = socket.create_connection((service.host, int(service.port)))
            connection.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: {service.host}\r\nContent-Length: {len(image)}\r\n\r\n".encode())
            connection.sendall(image)
            connections.append(connection)
        taken = []
        for _ in range(calls):
            begin = time.monotonic()
            asking = http.client.HTTPConnection(service.host, int(service.port), timeout=60)
            asking.request("GET", "/healthz")
            answer = asking.getresponse()
            answer.read()
            asking.close()
            if answer.status != 200:
                raise RuntimeError(f"/healthz answered {answer.status}")
            taken.append(1000 * (time.monotonic() - begin))
            time.sleep(0.01)
        return taken
    finally:
        store.process.send_signal(signal.SIGCONT)
        for connection in connections:
            connection.close()
