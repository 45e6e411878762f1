"""Workers that are too many are asked to stop while images come and go: none is lost, and none is delivered twice for it."""
import concurrent.futures
import contextlib
import os
import random
import re
import signal
import time

import pytest

import aws_account
import imgrec
import quick_model
import calls as counting  # found by quick_model

DRAINS = 200 if os.environ.get("IMGREC_TEST_LONG") else 10
SECONDS_MAX = 900


@pytest.fixture
def service(tmp_path):
    quick_model.install(tmp_path)
    quick = {"IMGREC_WORKER_SHUTDOWN_CHECK": "50ms", "IMGREC_CONTROLLER_INTERVAL": "50ms"}
    with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", tmp_path, "--max-workers", "4", "--policy", "drain-pool",
                        env=quick) as service:
        yield service


def figures(service):
    """Sums of the metrics that tell about drains and deliveries, over all processes that are or were there."""
    text = service.request("GET", "/metrics")[2].decode()
    return {name: sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (.*)$", text, re.M))
            for name in ("imgrec_controller_drains_asked_total", "imgrec_controller_drains_confirmed_total",
                         "imgrec_controller_drains_taken_back_total", "imgrec_controller_drains_overdue_total")}


def outstanding(service):
    """Requests to stop that are neither confirmed nor taken back. What was never asked for is none: asking takes a look or two."""
    time.sleep(0.5)
    seen = figures(service)
    return seen["imgrec_controller_drains_asked_total"] - sum(
        count for name, count in seen.items() if name != "imgrec_controller_drains_asked_total")


def test_drains_under_load(service, tmp_path):
    images = [file.read_bytes() for file in map(imgrec.pathlib.Path, counting.small_images(tmp_path))]
    dice = random.Random(1)
    sent = 0

    def one(number):
        status, result = service.classify(f"{number}.png", images[number % len(images)], timeout=120)
        assert status == 200 and result["name"] == f"{number}.png", result
        return result["job"]

    jobs, begin = set(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        while figures(service)["imgrec_controller_drains_confirmed_total"] < DRAINS:
            assert time.monotonic() - begin < SECONDS_MAX, figures(service)
            burst = dice.choice((1, 5, 20, 60, 200))
            jobs.update(pool.map(one, range(sent, sent + burst)))
            sent += burst
            pause = dice.choice((0, 0.1, None))
            if pause is None:  # long enough for every worker that is asked to stop, however busy the machine is
                imgrec.wait_until(lambda: outstanding(service) == 0, what="the end of all drains")
            else:
                time.sleep(pause)
    assert len(jobs) == sent
    # Each job is logged with how often it was delivered.
    counts = [int(count) for count in re.findall(r"job done.*receive_count=(\d+)", service.log())]
    redelivered = [count for count in counts if count > 1]
    assert len(counts) == sent and not redelivered, redelivered
    seen = figures(service)
    print(sent, seen)
    assert seen["imgrec_controller_drains_overdue_total"] == 0, seen
    died = re.findall(r"signal (?:6|9|11) .*", service.log())  # 15: told to end while it started
    assert not died, died


def test_workers_of_the_policy_warm_end_by_themselves(tmp_path):
    quick_model.install(tmp_path)
    images = [file.read_bytes() for file in map(imgrec.pathlib.Path, counting.small_images(tmp_path))]
    with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", tmp_path, "--max-workers", "3", "--policy", "warm",
                        env={"IMGREC_CONTROLLER_DRAIN_TIMEOUT": "10m"}) as service:
        service.wait_for_log("worker ready")
        base = set(service.children())
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            for _ in range(20):  # quick workers leave little to see
                answers = list(pool.map(lambda number: service.classify("x.png", images[number % len(images)]), range(300)))
                assert all(status == 200 for status, _ in answers)
                if len(service.children()) == 3:
                    break
            else:
                raise AssertionError("never three workers")
        imgrec.wait_until(lambda: set(service.children()) == base, what="the end of all but the base worker")
        time.sleep(1.5)  # longer than a worker waits that may end
        assert set(service.children()) == base


AWS_SETTINGS = """
platform = "aws"
[worker]
shutdown_check = "200ms"
poll_wait = "1s"
[controller]
interval = "200ms"
idle_cooldown = "500ms"
drain_timeout = "60s"
max = 2
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
"""


def test_on_aws(tmp_path):
    """Over SQS's FIFO queues: requests are taken back while nobody takes them, and exactly the instances that confirmed end."""
    quick_model.install(tmp_path)
    config = tmp_path / "aws.toml"
    config.write_text(AWS_SETTINGS)
    with aws_account.Moto(tmp_path) as account, contextlib.ExitStack() as services:
        roles = {name: account.variables(account.session_of(account.role(name))) for name in ("deployer", "controller", "worker")}
        account.authorise_from_now_on()
        assert imgrec.run("setup", "--config", config, env=roles["deployer"]).returncode == 0
        ec2, sqs = account.client("ec2"), account.client("sqs")

        def instances():
            found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
            return sorted(one["InstanceId"] for reservation in found["Reservations"] for one in reservation["Instances"])

        def controller(*flags):
            account.forget_launches()
            return imgrec.Service("controller", "--config", config, *flags, env=roles["controller"])

        with controller("--min-workers", "2"):
            imgrec.wait_until(lambda: len(instances()) == 2, what="two instances")
        workers = {}
        for number, instance in enumerate(instances(), 1):
            identity = {"IMGREC_WORKER_ID": instance, "IMGREC_WORKER_APP_TIER_ID": f"app-tier-{number}",
                        "IMGREC_AWS_QUEUES": "use", "IMGREC_AWS_BUCKETS": "use"}  # as their user-data say
            workers[instance] = services.enter_context(imgrec.Service(
                "worker", "--config", config, "--model", quick_model.NAME, "--model-dir", tmp_path, env=roles["worker"] | identity))
        with controller("--min-workers", "1"):
            imgrec.wait_until(lambda: len(instances()) == 1, what="the end of one")
        stays, = instances()
        for instance, worker in workers.items():
            assert ("stopped, as asked" in worker.log()) == (instance != stays), worker.log()
        workers[stays].send_signal(signal.SIGSTOP)
        try:
            with controller() as last:
                last.wait_for_log("scaling.*ask_to_stop=1")
                queue = sqs.get_queue_url(QueueName="imgrec-requests")["QueueUrl"]
                sqs.send_message(QueueUrl=queue, MessageBody="no request")
                last.wait_for_log("scaling.*take_back=1")
                assert instances() == [stays]
                workers[stays].send_signal(signal.SIGCONT)
                imgrec.wait_until(lambda: not instances(), what="the end of the other one")  # once it has dropped that message
                assert "stopped, as asked" in workers[stays].log()
        finally:
            workers[stays].send_signal(signal.SIGCONT)
