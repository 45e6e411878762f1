"""A small HTTP/1.1 server for tests of clients: one thread, kept connections, answers that a test chooses, and stalls on request.

    with small_server.SmallServer(lambda request: (200, "text/plain", b"goldfish")) as server:
        run("load", "--url", server.url, …)
    assert server.requests[0].path == "/v1/classify?name=a.jpg"
"""
import asyncio
import dataclasses
import email
import email.policy
import threading
import time


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes
    at: float  # seconds since the server's start
    connection: int

    def parts(self):
        """Of a form: [(field, file name, bytes)]."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        return [(part.get_param("name", header="content-disposition"), part.get_filename(), part.get_payload(decode=True))
                for part in message.iter_parts()]


class SmallServer:
    """answer: called with each Request; returns (status, content type, body), or None to close without an answer, or bytes that are
    sent as they are. tls: an ssl.SSLContext. stall: (begin, seconds): nothing at all happens then, counted from the first request."""

    def __init__(self, answer, stall=None, tls=None):
        self.answer, self.stall, self.tls = answer, stall, tls
        self.requests, self.connections = [], 0
        self._first = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def _run(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20, backlog=1000, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()

    def _stall_if_due(self):
        if self._first is None:
            self._first = time.monotonic()
        if self.stall and time.monotonic() - self._first >= self.stall[0]:
            (_, seconds), self.stall = self.stall, None
            time.sleep(seconds)  # the whole server stands still

    async def _serve(self, reader, writer):
        self.connections += 1
        connection = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self._stall_if_due()
                method, path, _ = line.split(" ")
                request = Request(method, path, headers, body, time.monotonic() - self._first, connection)
                self.requests.append(request)
                answer = self.answer(request)
                if answer is None:
                    break
                if isinstance(answer, tuple):
                    status, kind, content = answer
                    answer = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
