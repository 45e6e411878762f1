"""The AWS adapters against moto: the ports' contracts, and what its authorising mode refuses.

IMGREC_TEST_MOTO_PYTHON names the interpreter that has moto (./dev test sets it up from tests/aws/requirements.txt).
"""
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import imgrec

HERE = pathlib.Path(__file__).parent
SHARDS = 6  # most of the time is spent waiting for time-outs to pass

# moto is not AWS there. sqs_contract_test.cpp passes these too: the whole contract, before an imposter that answers as
# AWS's API reference says.
MOTO_DIFFERS = [
    "*.ARepeatedDedupIdIsAcceptedAndDropped/*",  # it forgets the id when the message is removed, and tells a new message id
    "*.RemovingFreesTheGroupForAPoll/*",  # a poll that has begun does not see a group become free
    "*.AStaleReceiptRemovesAndExtendsNothing/*",  # it takes any earlier receipt
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Moto:
    """moto's server as a process of its own."""

    def __init__(self, log):
        python = os.environ.get("IMGREC_TEST_MOTO_PYTHON", "")
        assert python, "IMGREC_TEST_MOTO_PYTHON is not set: run this with ./dev test, or name an interpreter that has moto"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(log, "wb")
        self.process = subprocess.Popen([python, str(HERE / "moto_service.py"), str(self.port)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).read()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, pathlib.Path(log).read_text()
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def ask(self, service, path="/", method="POST", body=b"", **headers):
        """An unsigned call: moto looks only at which service it is for, unless it authorises."""
        scope = f"AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        request = urllib.request.Request(self.url + path, method=method, data=body,
                                         headers={"Authorization": scope, **{k.replace("_", "-"): v for k, v in headers.items()}})
        return urllib.request.urlopen(request, timeout=30).read().decode()

    def form(self, service, version, **fields):
        return self.ask(service, body=urllib.parse.urlencode({"Version": version, **fields}).encode(),
                        Content_Type="application/x-www-form-urlencoded")

    def authorise_from_now_on(self):
        self.ask("iam", "/moto-api/reset-auth", body=b"0", Content_Type="text/plain")

    def environment(self, key="testing", secret="testing", url=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**clean, "AWS_ENDPOINT_URL": url or self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


@pytest.fixture
def moto(tmp_path):
    server = Moto(tmp_path / "moto.log")
    yield server
    server.stop()


def run_shard(environment, index):
    environment = {**environment, "GTEST_TOTAL_SHARDS": str(SHARDS), "GTEST_SHARD_INDEX": str(index)}
    return subprocess.run([imgrec.program("aws_service_contract"), "--gtest_filter=-" + ":".join(MOTO_DIFFERS)], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)


def check_contracts(environment):
    with concurrent.futures.ThreadPoolExecutor(SHARDS) as pool:
        shards = list(pool.map(lambda index: run_shard(environment, index), range(SHARDS)))
    for shard in shards:
        assert shard.returncode == 0, shard.stdout[-6000:] + shard.stderr[-3000:]
    passed = sum(int(count) for shard in shards for count in re.findall(r"^\[  PASSED  \] (\d+) tests?", shard.stdout, re.M))
    assert passed >= 55, f"only {passed} tests passed; were they filtered out?"


def test_adapters_keep_the_contracts(moto):
    check_contracts(moto.environment())


# --- authorising ---------------------------------------------------------------------------------------------------

class Account:
    """moto with a queue, a bucket and two users: one who may use them, and one who may do nothing."""

    def __init__(self, moto):
        self.moto = moto
        moto.ask("s3", "/photos", "PUT")
        moto.ask("sqs", body=b'{"QueueName": "jobs"}', X_Amz_Target="AmazonSQS.CreateQueue", Content_Type="application/x-amz-json-1.0")
        self.worker = self.user("worker", ["sqs:*", "s3:*", "ec2:*"])
        self.stranger = self.user("stranger", ["iam:GetUser"])
        moto.authorise_from_now_on()

    def user(self, name, actions):
        version = "2010-05-08"
        self.moto.form("iam", version, Action="CreateUser", UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        self.moto.form("iam", version, Action="PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = self.moto.form("iam", version, Action="CreateAccessKey", UserName=name)
        return tuple(re.search(f"<{tag}>(.*?)</{tag}>", key).group(1) for tag in ("AccessKeyId", "SecretAccessKey"))

    def probe(self, user, *words, url=None):
        return subprocess.run([imgrec.program("aws_probe"), *words], env=self.moto.environment(*user, url=url), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    server = Moto(tmp_path_factory.mktemp("account") / "moto.log")
    yield Account(server)
    server.stop()


CALLS = {"SQS": ("send", "jobs", "hello 1"), "S3": ("put", "photos", "a folder/käse+%.jpg", "hello 1"), "EC2": ("describe", "fleet")}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_right_signature_with_permission_is_accepted(account, call):
    done = account.probe(account.worker, *call)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", CALLS)
def test_a_wrong_secret_is_refused(account, service):
    done = account.probe((account.worker[0], "x" * 40), *CALLS[service])
    assert done.returncode == 1
    expected = "bad_credentials" if service == "EC2" else "bad_signature"  # EC2 calls it AuthFailure
    assert done.stderr.startswith(expected + ":"), done.stderr
    assert service in done.stderr and "x" * 40 not in done.stderr


@pytest.mark.parametrize("service", CALLS)
def test_a_missing_permission_is_refused(account, service):
    done = account.probe(account.stranger, *CALLS[service])
    assert done.returncode == 1
    assert done.stderr.startswith("access_denied:"), done.stderr
    assert service in done.stderr and "IAM policy" in done.stderr and account.stranger[1] not in done.stderr


class Meddler:
    """Forwards requests to moto with some bytes changed, one connection for each."""

    def __init__(self, port, before, after):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.port, self.before, self.after, self.changed = port, before, after, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.port)) as server:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += client.recv(65536)
                head, body = data.split(b"\r\n\r\n", 1)
                length = re.search(rb"content-length: (\d+)", head, re.I)
                while length and len(body) < int(length.group(1)):
                    body += client.recv(65536)
                whole = head + b"\r\nConnection: close\r\n\r\n" + body
                self.changed += whole.count(self.before)
                server.sendall(whole.replace(self.before, self.after))
                while answer := server.recv(65536):
                    client.sendall(answer)


@pytest.mark.parametrize("service,before,after", [("SQS", b"hello 1", b"hello 2"), ("S3", b"%25.jpg", b"%26.jpg"), ("EC2", b"fleet", b"fleeT")])
def test_a_changed_byte_is_refused(account, service, before, after):
    meddler = Meddler(account.moto.port, before, after)
    done = account.probe(account.worker, *CALLS[service], url=meddler.url)
    assert meddler.changed > 0
    assert done.returncode == 1, "a changed request was carried out"
    expected = "bad_credentials" if service == "EC2" else "bad_signature"
    assert done.stderr.startswith(expected + ":"), done.stderr
