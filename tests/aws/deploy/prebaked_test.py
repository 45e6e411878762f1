"""`imgrec deploy --prebaked` against moto, whose machines a hypervisor boots: the builder installs the bundle and stops, and what it
leaves is the image that a worker then starts from.

What is measured here says nothing about AWS: an image there is a snapshot that is read block by block, here a copied folder.
"""
import base64
import contextlib
import json
import os
import pathlib
import re

import pytest

import aws_account
import bundle
import hypervisor
import imgrec
import stock_debian

pytestmark = pytest.mark.skipif(stock_debian.isolation() is None,
                                reason="mounts of one's own are not allowed here: run the tests as root, or allow user namespaces")


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    venv = os.environ.get("IMGREC_TEST_CFN_VENV") or pytest.skip("IMGREC_TEST_CFN_VENV is not set: ./dev test sets it")
    with aws_account.Moto(tmp_path_factory.mktemp("moto"), venv) as server:
        server.client("s3").create_bucket(Bucket="bundle-bucket")
        iam = server.client("iam")
        iam.create_user(UserName="deployer")
        iam.put_user_policy(UserName="deployer", PolicyName="own", PolicyDocument=json.dumps(aws_account.policy("deployer")))
        iam.create_role(RoleName="imgrec-stack", AssumeRolePolicyDocument="{}")
        iam.put_role_policy(RoleName="imgrec-stack", PolicyName="own", PolicyDocument=json.dumps(aws_account.policy("stack")))
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        server.deployer = key["AccessKeyId"], key["SecretAccessKey"], None
        yield server


@pytest.fixture(scope="module")
def stored(account):
    """A bundle: its key and SHA-256."""
    path, sha256 = bundle.make()
    account.client("s3").upload_file(str(path), "bundle-bucket", f"bundles/{path.name}")
    return f"bundles/{path.name}", sha256


def run(account, folder, stored, *words, **changes):
    settings = {"region": aws_account.REGION, "input_bucket": "in-bucket", "output_bucket": "out-bucket", "bundle_bucket": "bundle-bucket",
                "bundle_key": stored[0], "bundle_sha256": stored[1], "image_id": "ami-12c6146b", "instance_types": ["c7i.large"]} | changes
    file = folder / "aws.toml"
    file.write_text('platform = "aws"\n[model]\nname = "resnet18-pqf"\n[worker]\npoll_wait = "2s"\n[deploy]\nweb = false\n[aws]\n' +
                    "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    return imgrec.run(*words, "--config", file, env=account.variables(account.deployer), timeout=400)


@contextlib.contextmanager
def machines(account, folder):
    booted = hypervisor.Hypervisor(account, lambda: ("AKIAWORKER", "x", "x"), folder, os.environ["IMGREC_BUILD_DIR"])
    try:
        with booted:
            yield booted
            assert not booted.errors, booted.errors
    except BaseException:
        print(booted.consoles())
        raise


def images(account):
    found = account.client("ec2").describe_images(Owners=["self"], Filters=[{"Name": "tag:imgrec:image-of", "Values": ["imgrec"]}])["Images"]
    return {one["ImageId"]: one for one in found}


def snapshots(account):
    return {one["SnapshotId"] for one in account.client("ec2").describe_snapshots(
        OwnerIds=["self"], Filters=[{"Name": "tag:imgrec:image-of", "Values": ["imgrec"]}])["Snapshots"]}


def builders(account):
    pages = account.client("ec2").describe_instances(Filters=[{"Name": "tag:imgrec:image-of", "Values": ["imgrec"]}])["Reservations"]
    return {one["InstanceId"]: one["State"]["Name"] for page in pages for one in page["Instances"]}


def template_data(account):
    ec2 = account.client("ec2")
    return ec2.describe_launch_template_versions(LaunchTemplateName="imgrec-worker", Versions=["$Latest"])["LaunchTemplateVersions"][0][
        "LaunchTemplateData"]


def downloads(account):
    return len(re.findall(r'"GET /bundle-bucket/', account.log.read_text()))


ROLE = ("--role", f"arn:aws:iam::{aws_account.ACCOUNT}:role/imgrec-stack")


def test_a_worker_starts_from_the_image_without_a_download(account, stored, tmp_path):
    with machines(account, tmp_path) as booted:
        shown = run(account, tmp_path, stored, "deploy", "--prebaked", "--dry-run", *ROLE)
        assert shown.returncode == 0 and "one would be made" in shown.stdout, shown.stderr
        assert not builders(account) and not images(account)

        made = run(account, tmp_path, stored, "deploy", "--prebaked", "--yes", *ROLE)
        assert made.returncode == 0, made.stdout + made.stderr
        assert "Launched the builder" in made.stdout and "Modify  WorkerLaunchTemplate" in made.stdout
        (image, described), = images(account).items()
        assert f'prebaked_image = "{image}"' in made.stdout and template_data(account)["ImageId"] == image
        assert set(builders(account).values()) == {"terminated"} and downloads(account) == 1
        tags = {tag["Key"] for tag in described["Tags"]}
        assert {"imgrec:image-of", "imgrec:recipe"} <= tags and "imgrec:fleet" not in tags
        assert snapshots(account) == {one["Ebs"]["SnapshotId"] for one in described["BlockDeviceMappings"]}

        root = booted.stopped[next(tag["Value"] for tag in described["Tags"] if tag["Key"] == "imgrec:recipe")]
        nothing_of_the_builder_is_left(root, stored)

        again = run(account, tmp_path, stored, "deploy", "--prebaked", "--yes", *ROLE, prebaked_image=image)
        assert again.returncode == 0 and "No changes" in again.stdout and len(builders(account)) == 1, again.stdout + again.stderr

        data = template_data(account)
        started = account.client("ec2").run_instances(
            ImageId=data["ImageId"], MinCount=1, MaxCount=1, UserData=base64.b64decode(data["UserData"]).decode(),
            InstanceInitiatedShutdownBehavior="terminate",
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "imgrec:fleet", "Value": "imgrec"}]}])["Instances"][0]["InstanceId"]
        sqs = account.client("sqs")
        url = sqs.get_queue_url(QueueName="imgrec-signals")["QueueUrl"]

        def ready():
            return any('"ready"' in one["Body"] for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []))
        imgrec.wait_until(ready, 120, "the worker's signal that it is ready")
        assert downloads(account) == 1, "the worker fetched the bundle"
        assert (booted.machines[started].folder / "root/etc/machine-id").read_text().strip(), "it has an identity of its own"
        account.client("ec2").terminate_instances(InstanceIds=[started])


