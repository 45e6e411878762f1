"""What an instance runs at its first start (configs/user-data/install.py): against moto in its authorising mode, and
against servers that fail as networks do."""
import contextlib
import datetime
import email.utils
import hashlib
import http.server
import io
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading

import pytest

import aws_account
import instance_metadata

INSTALLER = aws_account.ROOT / "configs/user-data/install.py"


def make_bundle(names=("bin/imgrec", "models/m/model.json")):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = 5, 0o755
            archive.addfile(entry, io.BytesIO(b"hello"))
    return raw.getvalue()


class Machine:
    """Folders of an instance, its metadata, and a systemctl that writes down what it is told."""

    def __init__(self, folder, credentials, values=None):
        self.folder = folder
        self.calls = folder / "systemctl.log"
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >> {self.calls}\n')
        (folder / "bin/systemctl").chmod(0o755)
        (folder / "etc").mkdir()
        self.metadata = instance_metadata.InstanceMetadata(credentials, values)

    def install(self, url, bundle, *more):
        sha256 = bundle if isinstance(bundle, str) else hashlib.sha256(bundle).hexdigest()
        return subprocess.run(
            ["/usr/bin/python3", str(INSTALLER), "--url", url, "--region", aws_account.REGION, "--sha256", sha256,
             "--folder", str(self.folder / "opt/imgrec"), "--environment", str(self.folder / "etc/worker.env"),
             "--attempts", "3", "--pause", "0.01", "--poweroff", *more],
            env={"PATH": f"{self.folder}/bin:/usr/bin:/bin", "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.url,
                 "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},  # nothing goes through a proxy
            capture_output=True, text=True, timeout=60)

    def told_systemd(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def refused(self, done, *near):
        """Nothing is installed, the last line says why and what to do, and the machine powers off."""
        assert done.returncode == 1
        assert not (self.folder / "opt/imgrec").exists() and not list((self.folder / "opt").glob("*.tar.gz"))
        reason = [line for line in done.stderr.splitlines() if "imgrec cannot be installed" in line]
        assert len(reason) == 1, done.stderr
        for text in near:
            assert text in reason[0], done.stderr
        assert self.told_systemd() == ["poweroff"]
        return done.stderr


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with aws_account.Moto(tmp_path_factory.mktemp("moto")) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="bundle-bucket")
        s3.create_bucket(Bucket="other-bucket")
        server.bundle = make_bundle()
        for bucket in ("bundle-bucket", "other-bucket"):
            s3.put_object(Bucket=bucket, Key="bundles/imgrec.tar.gz", Body=server.bundle)
        server.worker = server.session_of(server.role("worker"))
        server.authorise_from_now_on()
        yield server


@pytest.fixture
def machine(account, tmp_path):
    built = Machine(tmp_path, lambda: account.worker, {"instance-id": "i-0123", "ami-launch-index": "2",
                                                       "tags/instance/imgrec:app-tiers": "1,3-5"})
    with built.metadata:
        yield built


def test_it_fetches_checks_unpacks_and_starts(account, machine):
    done = machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle)
    assert done.returncode == 0, done.stderr
    program = machine.folder / "opt/imgrec/bin/imgrec"
    assert program.read_bytes() == b"hello" and program.stat().st_mode & 0o111
    assert machine.told_systemd() == ["daemon-reload", "enable --now --no-block imgrec-worker.service"]
    assert (machine.folder / "etc/worker.env").read_text() == \
        "IMGREC_WORKER_ID=i-0123\nIMGREC_WORKER_APP_TIER_ID=app-tier-4\n"
    assert not list((machine.folder / "opt").glob("*.tar.gz"))
    for secret in account.worker:
        assert secret not in done.stderr + done.stdout


def test_other_units_are_started_where_they_are_named(account, machine):
    done = machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle, "--unit", "imgrec@web.service", "imgrec@controller.service")
    assert done.returncode == 0, done.stderr
    assert machine.told_systemd() == ["daemon-reload", "enable --now --no-block imgrec@web.service imgrec@controller.service"]


