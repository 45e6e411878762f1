"""`imgrec deploy` and `imgrec undeploy` against moto's CloudFormation.

What moto lacks, and where it is tested instead: it makes changes at once (no *_IN_PROGRESS to be followed), never rolls back, shows
no outputs of a stack that was made by a change set, and imports no buckets that are there already (deploy_stack_test.cpp has the
states, calls_test.py the outputs and what the calls say).
"""
import contextlib
import json
import os
import socket
import subprocess

import pytest

import aws_account
import imgrec

SETTINGS = {"region": aws_account.REGION, "input_bucket": "in-bucket", "output_bucket": "out-bucket", "bundle_bucket": "bundle-bucket",
            "bundle_key": "bundles/imgrec.tar.gz", "bundle_sha256": "a" * 64, "image_id": "ami-12c6146b",
            "instance_types": ["c7i.large"]}


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    venv = os.environ.get("IMGREC_TEST_CFN_VENV") or pytest.skip("IMGREC_TEST_CFN_VENV is not set: ./dev test sets it")
    with aws_account.Moto(tmp_path_factory.mktemp("moto"), venv) as server:  # its CloudFormation needs more than the rest of moto
        s3 = server.client("s3")
        s3.create_bucket(Bucket="bundle-bucket")
        s3.put_object(Bucket="bundle-bucket", Key="bundles/imgrec.tar.gz", Body=b"a bundle")
        yield server


def run(account, tmp_path, *words, head="", env=None, who=None, deploy="", **changes):
    file = tmp_path / "aws.toml"
    file.write_text(f'platform = "aws"\n{head}\n[deploy]\nallowed_cidr = "203.0.113.7/32"\n{deploy}\n[aws]\n' + "".join(f"{name} = {json.dumps(value)}\n" for name, value in (SETTINGS | changes).items()))
    return imgrec.run(*words, "--config", file, env=account.variables(who) | (env or {}))


def stacks(account):
    return {one["StackName"]: one["StackStatus"] for one in account.client("cloudformation").describe_stacks()["Stacks"]}


@pytest.fixture(scope="module")
def deployer(account):
    """A user with exactly configs/iam/deployer.json, and a role of CloudFormation's with configs/iam/stack.json."""
    iam = account.client("iam")
    iam.create_user(UserName="deployer")
    iam.put_user_policy(UserName="deployer", PolicyName="own", PolicyDocument=json.dumps(aws_account.policy("deployer")))
    iam.create_role(RoleName="imgrec-stack", AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName="imgrec-stack", PolicyName="own", PolicyDocument=json.dumps(aws_account.policy("stack")))
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"], None


ROLE = f"arn:aws:iam::{aws_account.ACCOUNT}:role/imgrec-stack"


@contextlib.contextmanager
def policy_without(account, action):
    iam = account.client("iam")
    less = aws_account.policy("deployer")
    for statement in less["Statement"]:
        statement["Action"] = [one for one in statement["Action"] if one != action] or ["s3:ListAllMyBuckets"]
    iam.put_user_policy(UserName="deployer", PolicyName="own", PolicyDocument=json.dumps(less))
    try:
        yield
    finally:
        iam.put_user_policy(UserName="deployer", PolicyName="own", PolicyDocument=json.dumps(aws_account.policy("deployer")))