def nothing_of_the_builder_is_left(root, stored):
    assert (root / "opt/imgrec/sha256").read_text() == stored[1] and (root / "opt/imgrec/bin/imgrec").exists()
    assert (root / "etc/machine-id").read_text() == "" and (root / "etc/hostname").read_text() == "localhost\n"
    for name in ("root/.ssh", "var/lib/cloud", "var/log/cloud-init-output.log", "etc/imgrec/worker.env", "local/sbin/imgrec-install",
                 "local/sbin/imgrec-bake"):
        assert not (root / name).exists(), name
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    secrets = re.compile(rb"AKIA[A-Z0-9]{4,}|BEGIN [A-Z ]*PRIVATE KEY|AKIAWORKER")
    for folder in ("etc", "var", "root", "local"):
        for file in (root / folder).rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert not secrets.search(file.read_bytes()), file


def test_an_installation_that_fails_shows_the_console_and_leaves_no_machine(account, stored, tmp_path):
    before = images(account)
    with machines(account, tmp_path):
        failed = run(account, tmp_path, (stored[0], "0" * 64), "deploy", "--prebaked", "--yes", *ROLE)
    assert failed.returncode == 2, failed.stdout + failed.stderr
    assert "imgrec-install: imgrec cannot be installed." in failed.stdout and "imgrec-bake: failed" in failed.stdout
    assert set(builders(account).values()) == {"terminated"} and images(account) == before


def test_the_last_two_images_stay_and_undeploy_removes_all(account, stored, tmp_path):
    """Images of other recipes, as of earlier bundles."""
    ec2 = account.client("ec2")
    (current, _), = images(account).items()
    tags = [{"Key": "imgrec:image-of", "Value": "imgrec"}, {"Key": "imgrec:recipe", "Value": "older"}]
    others = []
    for name in ("one", "two"):
        machine = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        others.append(ec2.create_image(InstanceId=machine, Name=name, TagSpecifications=[
            {"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")])["ImageId"])
        ec2.terminate_instances(InstanceIds=[machine])
    theirs = ec2.copy_image(Name="theirs", SourceImageId=others[0], SourceRegion=aws_account.REGION)["ImageId"]
    kept = run(account, tmp_path, stored, "deploy", "--prebaked", "--yes", *ROLE)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    left = images(account)
    assert current in left and len(left) == 2 and len(snapshots(account)) == 2

    gone = run(account, tmp_path, stored, "undeploy", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert not images(account) and not snapshots(account)
    assert theirs in {one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]}


def test_the_deployer_may_make_each_call_for_images_and_each_is_bound_to_the_tag():
    source = (pathlib.Path(imgrec.ROOT) / "aws/deploy/ec2_images.cpp").read_text()
    called = {name for name in re.findall(r'"((?:Describe|Create|Deregister|Delete)[A-Z][A-Za-z]+)"', source) if name != "DeleteOnTermination"}
    allowed = {action for one in aws_account.policy("deployer")["Statement"] for action in one["Action"]}
    assert called == {"DescribeImages", "DescribeSnapshots", "CreateImage", "DeregisterImage", "DeleteSnapshot"}
    assert {f"ec2:{name}" for name in called} | {"ec2:RunInstances", "ec2:TerminateInstances", "ec2:GetConsoleOutput"} <= allowed
