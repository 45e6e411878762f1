"""Keys and TLS of a real web node, used by Python's own client."""
import http.client
import json
import socket
import ssl
import subprocess

import imgrec

PHOTO = b"\xff\xd8\xff\xe0 no photo, but it begins as one"


def write_certificate(folder, name):
    """A new key and certificate in the same two files, each replaced in one step."""
    for file in ("key.pem", "chain.pem"):
        (folder / f"new-{file}").unlink(missing_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", folder / "new-key.pem",
                    "-out", folder / "new-chain.pem"], check=True, capture_output=True)
    for file in ("key.pem", "chain.pem"):
        (folder / f"new-{file}").rename(folder / file)


def names_of(certificate):
    return [value for part in certificate["subject"] for _, value in part]


def connect(port, trusted):
    """A verified connection: whose name the certificate has is looked at by the test."""
    context = ssl.create_default_context(cafile=trusted)
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
    connection.connect()
    return connection


def ask(connection, method, path, key=None, body=None):
    connection.request(method, path, body, {"Authorization": f"Bearer {key}", "Prefer": "respond-async"} if key else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_keys_and_certificates_change_under_a_running_node(tmp_path):
    keys, where = tmp_path / "keys.json", ["--web-keys-file", str(tmp_path / "keys.json")]
    key = imgrec.run("key", "create", *where, "--role", "submit", "--name", "camera").stdout.strip()
    write_certificate(tmp_path, "first")
    service = imgrec.Service("web", *where, "--web-tls-certificate", tmp_path / "chain.pem", "--web-tls-key", tmp_path / "key.pem")
    service.start(ready=False)
    with service:
        port = int(service.wait_for_log(r"https://127\.0\.0\.1:(\d+)/").group(1))
        kept = connect(port, tmp_path / "chain.pem")
        assert names_of(kept.sock.getpeercert()) == ["first"]
        assert ask(kept, "GET", "/healthz")[0] == 200
        assert ask(kept, "POST", "/v1/classify", body=PHOTO)[0] == 401
        status, body = ask(kept, "POST", "/v1/classify", key, PHOTO)
        assert status == 202 and json.loads(body)["job"]
        assert ask(kept, "GET", "/metrics", key)[0] == 403

        write_certificate(tmp_path, "second")
        def renewed():
            try:
                with connect(port, tmp_path / "chain.pem").sock as new:
                    return names_of(new.getpeercert()) == ["second"]
            except ssl.SSLCertVerificationError:
                return False  # still the first
        imgrec.wait_until(renewed, 10, "the new certificate")
        assert ask(kept, "POST", "/v1/classify", key, PHOTO)[0] == 202, "on the connection from before"

        imgrec.run("key", "revoke", *where, json.loads(keys.read_text())["keys"][0]["id"])
        imgrec.wait_until(lambda: ask(kept, "POST", "/v1/classify", key, PHOTO)[0] == 401, 5, "the end of the revoked key")

        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"https://" in plain.recv(4096)
        kept.close()
        assert service.stop() == 0
    assert key not in service.log() and key.split("_")[2] not in service.log()


def test_a_node_does_not_start_without_what_its_settings_name(tmp_path):
    for flags, hint in ((["--web-keys-file", tmp_path / "none.json"], "imgrec key create"),
                        (["--web-tls-certificate", tmp_path / "none.pem"], "web.tls_key"),
                        (["--web-tls-certificate", tmp_path / "none.pem", "--web-tls-key", tmp_path / "none.pem"], "none.pem")):
        done = imgrec.run("web", "--port", "0", "--state-dir", str(tmp_path / "state"), *map(str, flags))
        assert done.returncode == 2 and hint in done.stderr, done
