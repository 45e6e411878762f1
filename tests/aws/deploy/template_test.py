"""`imgrec deploy template`: its policies are those of configs/iam, CloudFormation's linter finds nothing in it, and moto's
CloudFormation makes and deletes what it says.

IMGREC_TEST_CFN_VENV names the environment that has cfn-lint and moto (./dev test sets it up).
"""
import json
import os
import re
import subprocess

import pytest
import yaml

import aws_account
import imgrec

ADDRESS = "eipalloc-0123456789abcdef0"
KEYS = ("1234abcd-12ab-34cd-56ef-1234567890ab", "1234abcd-12ab-34cd-56ef-1234567890ac")
SETTINGS = {"region": aws_account.REGION, "input_bucket": "in-bucket", "output_bucket": "out-bucket", "bundle_bucket": "bundle-bucket",
            "bundle_key": "bundles/imgrec.tar.gz", "bundle_sha256": "a" * 64, "image_id": "ami-0123456789abcdef0",
            "instance_types": ["c7i.large", "c7a.large"], "tags": ["team=vision"]}
GROUP = {"fleet_kind": "asg", "auto_scaling_group": "the-group", "spot": True}
WEB = '[deploy]\nallowed_cidr = "203.0.113.7/32"\n'
NO_WEB = "[deploy]\nweb = false\n"
ALARMS, ALARMS_NO_WEB = ('[controller]\npolicy = "alarm"\nmax = 19\n' + web + "alarms = true\n" for web in (WEB, NO_WEB))
SUBNETS = {"subnets": ["subnet-0123456789abcdef0"], "key_name": "a-key", "output_bucket": "in-bucket"}
ENCRYPTED = {"sqs_kms_key": KEYS[0], "s3_kms_key": f"arn:aws:kms:us-east-1:123456789012:key/{KEYS[1]}"}

# Makes the stack of a template, tells what is there, deletes it, and tells what is left.
STACK = """
import base64, json, sys, boto3, moto
with moto.mock_aws():
    client = lambda name: boto3.client(name, sys.argv[1], aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="x")
    stacks = client("cloudformation")
    stacks.create_stack(StackName="imgrec", TemplateBody=sys.stdin.read(), Capabilities=["CAPABILITY_NAMED_IAM"])
    queues = lambda: client("sqs").list_queues().get("QueueUrls", [])
    buckets = lambda: [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]
    roles = lambda: [role["RoleName"] for role in client("iam").list_roles()["Roles"]]
    templates = lambda: client("ec2").describe_launch_templates()["LaunchTemplates"]
    out = {"status": stacks.describe_stacks()["Stacks"][0]["StackStatus"], "queues": {}, "buckets": buckets(), "roles": roles()}
    for url in queues():
        out["queues"][url.split("/")[-1]] = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    out["worker"] = client("ec2").describe_launch_template_versions(LaunchTemplateName="imgrec-worker")["LaunchTemplateVersions"][0]
    out["profile"] = client("iam").get_instance_profile(InstanceProfileName="imgrec-worker")["InstanceProfile"]["Roles"][0]["RoleName"]
    group = client("ec2").describe_security_groups(Filters=[{"Name": "tag:imgrec:fleet", "Values": ["imgrec"]}])["SecurityGroups"]
    out["in"] = [one["IpPermissions"] for one in group]
    addresses = lambda: [one["AllocationId"] for one in client("ec2").describe_addresses()["Addresses"]]
    groups = lambda: client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    out["addresses"] = addresses()
    instance = groups()[0]["Instances"][0]["InstanceId"]
    data = client("ec2").describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
    out["web user-data"] = base64.b64decode(data).decode()
    stacks.delete_stack(StackName="imgrec")
    out["left"] = queues() + roles() + templates() + groups()
    print(json.dumps(out, default=str))
"""


def run(tmp_path, *changes, head="", tail="", web=WEB):
    """`imgrec deploy template` with SETTINGS and these changes of [aws]; text before and behind that table; [deploy]."""
    settings = dict(SETTINGS)
    for change in changes:
        settings |= change
    file = tmp_path / "aws.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if value is not None]
    file.write_text("\n".join(['platform = "aws"', head, web, "[aws]", *lines, tail]) + "\n")
    return imgrec.run("deploy", "template", "--config", file)


