"""The published observations of the reference systems' scaling, on AWS's wire: the controller alone, with its role's rights,
against moto; the test counts messages and stands in for the workers."""
import json

import pytest

import aws_account
import imgrec

GONE = ("shutting-down", "terminated")
SECONDS = 60  # moto is slow beside other tests


def app_tier_id(instance):
    """By the numbers that its launch is tagged with ("1,3-5") and its place in that launch."""
    text = next(tag["Value"] for tag in instance["Tags"] if tag["Key"] == "imgrec:app-tiers")
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",")]
    numbers = [number for ends in ranges for number in range(ends[0], ends[-1] + 1)]
    return f"app-tier-{numbers[instance['AmiLaunchIndex']]}"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with aws_account.Moto(tmp_path_factory.mktemp("moto")) as server:
        server.sessions = {name: server.session_of(server.role(name)) for name in ("worker", "controller", "deployer")}
        server.authorise_from_now_on()
        yield server


class Place:
    """The queues of all, which each leaves empty; a fleet and a controller of its own."""

    def __init__(self, account, policy, folder, workers_max, number=0):
        self.account, self.sqs, self.ec2 = account, account.client("sqs"), account.client("ec2")
        self.fleet = f"fleet-{policy}-{number}"
        self.config = folder / "aws.toml"
        self.config.write_text(f"""
platform = "aws"
[controller]
policy = "{policy}"
max = {workers_max}
interval = "250ms"
idle_cooldown = "0s"
[aws]
fleet = "{self.fleet}"
input_bucket = "in-bucket"
output_bucket = "out-bucket"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
instance_profile = "imgrec-worker"
""")
        done = imgrec.run("setup", "--config", self.config, env=account.variables(account.sessions["deployer"]))
        assert done.returncode == 0, done.stderr
        self.requests = self.url("imgrec-requests")
        self.restarted()

    def restarted(self):
        """With another controller, which is to be entered."""
        self.account.forget_launches()
        self.controller = imgrec.Service("controller", "--config", self.config,
                                         env=self.account.variables(self.account.sessions["controller"]))
        return self

    def url(self, name):
        return next(url for url in self.sqs.list_queues()["QueueUrls"] if url.split("/")[-1].removesuffix(".fifo") == name)

    def send(self, count):
        for begin in range(0, count, 10):
            entries = [{"Id": str(i), "MessageBody": "an image"} for i in range(begin, min(count, begin + 10))]
            assert not self.sqs.send_message_batch(QueueUrl=self.requests, Entries=entries).get("Failed")

    def work_off(self, count):
        while count > 0:
            got = self.sqs.receive_message(QueueUrl=self.requests, MaxNumberOfMessages=min(10, count), WaitTimeSeconds=1)["Messages"]
            entries = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(got)]
            assert not self.sqs.delete_message_batch(QueueUrl=self.requests, Entries=entries).get("Failed")
            count -= len(got)

    def instances(self, gone=False):
        """Instance id → App Tier ID of those that are there, or of all that ever were."""
        filters = [{"Name": "tag:imgrec:fleet", "Values": [self.fleet]}]
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
        found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]
                 if gone or one["State"]["Name"] not in GONE]
        return {one["InstanceId"]: app_tier_id(one) for one in found}

    def wait_for_instances(self, count):
        imgrec.wait_until(lambda: len(self.instances()) == count, SECONDS, f"{count} instances")
        return self.instances()

    def requests_to_stop(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self.url("imgrec-shutdown-request")
        got = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, got.values()))

    def wait_for_requests_to_stop(self, count):
        imgrec.wait_until(lambda: self.requests_to_stop() == count, SECONDS, f"{count} requests to stop")

    def confirm(self, instances):
        """What idle workers do: each of these takes a request, removes it and confirms it."""
        url = self.url("imgrec-shutdown-request")
        confirmed = self.url("imgrec-shutdown-confirmed")
        for instance, tier in instances.items():
            message, = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            request = json.loads(message["Body"])
            body = request | {"instance": instance, "app_tier_id": tier, "confirmed_at": request["requested_at"]}
            self.sqs.send_message(QueueUrl=confirmed, MessageBody=json.dumps(body), MessageGroupId=instance,
                                  MessageDeduplicationId=request["request"])

    def __enter__(self):
        self.controller.__enter__()
        return self

    def __exit__(self, *error):
        self.controller.__exit__(*error)


@pytest.mark.parametrize("messages, instances", [(10, 1), (100, 10)])
def test_per_batch_launches_one_instance_for_ten_messages(account, tmp_path, messages, instances):
    place = Place(account, "per-batch", tmp_path, workers_max=20, number=messages)
    place.send(messages)
    with place:
        place.wait_for_instances(instances)
        place.work_off(messages)
        place.wait_for_instances(0)
    assert len(place.instances(gone=True)) == instances


def test_warm_launches_one_more_for_each_visible_message(account, tmp_path):
    place = Place(account, "warm", tmp_path, workers_max=18)
    with place:
        place.wait_for_instances(1)  # the base, without any message
    place.send(10)
    # The base worker has taken two of the ten. Eight are visible, for one of which it is there.
    taken = place.sqs.receive_message(QueueUrl=place.requests, MaxNumberOfMessages=2, VisibilityTimeout=600)["Messages"]
    assert len(taken) == 2
    with place.restarted():
        place.wait_for_instances(8)
    place.work_off(8)
    for message in taken:
        place.sqs.delete_message(QueueUrl=place.requests, ReceiptHandle=message["ReceiptHandle"])
    assert len(place.instances(gone=True)) == 8


def test_drain_pool_launches_nineteen_asks_and_takes_back(account, tmp_path):
    place = Place(account, "drain-pool", tmp_path, workers_max=19)
    place.send(100)
    with place:
        there = place.wait_for_instances(19)
        assert sorted(there.values()) == sorted(f"app-tier-{number}" for number in range(1, 20))
        place.work_off(82)
        place.wait_for_requests_to_stop(1)
        assert len(place.instances()) == 19, "who is asked is not ended before it confirms"
        place.work_off(18)
        place.wait_for_requests_to_stop(19)
        ended = dict(list(there.items())[:14])
        place.confirm(ended)
        left = place.wait_for_instances(5)
        assert not ended.keys() & left.keys(), "exactly those that confirmed"
        place.wait_for_requests_to_stop(5)
        place.send(10)
        there = place.wait_for_instances(10)
        assert left.keys() <= there.keys(), "five were taken back, and five launched"
        place.wait_for_requests_to_stop(0)
        assert sorted(there.values()) == sorted(set(there.values())), "no App Tier ID twice"
        place.work_off(10)
    assert len(place.instances(gone=True)) == 24
