"""Roles with queues and objects on AWS (moto): what is old there is not theirs to delete, and what hangs keeps none alive."""
import hashlib
import json
import os
import signal
import time

import pytest

import aws_account
import imgrec

OLD = "inputs/01ARZ3NDEKTSV4RRFFQ69G5FAV"
SETTINGS = f"""
platform = "aws"
[model]
name = "resnet18-pqf"
[web]
wait_max = "1s"
[local]
retention = "1s"
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
bundle_bucket = "bundle-bucket"
bundle_key = "bundles/some.tar.gz"
bundle_sha256 = "{'0' * 64}"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
instance_profile = "imgrec-worker"
"""


def test_it_serves_and_leaves_buckets_alone(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        env = account.variables()
        done = imgrec.run("setup", "--config", config, env=env)
        assert done.returncode == 0, done.stderr
        s3 = account.client("s3")
        s3.put_object(Bucket="in-bucket", Key=OLD, Body=b"x")
        time.sleep(2.5)  # older than the retention, in the whole seconds of S3's clock
        with imgrec.Service("local", "--config", config, "--model-dir", imgrec.model_dir(), env=env) as service:
            time.sleep(2.5)  # two sweeps
            assert service.request("GET", "/readyz")[0] == 200
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket="in-bucket").get("Contents", [])]
        assert keys == [OLD]  # what /readyz wrote, it has removed


def test_objects_of_allowed_buckets_are_classified_where_they_lie(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS.replace("1s", "60s") + '[image]\nobject_buckets = "photos,missing-bucket"\n')
    photo, other = (file.read_bytes() for file in sorted(imgrec.shared("photos/imagenet-100").glob("*.JPEG"))[:2])
    with aws_account.Moto(tmp_path) as account:
        env = account.variables()
        assert imgrec.run("setup", "--config", config, env=env).returncode == 0
        s3 = account.client("s3")
        s3.create_bucket(Bucket="photos")
        s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket="photos", Key="2026/ä cat.jpg", Body=photo)["VersionId"]
        s3.put_object(Bucket="photos", Key="2026/ä cat.jpg", Body=other)
        with imgrec.Service("worker", "--config", config, "--model-dir", imgrec.model_dir(), env=env), \
                imgrec.Service("web", "--config", config, env=env) as service:
            objects = [{"bucket": "photos", "key": "2026/ä cat.jpg", "version": first}, {"bucket": "photos", "key": "2026/ä cat.jpg"},
                       {"bucket": "photos", "key": "none"}, {"bucket": "missing-bucket", "key": "x"}, {"bucket": "in-bucket", "key": OLD}]
            status, _, body = service.request("POST", "/v1/classify", json.dumps({"images": [{"object": one} for one in objects]}),
                                              {"Content-Type": "application/json"})
            assert status == 200, body
            found = json.loads(body)["results"]
            sent = [service.classify("photo.jpg", image)[1] for image in (photo, other)]
        assert [one["labels"] for one in found[:2]] == [one["labels"] for one in sent] and found[0]["name"] == "ä cat.jpg"
        assert [one["error"]["code"] for one in found[2:]] == ["object_not_found", "object_not_found", "bucket_not_allowed"]
        stored = s3.list_object_versions(Bucket="photos")
        assert len(stored["Versions"]) == 2 and "DeleteMarkers" not in stored
        inputs = s3.list_objects_v2(Bucket="in-bucket", Prefix="inputs/")["Contents"]
        assert sum(one["Size"] > 1000 for one in inputs) == 2, "the two that were sent; of the others only references"


@pytest.mark.parametrize("role", ["worker", "controller"])
def test_sigterm_ends_it_while_aws_hangs(role, tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        env = account.variables() | {"IMGREC_WORKER_DRAIN_TIMEOUT": "3s", "IMGREC_CONTROLLER_INTERVAL": "500ms"}
        assert imgrec.run("setup", "--config", config, env=env).returncode == 0
        with imgrec.Service(role, "--config", config, "--model-dir", imgrec.model_dir(), env=env) as service:
            os.kill(account.process.pid, signal.SIGSTOP)
            try:
                time.sleep(2)  # so that calls are under way
                begin = time.monotonic()
                assert service.stop(seconds=60) == 0
                assert time.monotonic() - begin < 15, service.log()
            finally:
                os.kill(account.process.pid, signal.SIGCONT)


def test_sigterm_ends_a_start_that_hangs(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        os.kill(account.process.pid, signal.SIGSTOP)
        try:
            service = imgrec.Service("worker", "--config", config, env=account.variables()).start(ready=False)
            time.sleep(2)
            begin = time.monotonic()
            assert service.stop(seconds=60) == 0, service.log()
            assert time.monotonic() - begin < 10
        finally:
            os.kill(account.process.pid, signal.SIGCONT)


def test_a_controller_that_ends_says_which_instances_go_on_and_how_to_end_them(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        account.role("worker")
        env = account.variables() | {"IMGREC_CONTROLLER_INTERVAL": "500ms"}
        assert imgrec.run("setup", "--config", config, env=env).returncode == 0
        with imgrec.Service("controller", "--config", config, "--min-workers", "1", env=env) as service:
            service.wait_for_log("instance launched")
            assert service.stop() == 0
        ec2 = account.client("ec2")
        instance, = [one for r in ec2.describe_instances()["Reservations"] for one in r["Instances"]]
        line, = [line for line in service.log().splitlines() if "go on running" in line]
        assert instance["InstanceId"] in line and "aws ec2 terminate-instances --region us-east-1" in line
        assert "Name=tag:imgrec:fleet,Values=imgrec" in line and instance["State"]["Name"] == "running"


def test_dead_letters_are_seen_sent_again_and_dropped(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    job = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    request = {"v": 1, "job": job, "session": "s", "name": "photo.jpg",
               "input": {"bucket": "in-bucket", "key": OLD, "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()},
               "options": {"top_k": 5}, "reply_to": "imgrec-responses-gone",
               "submitted_at": "2026-01-01T00:00:00.000Z", "expires_at": "2026-01-02T00:00:00.000Z"}
    with aws_account.Moto(tmp_path) as account:
        env = account.variables()
        assert imgrec.run("setup", "--config", config, env=env).returncode == 0
        s3, sqs = account.client("s3"), account.client("sqs")
        s3.put_object(Bucket="in-bucket", Key=OLD, Body=b"x")
        s3.put_object(Bucket="out-bucket", Key=f"attempts/{job}.1", Body=b"1")
        dead, requests = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("imgrec-dead", "imgrec-requests"))
        sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(request))
        sqs.send_message(QueueUrl=dead, MessageBody="no request")

        def letters(*words):
            done = imgrec.run("dead-letters", *words, "--config", config, env=env)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()
        for _ in range(2):  # looking changes nothing
            heading, *lines = letters("list")
            assert len(lines) == 2 and heading.split()[:2] == ["ID", "SENT"]
        ids = {line.split()[0] for line in lines if job in line}
        assert letters("redrive", *ids) == [f"sent again {ids.pop()} {job}"]
        body = json.loads(sqs.receive_message(QueueUrl=requests)["Messages"][0]["Body"])
        assert body["job"] == job and body["expires_at"] > request["expires_at"]
        assert "Contents" not in s3.list_objects_v2(Bucket="out-bucket", Prefix="attempts/")
        assert len(letters("drop", "--all")) == 1
        assert letters("list") == ["There are no dead letters."]