def rendered(tmp_path, *changes, **more):
    done = run(tmp_path, *changes, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def substituted(value):
    """What CloudFormation makes of Fn::Sub in REGION and ACCOUNT."""
    if isinstance(value, list):
        return [substituted(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Sub"}:
        return value["Fn::Sub"].replace("${AWS::Region}", aws_account.REGION).replace("${AWS::AccountId}", aws_account.ACCOUNT) \
            .replace("${WebAddress.AllocationId}", ADDRESS)
    return {name: substituted(one) for name, one in value.items()}


def policy_of(template, role):
    """What it may do as a role of its own, or as a part of the web instance's."""
    resources = template["Resources"]
    own = resources.get(f"{role.capitalize()}Role", resources["WebRole"])["Properties"]["Policies"]
    policy, = [one for one in own if one["PolicyName"] == f"imgrec-{role}"]
    return substituted(policy["PolicyDocument"])


def of_file(role, without, **words):
    document = aws_account.policy(role, **words)
    known = {statement["Sid"] for statement in document["Statement"]}
    document["Statement"] = [one for one in document["Statement"] if one["Sid"] not in without]
    return document, known


LAUNCHING = {"LaunchFromAnything", "LaunchOwnFleetOnly", "TagAtLaunchOnly", "GiveWorkersTheirRoleOnly", "EndOwnFleetOnly"}
SIZING = {"SeeTheGroup", "SizeTheGroup"}


@pytest.mark.parametrize("role", ["web", "worker", "controller", "web-instance"])
@pytest.mark.parametrize("change,without,webs", [({}, SIZING, (WEB, NO_WEB)), (GROUP, LAUNCHING, (WEB, NO_WEB)),
                                                 (GROUP, LAUNCHING | {"SizeTheGroup"}, (ALARMS, ALARMS_NO_WEB))],
                         ids=["ec2", "asg", "asg sized by alarms"])
@pytest.mark.parametrize("has_web", [True, False], ids=["with web instance", "without"])
def test_the_policies_are_those_of_configs_iam(tmp_path, role, change, without, webs, has_web):
    if role == "web-instance" and not has_web:
        return
    web = webs[0 if has_web else 1]
    wanted, known = of_file(role, without | {"UseTheKey"}, AUTO_SCALING_GROUP="the-group", ALLOCATION_ID=ADDRESS)
    assert role != "controller" or without <= known
    got = policy_of(rendered(tmp_path, change, web=web), role)
    assert got == wanted
    assert len(json.dumps(got, separators=(",", ":"))) <= 10240, "IAM's limit for the policies in a role"


def test_the_roles_are_those_that_machines_of_the_stack_need(tmp_path):
    def roles(template):
        return {resource["Properties"]["RoleName"]: [policy["PolicyName"] for policy in resource["Properties"]["Policies"]]
                for resource in template["Resources"].values() if resource["Type"] == "AWS::IAM::Role"}
    together = roles(rendered(tmp_path, ENCRYPTED))
    assert together == {"imgrec-web": ["imgrec-web", "imgrec-controller", "imgrec-web-instance"], "imgrec-worker": ["imgrec-worker"]}
    assert roles(rendered(tmp_path, web=NO_WEB)) == {f"imgrec-{role}": [f"imgrec-{role}"] for role in ("web", "worker", "controller")}
    for change in ({}, GROUP):
        policies = rendered(tmp_path, ENCRYPTED, change)["Resources"]["WebRole"]["Properties"]["Policies"]
        text = sum(len(json.dumps(substituted(policy["PolicyDocument"]), separators=(",", ":"))) for policy in policies)
        assert text <= 10240, "IAM's limit for the policies in a role"


@pytest.mark.parametrize("role", ["web", "worker", "controller"])
def test_names_and_prefixes_of_the_settings_are_in_the_policies(tmp_path, role):
    """As somebody changes them by hand who follows configs/iam/README.md."""
    queue = '[queue]\nrequest = "other-in"\nsignals = "other-signals"\nresponse_prefix = "other-out"\n[results]\nprefix = "by-name/"\n'
    got = policy_of(rendered(tmp_path, {"input_prefix": "a/", "output_prefix": "b/"}, head=queue), role)
    text = json.dumps(of_file(role, SIZING | {"UseTheKey"})[0])
    for old, new in (("imgrec-requests", "other-in"), ("imgrec-signals", "other-signals"), ("imgrec-responses", "other-out"),
                     ("in-bucket/", "in-bucket/a/"), ("out-bucket/", "out-bucket/b/"), ("b/named/", "b/by-name/")):
        text = text.replace(old, new)
    assert got == json.loads(text)
    without_signals = policy_of(rendered(tmp_path, head='[queue]\nsignals = ""\n'), role)
    assert "signals" not in json.dumps(without_signals)


def test_two_keys_are_two_resources(tmp_path):
    for role in ("web", "worker", "controller"):
        statement, = [one for one in policy_of(rendered(tmp_path, ENCRYPTED), role)["Statement"] if one["Sid"] == "UseTheKey"]
        assert statement["Resource"] == [f"arn:*:kms:us-east-1:123456789012:key/{key}" for key in KEYS]
    refused = run(tmp_path, {"s3_kms_key": "alias/photos"})
    assert refused.returncode != 0 and "alias" in refused.stderr


def test_the_lifecycle_is_that_of_configs(tmp_path):
    rules = json.loads((imgrec.ROOT / "configs/s3-lifecycle.json").read_text())["Rules"]
    wanted = {(rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules}

    def of(template, *buckets):
        return {(rule["Prefix"], rule["ExpirationInDays"]) for bucket in buckets
                for rule in template["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]}
    two = rendered(tmp_path)
    assert of(two, "InputBucket", "OutputBucket") == wanted and {prefix for prefix, _ in of(two, "InputBucket")} == {"inputs/"}
    one = rendered(tmp_path, {"output_bucket": None, "input_prefix": "a/", "output_prefix": "b/"})
    assert of(one, "InputBucket") == {(("a/" if prefix == "inputs/" else "b/") + prefix, days) for prefix, days in wanted}
    assert "OutputBucket" not in one["Resources"]


def test_what_it_makes_is_closed_and_tagged(tmp_path):
    template = rendered(tmp_path, GROUP, ENCRYPTED)
    resources = template["Resources"]
    for name, resource in resources.items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::S3::Bucket":
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
            assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        if resource["Type"] not in ("AWS::IAM::InstanceProfile", "AWS::EC2::LaunchTemplate"):
            tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
            assert tags == {"imgrec:fleet": "imgrec", "team": "vision"} | ({"imgrec:web": "imgrec"} if name == "WebGroup" else {}), name
    for kind in ("Web", "Worker"):
        data = resources[f"{kind}LaunchTemplate"]["Properties"]["LaunchTemplateData"]
        assert data["MetadataOptions"] == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True and data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert "SecurityGroupIngress" not in resources["WorkerSecurityGroup"]["Properties"]
    group = resources["WorkerGroup"]["Properties"]
    assert (group["MinSize"], group["MaxSize"], group["NewInstancesProtectedFromScaleIn"]) == ("0", "2", True)
    assert group["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 0
    assert "InstanceMarketOptions" not in data
    alone = rendered(tmp_path, {"spot": True})["Resources"]
    assert "WorkerGroup" not in alone
    assert alone["WorkerLaunchTemplate"]["Properties"]["LaunchTemplateData"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_the_web_instance_is_one_that_nobody_takes_for_a_worker(tmp_path):
    resources = rendered(tmp_path)["Resources"]
    group = resources["WebGroup"]["Properties"]
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == ("1", "1", "1")
    data = resources["WebLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert data["InstanceType"] == "c7i.large" and data["IamInstanceProfile"] == {"Name": {"Ref": "WebProfile"}}
    network, = data["NetworkInterfaces"]
    assert network["Groups"] == [{"Fn::GetAtt": ["WebSecurityGroup", "GroupId"]}]
    # By this tag the controller finds its workers, and ends them.
    at_launch = [tag["Key"] for tag in group["Tags"] if tag["PropagateAtLaunch"]]
    at_launch += [tag["Key"] for one in data["TagSpecifications"] for tag in one["Tags"]]
    assert "imgrec:web" in at_launch and "imgrec:fleet" not in at_launch
    assert {one["ResourceType"] for one in data["TagSpecifications"]} == {"instance", "volume", "network-interface"}
    small = rendered(tmp_path, web=WEB + 'web_type = "t3.small"\nweb_subnets = ["subnet-1", "subnet-2"]\n')
    assert small["Resources"]["WebLaunchTemplate"]["Properties"]["LaunchTemplateData"]["InstanceType"] == "t3.small"
    assert small["Resources"]["WebGroup"]["Properties"]["VPCZoneIdentifier"] == ["subnet-1", "subnet-2"]
    assert small["Resources"]["WebSecurityGroup"]["Properties"]["VpcId"] == {"Ref": "VpcId"}
    assert "VpcId" not in small["Resources"]["WorkerSecurityGroup"]["Properties"], "workers are in the default VPC"
    without = rendered(tmp_path, web=NO_WEB)
    assert not [name for name in without["Resources"] if name.startswith("Web") and name not in ("WebRole", "WebProfile")]
    assert "ResponseQueue" not in without["Resources"] and "ResponseQueue" in resources


def test_only_the_port_is_open_and_only_to_those_who_are_named(tmp_path):
    template = rendered(tmp_path, head="[web]\nport = 8080", web='[deploy]\nallowed_cidr = ["203.0.113.7/32", "10.0.0.0/8"]\n')
    rules = template["Resources"]["WebSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"]) for rule in rules] == \
        [("tcp", 8080, 8080, "203.0.113.7/32"), ("tcp", 8080, 8080, "10.0.0.0/8")]
    assert template["Outputs"]["Address"]["Value"] == {"Fn::Sub": "http://${WebAddress}:8080/"}


@pytest.mark.parametrize("head,web,said", [
    ("", "", "deploy.allowed_cidr"),
    ("", '[deploy]\nallowed_cidr = "0.0.0.0/0"\n', 'web.keys_file = "store"'),
    ('[web]\nkeys_file = "/etc/keys.json"', WEB, 'set it to "store"'),
    ('[web]\ntls_certificate = "/etc/c.pem"\ntls_key = "/etc/k.pem"', WEB, "load balancer"),
    ("", '[deploy]\nallowed_cidr = "203.0.113.7"\n', "203.0.113.7/32"),
    ("[controller]\nmax = 5", WEB + "max_workers = 4\n", "controller.max (5) is above deploy.max_workers (4)"),
    ("[controller]\nmax = 5\nprice = 0.1", WEB + "max_dollars_per_hour = 0.55\n", "0.6 dollars an hour (5 workers and the web instance)"),
    ("[controller]\nmax = 5", WEB + "max_dollars_per_hour = 0.5\n", "needs controller.price"),
])
def test_an_unsafe_web_instance_and_too_many_machines_are_refused(tmp_path, head, web, said):
    done = run(tmp_path, head=head, web=web)
    assert done.returncode != 0 and said in done.stderr and done.stdout == ""


def test_a_web_instance_for_all_needs_keys_and_limits_that_are_kept_are_none(tmp_path):
    rendered(tmp_path, head='[web]\nkeys_file = "store"', web='[deploy]\nallowed_cidr = "0.0.0.0/0"\n')
    limited = rendered(tmp_path, GROUP, head="[controller]\nmax = 50\nprice = 0.1\nmax_dollars_per_hour = 0.4",
                       web=WEB + "max_workers = 50\nmax_dollars_per_hour = 0.5\n")
    assert limited["Resources"]["WorkerGroup"]["Properties"]["MaxSize"] == "4"


def test_the_web_instance_s_user_data_has_the_settings_and_the_address_of_the_stack(tmp_path):
    template = rendered(tmp_path, head='[web]\nport = 80\n[metrics]\nport = "9100"')
    data = template["Resources"]["WebLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Join"]
    assert data[1][1] == {"Fn::GetAtt": ["WebAddress", "AllocationId"]}
    text = data[0].join([data[1][0], ADDRESS, data[1][2]])
    assert len(text.encode()) <= 16 * 1024
    files = {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}
    settings = tmp_path / "web.toml"
    settings.write_text(files["/etc/imgrec/web.toml"])
    shown = imgrec.run("config", "show", "--config", settings)
    assert shown.returncode == 0, shown.stderr
    values = dict(line.split()[:2] for line in shown.stdout.splitlines() if len(line.split()) > 1)
    wanted = {"web.bind": "0.0.0.0", "web.port": "80", "web.node": "web", "aws.input_bucket": "in-bucket", "aws.queues": "use",
              "aws.launch_template": "imgrec-worker", "aws.launch_template_version": "$Latest", "deploy.address": ADDRESS,
              "metrics.port": "9100", "aws.fleet": "imgrec"}
    assert {name: values[name] for name in wanted} == wanted
    assert files["/usr/local/sbin/imgrec-install"] == (imgrec.ROOT / "configs/user-data/install.py").read_text()
    command, = yaml.safe_load(text)["runcmd"]
    assert command[-4:] == ["--unit", "imgrec@address.service", "imgrec@web.service", "imgrec@controller.service"]
    unit = tmp_path / "imgrec@.service"
    unit.write_text(files["/etc/systemd/system/imgrec@.service"].replace("/opt/imgrec/bin/imgrec", "/usr/bin/true"))
    (tmp_path / "imgrec@web.service").symlink_to(unit)
    verified = subprocess.run(["systemd-analyze", "verify", str(tmp_path / "imgrec@web.service")], capture_output=True, text=True)
    assert verified.returncode == 0 and "imgrec@" not in verified.stderr, verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", str(tmp_path / "imgrec@web.service")], capture_output=True, text=True)
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert exposure and float(exposure.group(1)) <= 2.5, judged.stdout + judged.stderr


def test_alarms_size_the_group_as_the_policy_alarm_does(tmp_path):
    """More than 2 messages scale out, fewer than 3 in; from one machine to 19. Steps: roles/controller/policy/alarm_rule.hpp."""
    resources = rendered(tmp_path, GROUP, web=ALARMS)["Resources"]
    group = resources["WorkerGroup"]["Properties"]
    assert (group["MinSize"], group["MaxSize"], group["NewInstancesProtectedFromScaleIn"]) == ("1", "19", False)
    change = {}
    for name, comparison, threshold in (("ScaleOut", "GreaterThanThreshold", 2), ("ScaleIn", "LessThanThreshold", 3)):
        alarm, policy = resources[f"{name}Alarm"]["Properties"], resources[f"{name}Policy"]["Properties"]
        assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (comparison, threshold, 60, 1)
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["RequestQueue", "QueueName"]}}]
        assert alarm["AlarmActions"] == [{"Ref": f"{name}Policy"}] and policy["AutoScalingGroupName"] == {"Ref": "WorkerGroup"}
        assert (policy["PolicyType"], policy["AdjustmentType"]) == ("StepScaling", "ChangeInCapacity")
        change[name] = [(step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound"), step["ScalingAdjustment"])
                        for step in policy["StepAdjustments"]]
    assert resources["ScaleOutPolicy"]["Properties"]["EstimatedInstanceWarmup"] == 300
    assert change == {"ScaleOut": [(0, 10, 1), (10, 50, 6), (50, None, 18)], "ScaleIn": [(-2, 0, -1), (None, -2, -6)]}
    assert "ScaleOutAlarm" not in rendered(tmp_path, GROUP)["Resources"]
    settings = resources["WebLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Join"][1]
    assert "alarms = true" in settings[0] + settings[2], "so that the controller only watches"
    refused = run(tmp_path, web=ALARMS)
    assert refused.returncode != 0 and 'aws.fleet_kind = "asg"' in refused.stderr


def test_all_settings_that_are_missing_are_named_at_once(tmp_path):
    nothing = run(tmp_path, {name: None for name in SETTINGS}, web="")
    assert nothing.returncode == 2
    for name in ("aws.input_bucket", "aws.bundle_bucket", "aws.bundle_key and aws.bundle_sha256", "aws.image_id", "aws.instance_types",
                 "deploy.allowed_cidr"):
        assert f"\n  {name}: " in nothing.stderr, nothing.stderr
    two = run(tmp_path, {"image_id": None, "instance_types": None}, web=NO_WEB)
    assert two.stderr.count("\n  ") == 2 and "aws.image_id" in two.stderr and "aws.instance_types" in two.stderr


def test_workers_start_from_the_prebaked_image_where_there_is_one(tmp_path):
    plain = rendered(tmp_path)
    baked = rendered(tmp_path, {"prebaked_image": "ami-0fedcba9876543210"})
    data = baked["Resources"]["WorkerLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert data["ImageId"] == "ami-0fedcba9876543210"
    data["ImageId"] = SETTINGS["image_id"]
    assert baked == plain, "nothing else changes: also the user-data is the same"


def test_the_user_data_is_what_workers_get(tmp_path):
    data = rendered(tmp_path)["Resources"]["WorkerLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    printed = imgrec.run("user-data", "worker", "--config", tmp_path / "aws.toml")
    assert printed.returncode == 0 and data["UserData"] == {"Fn::Base64": printed.stdout}


@pytest.mark.parametrize("change,said", [
    ({"image_id": None}, "aws.image_id"),
    ({"instance_types": None}, "aws.instance_types"),
    ({"input_bucket": None}, "input_bucket"),
    ({"bundle_key": None, "bundle_sha256": None}, "imgrec bundle upload"),
    ({"bundle_bucket": None}, "aws.bundle_bucket"),
    ({"instance_profile": "another"}, "aws.instance_profile"),
    ({"launch_template": "another"}, "aws.launch_template"),
    ({"fleet": "photos of cats"}, "aws.fleet"),
])
def test_what_cannot_be_a_stack_is_refused_with_its_setting(tmp_path, change, said):
    done = run(tmp_path, change)
    assert done.returncode != 0 and said in done.stderr and done.stdout == ""


def venv():
    return os.environ.get("IMGREC_TEST_CFN_VENV") or pytest.skip("IMGREC_TEST_CFN_VENV is not set: ./dev test sets it")


def test_the_linter_finds_nothing(tmp_path):
    """In one run of it for all, since its start takes longer than its work."""
    kinds = [((GROUP,), ALARMS)]
    for changes in ((), (GROUP, ENCRYPTED), (SUBNETS,), (GROUP, SUBNETS), ({"spot": True, "security_groups": ["sg-0123456789abcdef0"]},)):
        kinds += [(changes, web) for web in (WEB, NO_WEB)]
    files = [tmp_path / f"{number}.json" for number in range(len(kinds))]
    for file, (changes, web) in zip(files, kinds):
        template = rendered(tmp_path, *changes, web=web)
        assert ("Parameters" in template) == (SUBNETS in changes)
        file.write_text(json.dumps(template))
    done = subprocess.run([f"{venv()}/bin/cfn-lint", "--include-checks", "I", "--regions", "us-east-1", "--", *map(str, files)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_moto_makes_and_deletes_the_stack(tmp_path):
    template = run(tmp_path)
    done = subprocess.run([f"{venv()}/bin/python", "-c", STACK, aws_account.REGION], input=template.stdout, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["status"] == "CREATE_COMPLETE"
    assert set(made["queues"]) == {"imgrec-requests", "imgrec-dead", "imgrec-signals", "imgrec-shutdown-request.fifo",
                                   "imgrec-shutdown-confirmed.fifo", "imgrec-responses-web"}
    redrive = json.loads(made["queues"]["imgrec-requests"]["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":imgrec-dead") and int(redrive["maxReceiveCount"]) == 1000
    assert set(made["buckets"]) == {"in-bucket", "out-bucket"}
    assert set(made["roles"]) == {"imgrec-web", "imgrec-worker"} and made["profile"] == "imgrec-worker"
    assert made["worker"]["LaunchTemplateData"]["ImageId"] == SETTINGS["image_id"] 
    assert sorted(sum((rule["FromPort"] for rule in rules), 0) for rules in made["in"]) == [0, 8000], "workers: nothing, web: its port"
    address, = made["addresses"]
    assert f'address = "{address}"' in made["web user-data"]
    assert made["left"] == []