def doctor(account, tmp_path, who, **changes):
    done = run(account, tmp_path, "doctor", "--for", "deployer", "--json", who=who, **changes)
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_deployers_rights_are_checked_before_anything_is_made(account, tmp_path, deployer):
    complete = run(account, tmp_path, "deploy", "--dry-run", "--role", ROLE, who=deployer)
    assert complete.returncode == 0 and "Add     RequestQueue" in complete.stdout, complete.stderr

    without_role = run(account, tmp_path, "deploy", "--yes", who=deployer)
    assert without_role.returncode == 2 and "configs/iam/stack.json" in without_role.stderr and "iam:" in without_role.stderr
    assert "lacks of configs/iam/stack.json: sqs:DeleteQueue on arn:aws:sqs:us-east-1:123456789012:imgrec-requests and " in without_role.stderr
    assert "`imgrec deploy --role ARN`" in without_role.stderr
    no_role = run(account, tmp_path, "deploy", "--yes", "--role", "imgrec-stack", who=deployer)
    assert no_role.returncode == 2 and '"imgrec-stack" is not the ARN of a role' in no_role.stderr
    gone = run(account, tmp_path, "deploy", "--yes", "--role", ROLE + "-of-another", who=deployer)
    assert gone.returncode == 2 and f"There is no role {ROLE}-of-another that CloudFormation could act as" in gone.stderr
    with policy_without(account, "cloudformation:ExecuteChangeSet"):
        refused = run(account, tmp_path, "deploy", "--yes", "--role", ROLE, who=deployer)
        assert refused.returncode == 2, refused.stderr
        assert ("user/deployer lacks of configs/iam/deployer.json: cloudformation:ExecuteChangeSet on "
                "arn:aws:cloudformation:us-east-1:123456789012:stack/imgrec/*. Attach configs/iam/deployer.json") in refused.stderr
        rights = doctor(account, tmp_path, deployer)["rights"]
        assert rights["status"] == "failed" and "cloudformation:ExecuteChangeSet" in rights["detail"] and "deployer.json" in rights["fix"]
        assert run(account, tmp_path, "deploy", "--dry-run", "--skip-rights-check", who=deployer).returncode == 0
    assert stacks(account) == {} and account.client("sqs").list_queues().get("QueueUrls", []) == []


def test_doctor_tells_the_rights_of_a_deployer(account, tmp_path, deployer):
    checks = doctor(account, tmp_path, deployer)
    assert checks["rights"]["status"] == "ok" and "rights of configs/iam/deployer.json" in checks["rights"]["detail"]
    cloud = checks["rights of CloudFormation"]
    assert cloud["status"] == "warning" and "sqs:DeleteQueue" in cloud["detail"] and "more" in cloud["detail"]
    assert "--role" in cloud["fix"] and "bundle" in checks and "queue imgrec-requests" not in checks
    group = doctor(account, tmp_path, deployer, fleet_kind="asg", auto_scaling_group="imgrec")
    assert group["rights"]["status"] == "ok"
    everything = doctor(account, tmp_path, account.admin)
    assert everything["rights"]["status"] == everything["rights of CloudFormation"]["status"] == "ok"


def test_where_iam_may_not_be_asked_reads_are_tried(account, tmp_path, deployer):
    unknown = doctor(account, tmp_path, ("AKIANOBODY", "x", None))
    assert unknown["rights"]["status"] == "skipped" and "iam:SimulatePrincipalPolicy" in unknown["rights"]["fix"]
    assert unknown["stack"]["status"] == "ok" and "changing it was not tried" in unknown["stack"]["detail"]
    goes_on = run(account, tmp_path, "deploy", "--dry-run", who=("AKIANOBODY", "x", None))
    assert goes_on.returncode == 0 and "were not checked" in goes_on.stderr


def test_what_cannot_become_a_stack_is_refused_before_anything_is_made(account, tmp_path):
    other = run(account, tmp_path, "deploy", "--yes", bundle_key="bundles/other.tar.gz")
    assert other.returncode == 2 and 'There is no bundle "s3://bundle-bucket/bundles/other.tar.gz"' in other.stderr
    no_bucket = run(account, tmp_path, "deploy", "--dry-run", bundle_bucket="nowhere")
    assert no_bucket.returncode == 2 and "imgrec bundle upload" in no_bucket.stderr
    named = run(account, tmp_path, "deploy", "--yes", "--stack", "my_stack")
    assert named.returncode == 2 and 'cannot be called "my_stack"' in named.stderr
    no_image = run(account, tmp_path, "deploy", "--yes", image_id="debian-12")
    assert no_image.returncode == 2 and 'aws.image_id cannot be "debian-12"' in no_image.stderr and "ami-" in no_image.stderr
    assert stacks(account) == {}


