"""What the environment and ~/.aws say of authorities and homes reaches the calls: a probe with the AWS client, and a
server that speaks TLS with a certificate that no system trusts."""
import http.server
import ssl
import subprocess
import threading

import pytest

import imgrec

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


class Object(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A server on https://localhost and the file of its authority, in a home folder."""
    home = tmp_path_factory.mktemp("home")
    certificate, key = home / "ca.pem", home / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Object)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # clients that do not trust it
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"HOME": str(home), "AWS_ENDPOINT_URL": f"https://localhost:{server.server_port}", "AWS_REGION": "eu-west-1"}
        server.shutdown()


def get(env):
    return subprocess.run([imgrec.program("aws_probe"), "get", "bucket", "key"], env={**KEYS, **env}, capture_output=True, text=True,
                          timeout=60)


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(tls):
    done = get(tls)
    assert done.returncode == 1 and "not trusted" in done.stderr
    assert get({**tls, "AWS_CA_BUNDLE": "~/ca.pem"}).stdout == "hello\n"


def test_the_profile_may_name_it(tls, tmp_path):
    config = tmp_path / "config"
    config.write_text("[default]\n  ca_bundle = ~/ca.pem\n")
    done = get({**tls, "AWS_CONFIG_FILE": str(config)})
    assert done.stdout == "hello\n", done.stderr


def test_a_bundle_that_is_none_is_told_before_any_call(tls, tmp_path):
    done = get({**tls, "AWS_CA_BUNDLE": "~/none.pem"})
    assert done.returncode == 1 and f"{tls['HOME']}/none.pem" in done.stderr and "AWS_CA_BUNDLE" in done.stderr
    (tmp_path / "empty.pem").write_text("hello")
    done = get({**tls, "AWS_CA_BUNDLE": str(tmp_path / "empty.pem")})
    assert done.returncode == 1 and "-----BEGIN CERTIFICATE-----" in done.stderr


def test_lines_that_nobody_uses_are_told_and_stop_nothing(tls, tmp_path):
    config = tmp_path / "config"
    config.write_text("[profile other]\nnonsense\n[default]\nca_bundle = ~/ca.pem\n")
    done = get({**tls, "AWS_CONFIG_FILE": str(config)})
    assert done.stdout == "hello\n", done.stderr
    assert "config file, line 2" in done.stderr
    done = get({**tls, "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "other"})
    assert done.returncode == 1 and "config file, line 2" in done.stderr


def test_without_a_home_there_are_no_files(tls):
    env = {**tls, "AWS_CA_BUNDLE": tls["HOME"] + "/ca.pem"}
    for home in ({}, {"HOME": ""}, {"HOME": "/nonexistent"}, {"HOME": "/dev/null"}):
        env.pop("HOME", None)
        assert get({**env, **home}).stdout == "hello\n"
