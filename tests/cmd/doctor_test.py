"""`imgrec doctor`: on this machine, against moto, and against a server that answers what moto cannot."""
import contextlib
import email.utils
import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import socket
import tarfile
import threading
import time

import pytest

import aws_account
import imgrec

MODEL = "resnet18-pqf"


def doctor(*flags, env=None):
    done = imgrec.run("doctor", "--json", *flags, env=env)
    found = json.loads(done.stdout) if done.stdout else {"checks": []}
    checks = {check["name"]: check for check in found["checks"]}
    assert done.returncode == (0 if found.get("ok") else 1), done.stderr
    for check in checks.values():
        assert check["status"] in ("ok", "warning", "failed", "skipped") and check["detail"]
        assert check["status"] != "failed" or check["fix"], f"{check['name']} does not say how to fix it"
    return checks


def failed(checks):
    return {name for name, check in checks.items() if check["status"] == "failed"}


# --- one machine -----------------------------------------------------------------------------------------------------

def local(tmp_path, *flags):
    return doctor("--state-dir", tmp_path / "state", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL), "--port", "0", *flags)


def test_a_machine_that_is_well(tmp_path):
    checks = local(tmp_path)
    assert not failed(checks)
    assert {"state folder", "disk space", f"model {MODEL}", "port 0", "workers"} <= set(checks)
    assert "runs in " in checks[f"model {MODEL}"]["detail"]
    assert not (tmp_path / "state/.imgrec-doctor").exists() and not (tmp_path / "state/cache").exists()


def test_a_model_that_is_missing_or_damaged(tmp_path):
    assert "imgrec model pull" in local(tmp_path, "--model", "resnet18")["model resnet18"]["fix"]
    folder = imgrec.model_dir(MODEL) / MODEL
    copy = tmp_path / "models" / MODEL
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with open(copy / f"{MODEL}.onnx", "r+b") as weights:
        weights.seek(1000)
        weights.write(b"damage")
    check = local(tmp_path, "--model-dir", tmp_path / "models")[f"model {MODEL}"]
    assert check["status"] == "failed" and "SHA-256" in check["detail"]


def test_a_model_that_is_intact_and_cannot_be_run(tmp_path):
    source = imgrec.model_dir(MODEL) / MODEL
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    weights = b"half a model"
    (folder / f"{MODEL}.onnx").write_bytes(weights)
    manifest = json.loads((source / "model.json").read_text())
    manifest["sha256"] = hashlib.sha256(weights).hexdigest()
    manifest.pop("variants", None)
    (folder / "model.json").write_text(json.dumps(manifest))
    check = local(tmp_path, "--model-dir", tmp_path / "models")[f"model {MODEL}"]
    assert check["status"] == "failed" and "no complete ONNX model" in check["detail"]


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        check = local(tmp_path, "--port", str(port))[f"port {port}"]
        assert check["status"] == "failed" and "--port" in check["fix"]


def test_beside_a_running_service(tmp_path):
    with imgrec.Service("web", state_dir=tmp_path / "state") as service:
        port = str(service.address[1])
        check = local(tmp_path, "--port", port)[f"port {port}"]
        assert check["status"] == "ok" and "the service runs there" in check["detail"]


def test_a_state_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    checks = doctor("--state-dir", tmp_path / "file/state", "--model", MODEL, "--model-dir", imgrec.model_dir(MODEL), "--port", "0")
    assert failed(checks) == {"state folder"} and "--state-dir" in checks["state folder"]["fix"]


def test_people_get_a_table(tmp_path):
    done = imgrec.run("doctor", "--state-dir", tmp_path, "--model", "resnet18", "--port", "0")
    assert done.returncode == 1
    assert "FAILED   model resnet18" in done.stdout and "-> `imgrec model pull resnet18`" in done.stdout
    assert imgrec.run("doctor", "--for", "cook").returncode == 2


# --- an account --------------------------------------------------------------------------------------------------------

