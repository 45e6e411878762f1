"""A whole deployment, from `imgrec deploy` to `imgrec undeploy`: moto makes the stack and checks each signature and right of its
roles, and a hypervisor boots the web instance and the workers from the user-data of their launch templates, in folders of a stock
Debian 12. All machines share this one's network, so that the web instance's port here stands in for its Elastic IP."""
import ast
import http.client
import json
import os
import types

import pytest

import aws_account
import bundle
import hypervisor
import imgrec
import stock_debian

PHOTOS = 6
BOOT_SECONDS = 240  # a machine unpacks the bundle
ANSWER_SECONDS = 400

pytestmark = pytest.mark.skipif(stock_debian.isolation() is None,
                                reason="mounts of one's own are not allowed here: run the tests as root, or allow user namespaces")


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    venv = os.environ.get("IMGREC_TEST_CFN_VENV") or pytest.skip("IMGREC_TEST_CFN_VENV is not set: ./dev test sets it")
    with aws_account.Moto(tmp_path_factory.mktemp("moto"), venv) as server:
        yield server


@pytest.fixture(scope="module")
def stack(account, tmp_path_factory):
    """`imgrec bundle upload` and `imgrec deploy`: the settings, the web instance's port, and `run` for further commands."""
    path, _ = bundle.make()
    config, port = tmp_path_factory.mktemp("stack") / "aws.toml", aws_account.free_port()
    settings = f"""
platform = "aws"
[model]
name = "resnet18-pqf"
[web]
port = {port}
[worker]
poll_wait = "2s"
[controller]
max = 1
interval = "500ms"
idle_cooldown = "3s"
[deploy]
allowed_cidr = "127.0.0.1/32"
max_workers = 1
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
tags = ["stage=test"]
"""

    def run(*words):
        return imgrec.run(*words, "--config", config, env=account.variables(), timeout=300)
    config.write_text(settings)
    uploaded = run("bundle", "upload", path, "--aws-bundle-bucket", "bundle-bucket")
    assert uploaded.returncode == 0, uploaded.stderr
    config.write_text(settings + uploaded.stdout)
    made = run("deploy", "--yes")
    assert made.returncode == 0, made.stderr
    confine(account, "imgrec-web", "imgrec-worker")
    return types.SimpleNamespace(port=port, run=run)


def confine(account, *roles):
    """From here on every right is checked, by the policies that the stack gave its roles, as moto can decide on them."""
    iam = account.client("iam")
    for role in roles:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            # moto keeps what CloudFormation gives it as Python writes it.
            document = ast.literal_eval(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(aws_account.for_moto(document)))
    account.sessions = {role: account.session_of(role) for role in roles}
    account.authorise_from_now_on()


def credentials_of(account):
    """What the role of an instance's profile gives."""
    def of(instance):
        tags = {tag["Key"] for tag in instance.get("Tags", [])}
        assert ("imgrec:web" in tags) != ("imgrec:fleet" in tags), tags
        return lambda: account.sessions["imgrec-web" if "imgrec:web" in tags else "imgrec-worker"]
    return of


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_ready(port):
    try:
        return request(port, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def classify(stack, file):
    status, body = request(stack.port, "POST", "/v1/classify?name=" + file.name, file.read_bytes(), {"Content-Type": "application/octet-stream"})
    assert status == 200, body[:500]
    return json.loads(body)


def alive(account, tag):
    pages = account.client("ec2").get_paginator("describe_instances").paginate(Filters=[{"Name": f"tag:{tag}", "Values": ["imgrec"]}])
    return [one["InstanceId"] for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]
            if one["State"]["Name"] not in hypervisor.GONE]


def holder_of_the_address(account):
    address, = account.client("ec2").describe_addresses()["Addresses"]
    return address.get("InstanceId")


def wait_for_web(account, stack):
    """The web instance that is there now, when it has the address and is ready."""
    web, = alive(account, "imgrec:web")
    imgrec.wait_until(lambda: holder_of_the_address(account) == web, BOOT_SECONDS, "the address")
    imgrec.wait_until(lambda: is_ready(stack.port), BOOT_SECONDS, "/readyz of the web instance")
    return web


def test_photos_go_in_by_the_address_and_nothing_is_left(account, stack, tmp_path):
    photos = sorted(imgrec.shared("photos/imagenet-100").glob("*.JPEG"))[:PHOTOS]
    machines = hypervisor.Hypervisor(account, None, tmp_path, os.environ["IMGREC_BUILD_DIR"], credentials_of=credentials_of(account))
    try:
        with machines:
            first = wait_for_web(account, stack)
            workers = set()
            for photo in photos:
                workers.add(classify(stack, photo)["worker"]["id"])
            assert workers and first not in workers and workers <= set(machines.machines)

            # The machine is lost: its group makes another, which takes the address and goes on.
            account.client("autoscaling").terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=False)
            imgrec.wait_until(lambda: alive(account, "imgrec:web") not in ([], [first]), 60, "another web instance")
            imgrec.wait_until(lambda: machines.machines[first].process.poll() is not None, 120, "the end of the first one")
            second = wait_for_web(account, stack)
            assert second != first
            assert classify(stack, photos[0])["labels"]

            gone = stack.run("undeploy", "--yes", "--delete-data")
            assert gone.returncode == 0, gone.stderr + gone.stdout
            lines = gone.stdout.splitlines()
            assert lines[0] == "The web instance ends first, and the controller in it." and lines[1] == "Ending 1 machine.", gone.stdout
            imgrec.wait_until(lambda: not machines.running(), 120, "the end of all machines")
            assert not machines.errors, machines.errors
            consoles = machines.consoles()
        assert alive(account, "imgrec:web") == alive(account, "imgrec:fleet") == []
        assert "imgrec@address.service: ended with 0" in consoles and "killed" not in consoles
    except BaseException:
        print(machines.errors, machines.consoles())
        raise
    assert left(account) == []


def left(account):
    """What the deployment could have forgotten."""
    ec2 = account.client("ec2")
    found = [url.split("/")[-1] for url in account.client("sqs").list_queues().get("QueueUrls", [])]
    found += [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"] if bucket["Name"] != "bundle-bucket"]
    found += [role["RoleName"] for role in account.client("iam").list_roles()["Roles"]]
    found += [one["InstanceProfileName"] for one in account.client("iam").list_instance_profiles()["InstanceProfiles"]]
    found += [one["LaunchTemplateName"] for one in ec2.describe_launch_templates()["LaunchTemplates"]]
    found += [one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"]
    found += [one["PublicIp"] for one in ec2.describe_addresses()["Addresses"]]
    found += [one["AutoScalingGroupName"] for one in account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]]
    found += [one["StackName"] for one in account.client("cloudformation").describe_stacks()["Stacks"]]
    return found