def test_the_user_data_of_a_launch_names_the_app_tiers(account, machine):
    """Where a tag of the instance cannot be in metadata, none is."""
    del machine.metadata.values["tags/instance/imgrec:app-tiers"]
    machine.metadata.values["user-data"] = "#cloud-config\nruncmd: []\n# imgrec:app-tiers=2,7-9\n"
    assert machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle).returncode == 0
    assert "IMGREC_WORKER_APP_TIER_ID=app-tier-8\n" in (machine.folder / "etc/worker.env").read_text()


def test_it_downloads_through_the_proxy_that_is_named(account, machine):
    with server_of(whole(account.bundle)) as (url, requests):
        proxy = url.removesuffix("/b/k")
        named = machine.install("http://bucket.invalid/bundles/k", account.bundle, "--proxy", proxy, "--no-proxy", ".example.org")
        assert named.returncode == 0, named.stderr
        assert [request["host"] for request in requests] == ["bucket.invalid"], "the bundle alone, no metadata"
        shutil.rmtree(machine.folder / "opt")  # else it has the bundle already
        done = machine.install("http://bucket.invalid/bundles/k", account.bundle, "--proxy", proxy, "--no-proxy", ".invalid")
        assert done.returncode == 1 and len(requests) == 1


def test_authorities_that_the_image_lacks(account, machine):
    done = machine.install("https://localhost:9/k", account.bundle, "--ca-bundle", str(machine.folder / "none.pem"))
    machine.refused(done, "none.pem", "aws.worker_ca_bundle")


def test_a_newer_bundle_replaces_the_old_one_whole(account, machine):
    (machine.folder / "opt/imgrec/lib").mkdir(parents=True)
    (machine.folder / "opt/imgrec/lib/old.so").write_text("old")
    assert machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle).returncode == 0
    assert not (machine.folder / "opt/imgrec/lib").exists()


def test_what_the_image_has_is_not_fetched_again(account, machine):
    url, sha256 = account.url + "/bundle-bucket/bundles/imgrec.tar.gz", hashlib.sha256(account.bundle).hexdigest()
    baked = machine.install(url, account.bundle, "--bake")
    assert baked.returncode == 0, baked.stderr
    assert machine.told_systemd() == [] and not (machine.folder / "etc/worker.env").exists(), "it starts nothing and takes no name"
    (machine.folder / "opt/imgrec/kept").touch()
    started = machine.install("http://127.0.0.1:9/none", sha256)
    assert started.returncode == 0, started.stderr
    assert machine.told_systemd()[-1].endswith("imgrec-worker.service") and (machine.folder / "opt/imgrec/kept").exists()
    assert (machine.folder / "etc/worker.env").read_text().startswith("IMGREC_WORKER_ID=i-0123\n")


def test_an_image_with_another_bundle_fetches(account, machine):
    assert machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle, "--bake").returncode == 0
    (machine.folder / "opt/imgrec/old").touch()
    newer = make_bundle(("bin/imgrec", "newer"))
    with server_of(whole(newer)) as (url, requests):
        assert machine.install(url, newer).returncode == 0 and len(requests) == 1
    assert (machine.folder / "opt/imgrec/newer").exists() and not (machine.folder / "opt/imgrec/old").exists()
    assert (machine.folder / "opt/imgrec/sha256").read_text() == hashlib.sha256(newer).hexdigest()


def test_another_sha256_is_not_installed(account, machine):
    done = machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", "0" * 64)
    error = machine.refused(done, hashlib.sha256(account.bundle).hexdigest(), "0" * 64, "imgrec bundle upload")
    assert len(re.findall(r"attempt \d of 3", error)) == 1, "another attempt would get the same bytes"


def test_a_bucket_that_the_role_may_not_read(account, machine):
    done = machine.install(account.url + "/other-bucket/bundles/imgrec.tar.gz", account.bundle)
    error = machine.refused(done, "403 AccessDenied", "s3:GetObject", "configs/iam")
    for secret in account.worker:
        assert secret not in error


def test_an_object_that_is_not_there(account, machine):
    done = machine.install(account.url + "/bundle-bucket/bundles/none.tar.gz", account.bundle)
    machine.refused(done, "404 NoSuchKey", "imgrec bundle upload")