def packed(files):
    """A .tar.gz with these files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with aws_account.Moto(tmp_path_factory.mktemp("moto")) as server:
        server.sessions = {name: server.session_of(server.role(name)) for name in ("web", "worker", "controller", "deployer")}
        server.path = tmp_path_factory.mktemp("bundle") / "imgrec-0.1.0-x86_64.tar.gz"
        server.path.write_bytes(packed({"bin/imgrec": os.urandom(100_000), "bundle.json": json.dumps(
            {"version": "0.1.0", "architecture": "x86_64", "models": ["mobile", "resnet18"]}).encode()}))
        server.sha256 = hashlib.sha256(server.path.read_bytes()).hexdigest()
        server.authorise_from_now_on()
        yield server


def aws(account, who, *flags, url=None):
    credentials = account.admin if who == "admin" else account.sessions[who]
    environment = account.variables(credentials, url)
    return doctor("--platform", "aws", "--input-bucket", "in-bucket", "--output-bucket", "out-bucket", "--aws-bundle-bucket",
                  "bundle-bucket", "--aws-image-id", "ami-12c6146b", "--aws-instance-types", "c7i.large",
                  "--aws-instance-profile", "imgrec-worker", "--port", "0", "--node", "web-1", *flags, env=environment)


def test_an_account_without_anything(account):
    checks = aws(account, "admin")
    assert {"queue imgrec-requests", "queue imgrec-dead", "bucket in-bucket", "bucket out-bucket"} <= failed(checks)
    assert "imgrec setup" in checks["queue imgrec-requests"]["fix"] and "imgrec setup" in checks["bucket in-bucket"]["fix"]
    assert checks["identity"]["detail"].endswith(":user/admin")
    assert "imgrec web" in checks["queue imgrec-responses-web-1"]["detail"]


@pytest.fixture(scope="module")
def ready(account):
    """As a deployer leaves it. The flags that name the bundle."""
    environment = account.variables(account.sessions["deployer"])
    flags = ["--platform", "aws", "--aws-input-bucket", "in-bucket", "--aws-output-bucket", "out-bucket", "--aws-bundle-bucket",
             "bundle-bucket", "--aws-tags", "stage=test", "--aws-s3-kms-key", "alias/ours"]
    for words in (["setup"], ["bundle", "upload", account.path]):
        done = imgrec.run(*words, *flags, env=environment)
        assert done.returncode == 0, done.stderr
    return ["--aws-bundle-key", f"bundles/{account.path.name}", "--aws-bundle-sha256", account.sha256]


def test_an_account_that_is_ready(account, ready):
    checks = aws(account, "deployer", *ready)
    assert not failed(checks), checks
    assert "SHA-256 is right; with the model resnet18" in checks["bundle"]["detail"]
    assert checks["launch"]["status"] == "ok" and "role imgrec-worker" in checks["instance profile"]["detail"]
    assert checks["vCPU quota"]["status"] == "skipped" and "4 vCPUs" in checks["vCPU quota"]["fix"]  # moto has none of EC2's
    assert checks["leading controller"]["detail"] == "none has ever led"
    assert not failed(aws(account, "admin", *ready))  # moto knows no right to delete one object of a batch
    left = account.client("s3").list_objects_v2(Bucket="in-bucket").get("KeyCount")
    assert left == 0, "the probe is deleted again"


@pytest.mark.parametrize("role", ["web", "worker", "controller"])
def test_each_role_by_itself_with_its_own_rights(account, ready, role):
    checks = aws(account, role, "--for", role, *ready)
    assert not failed(checks), checks
    assert ("launch" in checks) == (role == "controller")
    assert any(check["status"] == "skipped" for check in checks.values()) == (role == "controller")


def test_rights_that_are_missing(account, ready):
    checks = aws(account, "worker", *ready)
    assert {"bucket in-bucket", "launch"} <= failed(checks)
    assert "configs/iam" in checks["bucket in-bucket"]["fix"] and "iam:PassRole" in checks["launch"]["fix"]


def test_another_bundle_image_network_and_profile(account, ready):
    checks = aws(account, "admin", "--aws-bundle-key", ready[1], "--aws-bundle-sha256", "0" * 64, "--aws-image-id", "ami-00000000",
                 "--aws-subnets", "subnet-00000000", "--aws-security-groups", "sg-00000000", "--aws-instance-profile", "none")
    assert {"bundle", "image ami-00000000", "subnets", "security groups", "instance profile"} <= failed(checks)
    assert "aws.subnets" in checks["subnets"]["fix"] and "imgrec bundle upload" in checks["bundle"]["fix"]


@pytest.mark.parametrize("fleet,released,seconds,status,words", [
    ("imgrec", False, 0, "ok", "gateway:1:0, its lease renewed"), ("imgrec", True, 0, "ok", "ended"),
    ("imgrec", False, 3600, "warning", "gateway:1:0 was last heard of"), ("other", False, 0, "failed", "gateway:1:0 of the fleet other"),
    ("other", True, 0, "ok", "ended")])
def test_who_leads(account, ready, fleet, released, seconds, status, words):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))
    lease = {"v": 1, "epoch": 1, "holder": "gateway:1:0", "fleet": fleet, "renewals": 1, "length_ms": 20000, "released": released,
             "launches": [], "at": at}
    s3 = account.client("s3")
    s3.put_object(Bucket="out-bucket", Key="status/leader", Body=json.dumps(lease).encode())
    try:
        check = aws(account, "deployer", *ready)["leading controller"]
        assert check["status"] == status and words in check["detail"]
    finally:
        s3.delete_object(Bucket="out-bucket", Key="status/leader")


def test_an_auto_scaling_group(account, ready):
    def checks(*flags):
        return aws(account, "deployer", "--aws-fleet-kind", "asg", "--aws-auto-scaling-group", "workers", *ready, *flags)

    assert "no Auto Scaling group" in checks()["Auto Scaling group workers"]["detail"]
    account.client("ec2").create_launch_template(LaunchTemplateName="workers", LaunchTemplateData={
        "ImageId": "ami-12c6146b", "InstanceType": "c7i.large"})
    scaling = account.client("autoscaling")
    scaling.create_auto_scaling_group(AutoScalingGroupName="workers", MinSize=1, MaxSize=4, DesiredCapacity=1,
                                      LaunchTemplate={"LaunchTemplateName": "workers"}, AvailabilityZones=["us-east-1a"])
    scaling.suspend_processes(AutoScalingGroupName="workers", ScalingProcesses=["Launch"])
    found = checks()
    assert failed(found) == {f"Auto Scaling group workers, {what}" for what in ("minimum", "protection", "process Launch")}
    assert "--min-size 0" in found["Auto Scaling group workers, minimum"]["fix"]
    by_alarms = checks("--deploy-alarms", "--policy", "alarm")
    assert failed(by_alarms) == {"Auto Scaling group workers, process Launch"}, "it keeps a machine, and ends those that are too many"
    scaling.update_auto_scaling_group(AutoScalingGroupName="workers", MinSize=0, NewInstancesProtectedFromScaleIn=True)
    scaling.resume_processes(AutoScalingGroupName="workers")
    assert "1 instances, from 0 to 4" in checks()["Auto Scaling group workers"]["detail"]
    assert checks("--max-workers", "5")["Auto Scaling group workers, maximum"]["status"] == "warning"


def test_what_an_upload_prints_can_be_appended_to_the_sample(account, ready, tmp_path):
    sample = (imgrec.ROOT / "configs/aws.toml").read_text()
    for name, text in (("as it is", sample), ("in use", sample.replace('#input_bucket = ""', 'input_bucket = "in-bucket"'))):
        file = tmp_path / f"{name}.toml"
        file.write_text(text)
        done = imgrec.run("bundle", "upload", "--config", file, "--aws-input-bucket", "in-bucket", account.path,
                          env=account.variables(account.admin))
        assert done.returncode == 0, done.stderr
        file.write_text(text + done.stdout)
        shown = imgrec.run("config", "show", "--config", file)
        assert shown.returncode == 0, shown.stderr
        for setting, value in (("bundle_bucket", "in-bucket"), ("bundle_key", f"bundles/{account.path.name}"),
                               ("bundle_sha256", account.sha256)):
            line, = [line for line in shown.stdout.splitlines() if f"aws.{setting} " in line]
            assert value in line and file.name in line


@pytest.mark.parametrize("architecture,flags,words", [
    ("aarch64", ["--aws-instance-types", "c7i.large"], "imgrec-upload.tar.gz is for another processor than c7i.large has (x86_64)"),
    ("x86_64", ["--aws-instance-types", "c7g.large,t4g.small"], "another processor than c7g.large has (aarch64)"),
    ("x86_64", ["--deploy-web-type", "t4g.small"], "another processor than t4g.small has (aarch64)"),
    ("x86_64", ["--aws-instance-types", "c7i.large,c7g.large"], "of one architecture"),
    ("aarch64", ["--aws-instance-types", "c7g.large", "--deploy-web-type", "t4g.small"], None),
    ("aarch64", [], None)])  # a launch template's types
def test_a_bundle_is_uploaded_for_the_processor_of_the_settings(account, ready, tmp_path, architecture, flags, words):
    path = tmp_path / "imgrec-upload.tar.gz"  # its name says nothing
    path.write_bytes(packed({"bundle.json": json.dumps({"version": "0.1.0", "architecture": architecture, "models": []}).encode()}))
    done = imgrec.run("bundle", "upload", "--aws-input-bucket", "in-bucket", "--aws-bundle-bucket", "bundle-bucket", *flags, path,
                      env=account.variables(account.admin))
    s3 = account.client("s3", account.admin)
    stored = s3.list_objects_v2(Bucket="bundle-bucket", Prefix="bundles/imgrec-upload").get("KeyCount")
    s3.delete_object(Bucket="bundle-bucket", Key="bundles/imgrec-upload.tar.gz")
    if words is None:
        assert done.returncode == 0 and stored == 1, done.stderr
    else:
        assert done.returncode == 2 and words in done.stderr and stored == 0


def test_what_is_no_bundle_is_not_uploaded(account, ready, tmp_path):
    path = tmp_path / "photos.tar.gz"
    path.write_bytes(packed({"photo.jpg": b"x" * 5000}))
    done = imgrec.run("bundle", "upload", "--aws-bundle-bucket", "bundle-bucket", path, env=account.variables(account.admin))
    assert done.returncode == 2 and "photos.tar.gz" in done.stderr and "no bundle.json" in done.stderr


def test_a_bundle_without_the_model_of_the_settings(account, ready):
    bundle = aws(account, "deployer", *ready, "--model", "resnet50")["bundle"]
    assert bundle["status"] == "failed" and "resnet50 but: mobile, resnet18" in bundle["detail"]
    assert "./dev bundle resnet50" in bundle["fix"]
    assert aws(account, "deployer", *ready, "--model", "mobile")["bundle"]["status"] == "ok"


@pytest.mark.parametrize("content", [
    b"", b"no gzip", gzip.compress(b"no archive"), gzip.compress(b"x" * 5000), packed({"bin/imgrec": b"x" * 5000}),
    packed({"bin/imgrec": b"x" * 100_000, "bundle.json": b"{}"})[:-60], packed({"bundle.json": b"{}"}),
    packed({"bundle.json": b'{"version": 1, "architecture": [], "models": {}}'}),
], ids=["nothing", "text", "no archive", "noise", "no contents", "cut off", "empty contents", "other contents"])
def test_a_bundle_that_is_none(account, ready, content):
    account.client("s3", account.admin).put_object(Bucket="bundle-bucket", Key="bundles/none.tar.gz", Body=content)
    bundle = aws(account, "deployer", "--aws-bundle-key", "bundles/none.tar.gz", "--aws-bundle-sha256",
                 hashlib.sha256(content).hexdigest())["bundle"]
    assert bundle["status"] == "failed" and "is no bundle" in bundle["detail"], bundle


def test_a_queue_that_differs_and_dead_messages(account, ready):
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName="imgrec-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    try:
        checks = aws(account, "admin", *ready, "--queue-receives-max", "50")
        assert checks["queue imgrec-dead"]["status"] == "warning" and "redrive" in checks["queue imgrec-dead"]["fix"]
        assert "queue imgrec-requests" in failed(checks)
    finally:
        sqs.purge_queue(QueueUrl=url)


def test_keys_and_tags_of_what_setup_makes(account, ready):
    """In queues and buckets of their own."""
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    environment = account.variables(account.admin)
    flags = ["--platform", "aws", "--queue-request", "keyed-requests", "--queue-dead-letter", "keyed-dead",
             "--queue-shutdown-request", "keyed-stop", "--queue-shutdown-confirmed", "keyed-stopped", "--queue-signals", "keyed-signals", "--input-bucket", "keyed-in",
             "--output-bucket", "keyed-out", "--aws-sqs-kms-key", key, "--aws-s3-kms-key", key, "--aws-tags", "team=vision,stage=test"]
    done = imgrec.run("setup", *flags, env=environment)
    assert done.returncode == 0, done.stderr
    sqs, s3 = account.client("sqs"), account.client("s3")
    for queue in ("keyed-requests", "keyed-dead"):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["KmsMasterKeyId"] == key
        assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "vision", "stage": "test"}
    for bucket in ("keyed-in", "keyed-out"):
        tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
        rule, = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert tags == {"team": "vision", "stage": "test"}
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    checks = doctor(*flags, "--for", "web", "--port", "0", "--node", "web-9", env=environment)
    assert not failed(checks), checks
    assert f"encrypted with {key}" in checks["bucket keyed-in"]["detail"]
    checks = doctor(*flags, "--for", "web", "--port", "0", "--node", "web-9", "--aws-sqs-kms-key", "alias/other", env=environment)
    assert failed(checks) == {"queue keyed-requests", "queue keyed-dead", "queue keyed-signals"} and "alias/other" in checks["queue keyed-dead"]["detail"]
    own = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName="imgrec-requests")["QueueUrl"], AttributeNames=["All"])
    assert own["Attributes"].get("SqsManagedSseEnabled", "true") == "true" and "KmsMasterKeyId" not in own["Attributes"]


def test_settings_that_are_incomplete_are_no_missing_rights(account, ready):
    for flag in ("--aws-image-id", "--aws-instance-types"):
        launch = aws(account, "admin", *ready, flag, "")["launch"]
        assert launch["status"] == "failed" and "[aws]" in launch["fix"]
        assert "rights" not in launch["fix"] and "PassRole" not in launch["fix"]


def test_where_the_region_comes_from(account, tmp_path):
    def region(*flags, **changed):
        variables = {name: value for name, value in (account.variables() | changed).items() if value is not None}
        return doctor("--platform", "aws", "--input-bucket", "in-bucket", "--for", "worker", *flags, env=variables)["region"]
    assert region()["detail"] == "us-east-1 (env AWS_REGION)"
    assert region("--region", "eu-west-1")["detail"] == "eu-west-1 (flag --region)"
    assert region(AWS_REGION=None, AWS_DEFAULT_REGION="eu-west-2")["detail"] == "eu-west-2 (env AWS_DEFAULT_REGION)"
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n")
    assert region(AWS_REGION=None, AWS_CONFIG_FILE=str(tmp_path / "config"))["detail"] == "eu-west-3 (profile default)"
    check = region(AWS_REGION=None)
    assert check["status"] == "warning" and "the default" in check["detail"] and "aws.region" in check["fix"]


def test_wrong_credentials_end_the_questions(account):
    environment = account.variables(("AKIAWRONG", "wrong", None))
    checks = doctor("--platform", "aws", "--input-bucket", "in-bucket", env=environment)
    assert failed(checks) == {"identity"} and set(checks) == {"region", "credentials", "identity"}
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    checks = doctor("--platform", "aws", "--input-bucket", "in-bucket", env={**environment, "HOME": "/nonexistent"})
    assert failed(checks) == {"credentials"} and "AWS_PROFILE" in checks["credentials"]["fix"]


def test_an_endpoint_that_does_not_answer(account, ready):
    checks = aws(account, "admin", *ready, "--aws-sqs-endpoint-url", "http://127.0.0.1:1")
    assert "endpoint sqs" in failed(checks) and "queue imgrec-requests" in failed(checks)
    assert "aws.endpoint_url" in checks["endpoint sqs"]["fix"]


# --- what moto cannot answer ---------------------------------------------------------------------------------------------

@contextlib.contextmanager
def imposter(account, quota=None, ahead_seconds=0, conditions="obeyed"):
    """Passes calls on to moto, but has a quota of EC2's, and a clock of its own in its answers. Conditions of a put may be obeyed,
    ignored or refused."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() + ahead_seconds, usegmt=True)

        def answer(self, status, body, headers=()):
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("date", "server", "connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("X-Amz-Target", "").startswith("ServiceQuotas") and quota is not None:
                asked = json.loads(body)
                assert asked == {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
                assert self.headers["Content-Type"] == "application/x-amz-json-1.1"
                return self.answer(200, json.dumps({"Quota": {"Value": quota}}).encode())
            headers = dict(self.headers)
            conditional = self.command == "PUT" and {"If-None-Match", "If-Match"} & set(headers)
            if conditional and conditions == "refused":
                return self.answer(501, b"<Error><Code>NotImplemented</Code><Message>No.</Message></Error>")
            if conditional and conditions == "ignored":
                return self.answer(200, b"", [("ETag", '"e"')])
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", account.port)) as connection:
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                self.answer(response.status, response.read(), response.getheaders())

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("quota,status", [(5.0, "ok"), (3.0, "failed")])
def test_the_quota(account, ready, quota, status):
    with imposter(account, quota=quota) as url:
        check = aws(account, "admin", *ready, url=url)["vCPU quota"]
    assert check["status"] == status and "4 vCPUs for 2 instances" in check["detail"]
    assert status == "ok" or "--max-workers" in check["fix"]


@pytest.mark.parametrize("seconds,status", [(0, "ok"), (120, "warning"), (-4000, "failed")])
def test_the_clock(account, ready, seconds, status):
    with imposter(account, ahead_seconds=seconds) as url:
        check = aws(account, "admin", *ready, url=url)["clock"]
    assert check["status"] == status, check
    assert status == "ok" or "timedatectl" in check["fix"]


@pytest.mark.parametrize("conditions", ["obeyed", "ignored", "refused"])
def test_a_store_without_conditional_puts(account, ready, conditions):
    with imposter(account, conditions=conditions) as url:
        check = aws(account, "admin", *ready, url=url)["bucket out-bucket"]
    if conditions == "obeyed":
        assert check["status"] == "ok"
    else:
        assert check["status"] == "warning" and "If-None-Match on PUT" in check["detail"] and conditions[:-1] in check["detail"]
        assert "looked at before" in check["fix"]
