"""The metadata service of one instance, version 2: every read needs a token, as on EC2 with IMDSv2 required."""
import http.server
import json
import secrets
import threading


class InstanceMetadata:
    """credentials: a function that gives (key, secret, token), or None for an instance without a role."""

    def __init__(self, credentials=None, values=None):
        self.credentials = credentials
        self.values = dict(values or {})  # path under meta-data/ → text
        self.tokens = set()
        self.asked = []
        metadata = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, status, text=""):
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                if self.path != "/latest/api/token" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
                    return self.answer(400)
                token = secrets.token_hex(16)
                metadata.tokens.add(token)
                self.answer(200, token)

            def do_GET(self):
                if self.headers.get("X-aws-ec2-metadata-token") not in metadata.tokens:
                    return self.answer(401)
                metadata.asked.append(self.path)
                # Beside meta-data/ there is user-data, when `values` has it.
                text = metadata.read(self.path.removeprefix("/latest/").removeprefix("meta-data/"))
                self.answer(404) if text is None else self.answer(200, text)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, path):
        if path in self.values:
            return self.values[path]
        if self.credentials is None or not path.startswith("iam/security-credentials/"):
            return None
        if path == "iam/security-credentials/":
            return "imgrec-worker"
        key, secret, token = self.credentials()
        return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token,
                           "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"})

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