def test_from_nothing_to_a_stack(account, tmp_path):
    refused = run(account, tmp_path, "deploy")
    assert refused.returncode == 2 and "--yes" in refused.stderr
    in_one_file = subprocess.run([*imgrec.EMULATOR, imgrec.BINARY, "deploy", "--config", tmp_path / "aws.toml"], stdin=subprocess.DEVNULL, text=True,
                                 env=imgrec.environment(account.variables()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    assert in_one_file.index("Add     RequestQueue") < in_one_file.index("Make this stack?")
    assert "Add     RequestQueue" in refused.stdout and stacks(account) == {}

    dry = run(account, tmp_path, "deploy", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Add     WorkerLaunchTemplate" in dry.stdout and stacks(account) == {}
    assert "set controller.price" in dry.stdout and "Not counted" in dry.stdout
    assert account.client("sqs").list_queues().get("QueueUrls", []) == []

    role = f"arn:aws:iam::{aws_account.ACCOUNT}:role/imgrec-stack"
    made = run(account, tmp_path, "deploy", "--yes", "--role", role)
    assert made.returncode == 0, made.stderr
    assert account.client("cloudformation").describe_stacks()["Stacks"][0]["RoleARN"] == role
    assert "imgrec  CREATE_COMPLETE" in made.stdout and "is as the settings say." in made.stdout
    assert any(url.endswith("/imgrec-requests") for url in account.client("sqs").list_queues()["QueueUrls"])
    assert stacks(account) == {"imgrec": "CREATE_COMPLETE"}
    tags = account.client("cloudformation").describe_stacks()["Stacks"][0]["Tags"]
    assert tags == [{"Key": "imgrec:stack", "Value": "imgrec"}], "which the machines of groups get too: not the tag of workers"
    assert "Add     WebGroup" in made.stdout

    again = run(account, tmp_path, "deploy", "--yes")
    assert again.returncode == 0 and "No changes" in again.stdout, again.stderr
    sets = account.client("cloudformation").list_change_sets(StackName="imgrec")["Summaries"]
    assert all(one["ExecutionStatus"] == "EXECUTE_COMPLETE" for one in sets)

    changed = run(account, tmp_path, "deploy", "--yes", instance_types=["c7a.large"])
    assert changed.returncode == 0, changed.stderr
    assert "Modify  WorkerLaunchTemplate" in changed.stdout and "imgrec  UPDATE_COMPLETE" in changed.stdout

    priced = run(account, tmp_path, "deploy", "--dry-run", head="[controller]\nprice = 0.1\nmax = 50\nmax_dollars_per_hour = 1.0",
                 deploy="web_price = 0.02")  # and 0.005 for its address
    assert priced.returncode == 0, priced.stderr
    costs = priced.stdout[priced.stdout.index("WORKERS"):].splitlines()
    assert [line.split() for line in costs[1:4]] == [["0", "18.25"], ["1", "91.25"], ["10", "748.25"]]
    assert stacks(account) == {"imgrec": "UPDATE_COMPLETE"}

    status = run(account, tmp_path, "deploy", "status")
    assert status.returncode == 0 and "Stack imgrec: UPDATE_COMPLETE" in status.stdout


def test_status_tells_how_long_machines_took_to_start_by_kind_of_image(account, tmp_path):
    """As a controller writes it (service_status_test.cpp): of a stock image, and of one of ours."""
    ec2, s3 = account.client("ec2"), account.client("s3")
    machine = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    baked = ec2.create_image(InstanceId=machine, Name="baked", TagSpecifications=[
        {"ResourceType": "image", "Tags": [{"Key": "imgrec:image-of", "Value": "imgrec"}]}])["ImageId"]
    ec2.terminate_instances(InstanceIds=[machine])
    assert "from launch to ready" not in run(account, tmp_path, "deploy", "status").stdout
    boots = [{"image": "ami-12c6146b", "times_s": [66.08, 120]}, {"image": baked, "times_s": [24.25, 40.25, 30]}]
    s3.put_object(Bucket="out-bucket", Key="status/service", Body=json.dumps({"v": 1, "at": "2026-11-28T00:00:00Z", "boots": boots}))
    shown = run(account, tmp_path, "deploy", "status")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout[shown.stdout.index("IMAGE"):].splitlines()]
    assert rows[1] == ["ami-12c6146b", "fetches", "the", "bundle", "2", "93.0", "s", "120.0", "s"]
    assert rows[2] == [baked, "has", "the", "bundle", "3", "31.5", "s", "40.2", "s"]
    ec2.deregister_image(ImageId=baked)
    s3.delete_object(Bucket="out-bucket", Key="status/service")


def launch_builder(account, holder):
    """As `imgrec deploy --prebaked` launches it, and stopped, as it leaves itself."""
    ec2 = account.client("ec2")
    tags = {"imgrec:image-of": "imgrec", "imgrec:recipe": "0123", "imgrec:holder": holder}
    builder = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}])["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[builder])
    return builder


def test_status_names_a_machine_whose_deployer_may_have_gone(account, tmp_path):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    here = socket.gethostname()
    holders = {f"imgrec deploy, process {ended.pid} on {here}": "which has ended. It costs money until `imgrec deploy --prebaked` goes on",
               "imgrec deploy, process 1 on another": "if that has ended, nobody sees to it. It costs money until",
               f"imgrec deploy, process {os.getpid()} on {here}": f"Process {os.getpid()} of this machine sees to it."}
    for holder, said in holders.items():
        builder = launch_builder(account, holder)
        shown = run(account, tmp_path, "deploy", "status")
        assert shown.returncode == 0, shown.stderr
        line, = [line for line in shown.stdout.splitlines() if builder in line]
        assert line.startswith(f"The machine {builder} is there to make an image, and is stopped. ") and said in line
        account.client("ec2").terminate_instances(InstanceIds=[builder])
    assert "to make an image" not in run(account, tmp_path, "deploy", "status").stdout


def test_another_who_holds_the_stack_is_named(account, tmp_path):
    cloud = account.client("cloudformation")
    cloud.create_change_set(StackName="held", ChangeSetName="imgrec-deploy-0", ChangeSetType="CREATE", TemplateBody='{"Resources": {}}',
                            Description="imgrec deploy, process 1 on another")
    held = run(account, tmp_path, "deploy", "--yes", "--stack", "held")
    assert held.returncode == 3 and "process 1 on another" in held.stderr and "--take-over" in held.stderr


def test_a_template_that_is_too_long_for_a_call_goes_by_s3(account, tmp_path):
    """Many tags, which each resource has. moto reads templates of a host that is called localhost."""
    s3 = account.client("s3")
    long = {"tags": [f"name-{number}={'v' * 90}" for number in range(38)], "fleet": "long"}
    names = {f"queue.{key}": f"long-{key}" for key in ("request", "dead_letter", "signals", "shutdown_request", "shutdown_confirmed")}
    head = "[queue]\n" + "".join(f'{name.partition(".")[2]} = "{value}"\n' for name, value in names.items())
    at_s3 = {"AWS_ENDPOINT_URL_S3": account.url.replace("127.0.0.1", "localhost")}
    made = run(account, tmp_path, "deploy", "--yes", head=head, env=at_s3, deploy="web = false", input_bucket="long-in", output_bucket="long-out", **long)
    assert made.returncode == 0, made.stdout + made.stderr
    assert stacks(account)["long"] == "CREATE_COMPLETE"
    stored = s3.get_object(Bucket="bundle-bucket", Key="bundles/long-stack.json")["Body"].read()
    assert len(stored) > 51200 and b"WorkerLaunchTemplate" in stored
    gone = run(account, tmp_path, "undeploy", "--yes", "--delete-data", head=head, input_bucket="long-in", output_bucket="long-out", **long)
    assert gone.returncode == 0, gone.stderr


def test_a_group_that_alarms_size_comes_and_goes(account, tmp_path):
    """moto makes neither alarms nor scaling policies of a stack: the linter and template_test.py look at them."""
    scaling = account.client("autoscaling")
    more = {"fleet": "watched", "fleet_kind": "asg", "auto_scaling_group": "watched", "input_bucket": "watched-in", "output_bucket": "watched-out"}
    names = {key: f"watched-{key}".replace("_", "-") for key in ("request", "dead_letter", "signals", "shutdown_request", "shutdown_confirmed",
                                                                 "response_prefix")}
    head = "[queue]\n" + "".join(f'{name} = "{value}"\n' for name, value in names.items()) + '[controller]\npolicy = "alarm"\nmax = 3\n'

    def group():
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["watched"])["AutoScalingGroups"]
        return [(one["MinSize"], one["MaxSize"], one["DesiredCapacity"], len(one["Instances"])) for one in found]
    made = run(account, tmp_path, "deploy", "--yes", head=head, deploy="alarms = true", **more)
    assert made.returncode == 0, made.stderr
    assert group() == [(1, 3, 1, 1)]
    assert "Add     ScaleOutAlarm" in made.stdout and "Add     ScaleInPolicy" in made.stdout

    # As an interrupted undeploy leaves it.
    scaling.update_auto_scaling_group(AutoScalingGroupName="watched", MinSize=0, MaxSize=0, DesiredCapacity=0)
    again = run(account, tmp_path, "deploy", "--yes", head=head, deploy="alarms = true", **more)
    assert again.returncode == 0 and "The machines of watched were ended" in again.stdout and group() == [(1, 3, 1, 1)], again.stderr
    gone = run(account, tmp_path, "undeploy", "--yes", "--delete-data", head=head, deploy="alarms = true", **more)
    assert gone.returncode == 0, gone.stderr
    assert group() == []


