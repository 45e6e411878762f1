"""Passes requests on to another server and counts the calls of AWS in them, by service and operation."""
import collections
import http.client
import http.server
import re
import threading
import urllib.parse


class CountingProxy:
    def __init__(self, target):
        target = urllib.parse.urlsplit(target)
        self.counts = collections.Counter()
        self.lock = threading.Lock()
        proxy, local = self, threading.local()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy.lock:
                    proxy.counts[proxy.call_of(self.command, self.path, self.headers, body)] += 1
                connection = http.client.HTTPConnection(target.hostname, target.port, timeout=120)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    response = connection.getresponse()
                    content = response.read()
                finally:
                    connection.close()
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                is_head = self.command == "HEAD"
                self.send_header("Content-Length", response.getheader("Content-Length", "0") if is_head else str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def call_of(method, path, headers, body):
        """("sqs", "ReceiveMessage"), ("s3", "PUT results"), ("ec2", "RunInstances")"""
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", headers.get("Authorization", ""))
        service = scope.group(1) if scope else "unsigned"
        if target := headers.get("X-Amz-Target"):
            return service, target.split(".")[-1]
        if service == "s3":
            parts = path.split("?")[0].split("/")
            return service, method + (" " + parts[2] if len(parts) > 2 else " bucket")
        action = urllib.parse.parse_qs(body.decode(errors="replace")).get("Action", [method])
        return service, action[0]

    def take(self):
        """The counts since the last time."""
        with self.lock:
            counts, self.counts = self.counts, collections.Counter()
        return counts

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
