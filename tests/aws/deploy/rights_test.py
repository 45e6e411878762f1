"""configs/iam/stack.json allows what CloudFormation does for the resources of the template, and no more.

What it does is in the schemas of resource types that come with cfn-lint ("handlers": the permissions of each). moto decides nothing
of this: it makes the resources of a stack without asking for rights.
"""
import json
import os
import pathlib
import re

import pytest

import aws_account
import imgrec

SETTINGS = """platform = "aws"
[controller]
policy = "alarm"
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
bundle_bucket = "bundle-bucket"
bundle_key = "bundles/imgrec.tar.gz"
bundle_sha256 = "%s"
image_id = "ami-0123456789abcdef0"
instance_types = ["c7i.large"]
fleet_kind = "asg"
auto_scaling_group = "imgrec"
[deploy]
allowed_cidr = "203.0.113.0/24"
alarms = true
""" % ("a" * 64)

# What handlers do for properties that the template does not set, and for lists that a stack does not ask for.
UNUSED = {
    "AWS::AutoScaling::AutoScalingGroup": r"managed-fleets:|vpc-lattice:|elasticloadbalancing:|cloudwatch:|ssm:|ec2:Get|"
                                          r"autoscaling:(Attach|Detach|CancelInstance|StartInstance|Suspend|Resume|Enable|Disable|"
                                          r"\w*Notification|\w*LifecycleHook)",
    "AWS::AutoScaling::ScalingPolicy": r"cloudwatch:GetMetricData",  # of predictive scaling
    "AWS::EC2::EIP": r"ec2:(AcceptAddressTransfer|AssociateAddress)",  # the web instance takes it
    "AWS::EC2::SecurityGroup": r"ec2:(\w*Egress|UpdateSecurityGroupRule)",
    "AWS::IAM::Role": r"iam:(AttachRole|DetachRole|\w*PermissionsBoundary|UpdateRole$|UpdateRoleDescription)",
    "AWS::S3::Bucket": r"s3tables:|iam:PassRole|s3:(Delete(?!Bucket$)|Update|Create(?!Bucket$)|PutObject|Put(Accelerate|Analytics|Metrics|Inventory|"
                       r"IntelligentTiering|Replication)|PutBucket(Abac|Acl|CORS|Logging|Notification|ObjectLock|OwnershipControls|"
                       r"Replication|Versioning|Website))",
}

# What a rolling update of a group takes beside the handlers:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
ROLLING = {"autoscaling:TerminateInstanceInAutoScalingGroup", "autoscaling:SuspendProcesses", "autoscaling:ResumeProcesses"}


def rendered(folder, settings):
    file = folder / "aws.toml"
    file.write_text(settings)
    done = imgrec.run("deploy", "template", "--config", file)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("settings"), SETTINGS)


@pytest.fixture(scope="module")
def without_web(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("settings"), SETTINGS + "web = false\n")


def statements():
    return aws_account.policy("stack")["Statement"]


def handlers(types):
    """type → the actions with which CloudFormation makes, reads, changes and deletes one."""
    venv = os.environ.get("IMGREC_TEST_CFN_VENV") or pytest.skip("IMGREC_TEST_CFN_VENV is not set: ./dev test sets it")
    folder, = pathlib.Path(venv).glob("lib/python3*/site-packages/cfnlint/data/schemas")
    known = json.loads((folder / "providers/us-east-1.json").read_text())
    found = {}
    for name in types:
        schema = json.loads((folder / "resources" / f"{known[name]}.json").read_text())
        found[name] = {action for kind in ("create", "read", "update", "delete") for action in schema["handlers"][kind]["permissions"]}
    return found


def test_each_action_of_cloudformation_is_allowed_and_no_other(template):
    types = {resource["Type"] for resource in template["Resources"].values()}
    assert "AutoScalingRollingUpdate" in template["Resources"]["WebGroup"]["UpdatePolicy"]
    needed = ROLLING | {action for name, actions in handlers(types).items() for action in actions
              if not (name in UNUSED and re.match(UNUSED[name], action))}
    allowed = {action for statement in statements() for action in statement["Action"]}

    def is_in(action, actions):  # "ec2:Describe*" stands for all that begin so
        return action in actions or any(one.endswith("*") and action.startswith(one[:-1]) for one in actions)
    assert {action for action in needed if not is_in(action, allowed)} == set()
    assert {action for action in allowed if not is_in(action, needed)} == set()


def test_it_is_bound_to_what_the_stack_has(template, without_web):
    names = {kind: {properties[name] for one in (template, without_web) for resource in one["Resources"].values()
                    if resource["Type"] == kind for properties in [resource["Properties"]]}
             for kind, name in (("AWS::IAM::Role", "RoleName"), ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
                                ("AWS::SQS::Queue", "QueueName"), ("AWS::S3::Bucket", "BucketName"),
                                ("AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName"))}
    resources = {statement["Sid"]: statement["Resource"] for statement in statements()}

    def last(sid):
        return {re.split("[:/]", arn)[-1] for arn in resources[sid]}
    assert last("Roles") == last("GiveInstancesTheseRolesOnly") == names["AWS::IAM::Role"]
    assert last("Profiles") == names["AWS::IAM::InstanceProfile"]
    assert last("Buckets") == names["AWS::S3::Bucket"]
    assert {name.removesuffix(".fifo") for name in last("Queues")} == {name.removesuffix(".fifo") for name in names["AWS::SQS::Queue"]}
    alarms = {resource["Properties"]["AlarmName"] for resource in template["Resources"].values() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert resources["AlarmsOfTheGroup"].endswith(":alarm:imgrec-scale-*") and alarms == {"imgrec-scale-out", "imgrec-scale-in"}
    groups = {resources[sid].rpartition("/")[2] for sid in ("SizeTheGroup", "SizeTheWebGroup")}
    assert groups == names["AWS::AutoScaling::AutoScalingGroup"] == {"imgrec", "imgrec-web"}
    assert [sid for sid, resource in resources.items() if resource == "*"] == ["See"]
    own = {"StringEquals": {"aws:ResourceTag/imgrec:fleet": "imgrec"}}
    assert [one["Condition"] for one in statements() if one["Sid"] == "ChangeOwnOnly"] == [own]


def test_the_text_fits_and_holds_in_every_partition():
    text = (aws_account.ROOT / "configs/iam/stack.json").read_text()
    assert len(re.sub(r"\s", "", text)) <= 6144, "longer than a managed policy may be"
    for statement in json.loads(text)["Statement"]:
        for arn in statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]:
            assert arn == "*" or arn.startswith("arn:*:"), arn
    placeholders = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text))
    assert placeholders == {"REGION", "ACCOUNT_ID", "INPUT_BUCKET", "OUTPUT_BUCKET", "FLEET", "AUTO_SCALING_GROUP"}


def test_the_deployer_may_make_each_call_to_cloudformation_and_no_other():
    source = (aws_account.ROOT / "aws/deploy/cloud_formation.cpp").read_text()
    called = {name for name in re.findall(r'"((?:Describe|List|Create|Execute|Delete)[A-Z][A-Za-z]+)"', source)
              if not name.endswith("Result")}
    statements = aws_account.policy("deployer")["Statement"]
    allowed = {action.partition(":")[2] for one in statements for action in one["Action"] if action.startswith("cloudformation:")}
    assert called == allowed and "ExecuteChangeSet" in called
    for one in statements:
        if any(action.startswith("cloudformation:") for action in one["Action"]):
            assert one["Resource"] == "arn:*:cloudformation:us-east-1:123456789012:stack/imgrec/*"
