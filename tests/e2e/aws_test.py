"""All roles on AWS's wire, from zero instances and back: moto speaks AWS's protocols and checks every signature and right
(each role has its own policy of configs/iam), and a hypervisor boots its instances with the user-data that they were
launched with, in folders of a stock Debian 12."""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

import aws_account
import bundle
import counting_proxy
import hypervisor
import imgrec
import stock_debian

PHOTOS = 100
INSTANCES_MAX = 2
ANSWER_SECONDS = 400  # moto needs up to seconds per receive


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with aws_account.Moto(tmp_path_factory.mktemp("moto")) as server:
        server.sessions = {name: server.session_of(server.role(name)) for name in ("web", "worker", "controller", "deployer")}
        server.authorise_from_now_on()
        yield server


@pytest.fixture(scope="module")
def deployed(account, tmp_path_factory):
    """What a deployer does, with a deployer's rights: queues, buckets, the bundle; and the settings of all roles."""
    folder = tmp_path_factory.mktemp("deployed")
    path, sha256 = bundle.make()
    config = folder / "aws.toml"
    settings = f"""
platform = "aws"
[model]
name = "resnet18-pqf"
[worker]
poll_wait = "2s"
[controller]
max = {INSTANCES_MAX}
interval = "500ms"
idle_cooldown = "3s"
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
image_id = "ami-12c6146b"
instance_types = ["c7i.large", "c6i.large"]
instance_profile = "imgrec-worker"
tags = ["stage=test"]
"""
    config.write_text(settings)
    done = run(account, "deployer", config, "setup")
    assert done.returncode == 0, done.stderr
    done = run(account, "deployer", config, "bundle", "upload", path, "--aws-bundle-bucket", "bundle-bucket")
    assert done.returncode == 0, done.stderr
    assert f'bundle_sha256 = "{sha256}"' in done.stdout
    config.write_text(settings + done.stdout)  # the lines that it prints are the settings to add
    return config


def run(account, role, config, *words, url=None):
    return imgrec.run(*words, "--config", config, env=account.variables(account.sessions[role], url))


def photos():
    files = sorted(imgrec.shared("photos/imagenet-100").glob("*.JPEG"))
    assert len(files) >= PHOTOS
    return files[:PHOTOS]


def depths(account):
    sqs = account.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    urls = sqs.list_queues()["QueueUrls"]
    return {url.split("/")[-1]: sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))
            for url in urls}


def keys(account, bucket):
    pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


def send_all(service, files):
    def send(file):
        # As the workload generators of the reference systems do: one connection per image, held until the answer.
        return file, service.upload([("inputFile", file.name, file.read_bytes())], path="/", timeout=ANSWER_SECONDS)
    with concurrent.futures.ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(send, files))


# What grows with the time that images wait, not with their number: long polls, looks at the queue and for lost answers, the lease.
BY_TIME = {("sqs", "ReceiveMessage"), ("sqs", "GetQueueAttributes"), ("ec2", "DescribeInstances"), ("s3", "GET results"),
           ("s3", "GET status"), ("s3", "PUT status")}


def report(counts, images):
    sums = {service: sum(n for (its, _), n in counts.items() if its == service) for service in ("sqs", "s3")}
    lines = [f"{service:5} {operation:28} {n:5}  {n / images:6.2f} per image" for (service, operation), n in sorted(counts.items())]
    text = "\n".join(lines) + f"\nper image: SQS {sums['sqs'] / images:.2f}, S3 {sums['s3'] / images:.2f}\n"
    print(text)
    if out := os.environ.get("IMGREC_TEST_REPORT"):
        pathlib.Path(out).write_text(text)


@pytest.mark.skipif(stock_debian.isolation() is None,
                    reason="mounts of one's own are not allowed here: run the tests as root, or allow user namespaces")
def test_a_hundred_photos_from_zero_instances_and_back(account, deployed, tmp_path):
    with counting_proxy.CountingProxy(account.url) as proxy:
        counts, seconds = a_hundred_photos_from_zero_and_back(account, deployed, tmp_path, proxy)
    report(counts, PHOTOS)
    # From a cold start; at load it is less (calls_test.py).
    of_images = {its: sum(n for call, n in counts.items() if call[0] == its and call not in BY_TIME) for its in ("sqs", "s3", "ec2")}
    assert of_images["sqs"] <= PHOTOS and of_images["s3"] <= 3.2 * PHOTOS and of_images["ec2"] <= 2 * INSTANCES_MAX, of_images
    by_time = sum(counts[call] for call in BY_TIME)
    # Of these some are each image's all the same: ten messages come by one receive.
    assert by_time <= PHOTOS / 2 + 8 * seconds, (by_time, seconds)


def a_hundred_photos_from_zero_and_back(account, deployed, tmp_path, proxy):
    """Returns the calls that were made while the photos were answered, and for how many seconds that was."""
    web_env = account.variables(account.sessions["web"], proxy.url)
    # What the controller calls its endpoint, its instances do too.
    controller_env = account.variables(account.sessions["controller"], proxy.url)
    machines = hypervisor.Hypervisor(account, lambda: account.sessions["worker"], tmp_path, os.environ["IMGREC_BUILD_DIR"])
    web = imgrec.Service("web", "--config", deployed, "--node", "web-1", env=web_env)
    controller = imgrec.Service("controller", "--config", deployed, env=controller_env)
    try:
        with machines, web, controller:
            proxy.take()
            begin = time.monotonic()
            answers = send_all(web, photos())
            counts, seconds = proxy.take(), time.monotonic() - begin
            wrong = [(file.name, status, body[:200]) for file, (status, _, body) in answers if status != 200]
            assert not wrong, f"{len(wrong)} of {PHOTOS}: {wrong[:5]}"
            for file, (_, _, body) in answers:
                assert re.fullmatch(re.escape(file.stem) + r":.+", body.decode()), (file.name, body)
            imgrec.wait_until(lambda: not machines.running(), 120, "the end of all instances")
            imgrec.wait_until(lambda: sum(depths(account).values()) == 0, 60, "empty queues")
            states = [one["State"]["Name"] for one in machines.instances()]
            assert not machines.errors, machines.errors
            assert machines.most in range(1, INSTANCES_MAX + 1) and set(states) == {"terminated"}, (machines.most, states)
            consoles = machines.consoles()
        assert web.exit_code == 0 and controller.exit_code == 0
    except BaseException:
        print(machines.consoles())
        raise
    stored = keys(account, "out-bucket")
    result_keys = [key for key in stored if key.startswith("results/")]
    assert len(keys(account, "in-bucket")) == PHOTOS and len(result_keys) == PHOTOS
    # Besides, what the roles tell each other. A call that a busy moto answers too late may mean a second delivery, whose count is
    # removed as well as can be (attempts.hpp).
    others = {key for key in stored if not key.startswith(("results/", "attempts/"))}
    assert others == {"status/leader", "status/service"}, others
    # Each worker had its names from the instance's metadata, and ended by being told to, not by failing.
    results = [json.loads(account.client("s3").get_object(Bucket="out-bucket", Key=key)["Body"].read()) for key in result_keys]
    tiers = {result["worker"]["app_tier_id"] for result in results}
    assert tiers <= {f"app-tier-{n}" for n in range(1, INSTANCES_MAX + 1)} and tiers, tiers
    assert {result["worker"]["id"] for result in results} <= set(machines.machines)
    assert "imgrec-worker.service: ended with 0" in consoles and "killed" not in consoles
    return counts, seconds