def test_a_stack_in_subnets_needs_their_vpc(account, tmp_path):
    subnets = {"subnets": ["subnet-0123456789abcdef0"]}
    without = run(account, tmp_path, "deploy", "--yes", "--stack", "other", **subnets)
    assert without.returncode == 2 and "--vpc" in without.stderr
    surplus = run(account, tmp_path, "deploy", "--yes", "--vpc", "vpc-0123456789abcdef0")
    assert surplus.returncode == 2 and "--vpc" in surplus.stderr


def test_the_console_of_an_instance(account, tmp_path):
    ec2 = account.client("ec2")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "imgrec:fleet", "Value": "consoles"}]}]
    instance = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"][0]["InstanceId"]
    shown = run(account, tmp_path, "deploy", "logs", fleet="consoles")
    assert shown.returncode == 0, shown.stderr
    assert "Linux version" in shown.stdout and instance in shown.stderr and "late" in shown.stderr
    named = run(account, tmp_path, "deploy", "logs", "--instance", instance, fleet="consoles")
    assert named.stdout == shown.stdout
    none = run(account, tmp_path, "deploy", "logs", fleet="nobody")
    assert none.returncode == 2 and 'The fleet "nobody" has no instance. EC2 forgets' in none.stderr
    other = run(account, tmp_path, "deploy", "logs", "--instance", instance)
    assert other.returncode == 2 and "imgrec" in other.stderr and other.stdout == ""
    ec2.terminate_instances(InstanceIds=[instance])