def test_an_instance_without_a_role(account, tmp_path):
    machine = Machine(tmp_path, None)
    with machine.metadata:
        machine.refused(machine.install(account.url + "/bundle-bucket/x", account.bundle), "aws.instance_profile")


def test_a_role_that_comes_late(account, tmp_path):
    machine = Machine(tmp_path, None)
    waited = []

    def read(path, plain=machine.metadata.read):
        waited.append(path)
        if len(waited) > 1:
            machine.metadata.credentials = lambda: account.worker
        return plain(path)
    machine.metadata.read = read
    with machine.metadata:
        assert machine.install(account.url + "/bundle-bucket/bundles/imgrec.tar.gz", account.bundle).returncode == 0


def test_without_poweroff_the_machine_stays_for_whoever_looks(account, machine, monkeypatch):
    command = machine.install(account.url + "/bundle-bucket/none", account.bundle).args
    machine.calls.unlink()
    done = subprocess.run([word for word in command if word != "--poweroff"], capture_output=True, text=True, timeout=60,
                          env={"PATH": f"{machine.folder}/bin:/usr/bin:/bin",
                               "AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.metadata.url})
    assert done.returncode == 1 and machine.told_systemd() == []


@contextlib.contextmanager
def server_of(*answers):
    """A server whose n-th GET is answered by the n-th function (the last one from then on). Yields its URL and requests."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            requests.append({name.lower(): value for name, value in self.headers.items()})
            answers[min(len(requests), len(answers)) - 1](self)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/b/k", requests
    finally:
        server.shutdown()
        server.server_close()


def whole(body):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def cut(body, after):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.close_connection = True
    return answer


def status(code, headers=(), body=b""):
    def answer(handler):
        handler.send_response_only(code)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def drop(handler):
    handler.close_connection = True
    handler.connection.close()


def test_a_connection_that_is_cut_is_tried_again(machine):
    bundle = make_bundle()
    with server_of(cut(bundle, 100), drop, whole(bundle)) as (url, requests):
        done = machine.install(url, bundle)
    assert done.returncode == 0, done.stderr
    assert f"cut after 100 of {len(bundle)} bytes" in done.stderr and len(requests) == 3


def test_one_that_is_always_cut_is_given_up(machine):
    bundle = make_bundle()
    with server_of(cut(bundle, 0)) as (url, requests):
        machine.refused(machine.install(url, bundle), "cut after 0 of")
    assert len(requests) == 3


def test_a_server_that_is_busy_is_tried_again(machine):
    bundle = make_bundle()
    with server_of(status(503, body=b"<Error><Code>SlowDown</Code></Error>"), whole(bundle)) as (url, _):
        done = machine.install(url, bundle)
    assert done.returncode == 0 and "503 SlowDown" in done.stderr


def test_credentials_go_to_no_other_host(machine):
    bundle = make_bundle()
    with server_of(whole(bundle)) as (elsewhere, asked), \
            server_of(status(307, [("Location", elsewhere)])) as (url, _):
        machine.refused(machine.install(url, bundle), "307")
    assert asked == []


def test_a_wrong_clock_is_corrected_by_the_refusal(machine):
    bundle = make_bundle()
    theirs = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=3)
    with server_of(status(403, [("Date", email.utils.format_datetime(theirs, usegmt=True))],
                          b"<Error><Code>RequestTimeTooSkewed</Code></Error>"), whole(bundle)) as (url, requests):
        assert machine.install(url, bundle).returncode == 0
    signed = datetime.datetime.strptime(requests[1]["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    assert abs(signed - theirs) < datetime.timedelta(minutes=2)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_bundle_that_would_write_elsewhere_is_refused(machine, name):
    bundle = make_bundle(["bin/imgrec", name])
    with server_of(whole(bundle)) as (url, _):
        machine.refused(machine.install(url, bundle), "outside its folder")
    assert not (machine.folder / "outside").exists()


def test_what_is_no_archive_is_refused(machine):
    for body in (b"", b"no archive", make_bundle()[:60]):
        machine.calls.unlink(missing_ok=True)
        with server_of(whole(body)) as (url, _):
            machine.refused(machine.install(url, body))