def test_undeploy_ends_machines_and_leaves_the_data_unless_told(account, tmp_path):
    """The stack of the first test: machines, objects with versions, and another fleet's machine that stays."""
    ec2, s3 = account.client("ec2"), account.client("s3")

    def launch(fleet):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "imgrec:fleet", "Value": fleet}]}]
        return ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"][0]["InstanceId"]

    def state(instance):
        return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]["Name"]

    made = run(account, tmp_path, "deploy", "--yes", "--stack", "imgrec")
    assert made.returncode == 0, made.stderr
    ours, theirs = launch("imgrec"), launch("another")
    builder = launch_builder(account, "imgrec deploy, process 1 on another")
    s3.put_bucket_versioning(Bucket="in-bucket", VersioningConfiguration={"Status": "Enabled"})
    for key in ("inputs/a", "inputs/a", "odd name + more%20.jpg", "inputs/b"):
        s3.put_object(Bucket="in-bucket", Key=key, Body=b"x")
    s3.delete_object(Bucket="in-bucket", Key="inputs/b")
    s3.put_object(Bucket="out-bucket", Key="results/a", Body=b"x")

    refused = run(account, tmp_path, "undeploy")
    assert refused.returncode == 2 and "--yes" in refused.stderr and "imgrec" in stacks(account) and state(ours) == "running"

    gone = run(account, tmp_path, "undeploy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert "Ending 2 machines." in gone.stdout and state(builder) == "terminated"
    assert "imgrec  DELETE_COMPLETE" in gone.stdout and "imgrec" not in stacks(account)
    assert state(ours) == "terminated" and state(theirs) == "running"
    assert not any("imgrec-requests" in url for url in account.client("sqs").list_queues().get("QueueUrls", []))
    assert s3.get_object(Bucket="in-bucket", Key="inputs/a")["Body"].read() == b"x"

    nothing = run(account, tmp_path, "undeploy", "--yes")
    assert nothing.returncode == 0 and "There is no stack imgrec" in nothing.stdout

    shared = run(account, tmp_path, "undeploy", "--yes", "--delete-data", bundle_bucket="in-bucket")
    assert shared.returncode == 2 and "bundle" in shared.stderr

    data = run(account, tmp_path, "undeploy", "--yes", "--delete-data")
    assert data.returncode == 0, data.stderr
    assert "in-bucket: 5 objects deleted" in data.stdout and "The bucket out-bucket is gone." in data.stdout
    left = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert "in-bucket" not in left and "out-bucket" not in left
    again = run(account, tmp_path, "undeploy", "--yes", "--delete-data")
    assert again.returncode == 0, again.stderr
