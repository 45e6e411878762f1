"""The policies of configs/iam: well-formed, as narrow as they say, and each refused outside its own work (by moto in its
authorising mode; what moto does not decide on, the policies' own text is checked for). That each is enough for its role's
whole work is what tests/e2e/aws_test.py shows."""
import json
import re
import subprocess

import pytest

import aws_account
import imgrec

ROLES = ("web", "worker", "controller", "deployer")
# The project's own table of queues, of a web node named web-1: what each role does with each queue.
ROSTER = json.loads(subprocess.run([imgrec.program("queue_roster")], capture_output=True, text=True, check=True, timeout=60).stdout)
for row in ROSTER:
    row["name"] += ".fifo" if row["fifo"] else ""  # as SQS wants it
# What a use takes: the calls below, and the actions of a policy.
CALLS = {"sends": {"send"}, "receives": {"receive", "delete", "extend"}, "watches": {"attributes"}, "makes": set()}  # moto asks no resource
ACTIONS = {"sends": {"SendMessage"}, "receives": {"ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"},
           "watches": {"GetQueueAttributes"}, "makes": {"CreateQueue", "TagQueue"}}
KEYS = ("inputs/a", "results/a", "attempts/a.1", "named/a", "sessions/a/1", "idempotency/a", "status/worker-start", "status/service",
        "status/leader", "access/keys.json", "access/use/a.json", "bundles/a", "other/a")


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with aws_account.Moto(tmp_path_factory.mktemp("moto")) as server:
        s3, sqs = server.client("s3"), server.client("sqs")
        for bucket in ("in-bucket", "out-bucket", "bundle-bucket", "somebody-elses"):
            s3.create_bucket(Bucket=bucket)
            for key in KEYS:
                s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        server.urls = {name: sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if name.endswith(".fifo") else {})["QueueUrl"]
                       for name in [row["name"] for row in ROSTER] + ["other-queue"]}
        server.clients = {}
        server.sessions = {name: server.session_of(server.role(name)) for name in ROLES}
        server.authorise_from_now_on()
        yield server


def allowed(account, role, service, operation, **parameters):
    from botocore.exceptions import ClientError
    if (service, role) not in account.clients:  # making one takes boto3 longer than many calls
        account.clients[service, role] = account.client(service, account.sessions[role])
    try:
        getattr(account.clients[service, role], operation)(**parameters)
        return True
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"):
            return False
        return True  # refused for another reason, after the rights were looked at


def sqs_calls(account, queue):
    url = account.urls[queue]
    return {"send": ("send_message", {"QueueUrl": url, "MessageBody": "x"}),
            "receive": ("receive_message", {"QueueUrl": url}),
            "delete": ("delete_message", {"QueueUrl": url, "ReceiptHandle": "none"}),
            "extend": ("change_message_visibility", {"QueueUrl": url, "ReceiptHandle": "none", "VisibilityTimeout": 1}),
            "attributes": ("get_queue_attributes", {"QueueUrl": url}),
            "purge": ("purge_queue", {"QueueUrl": url}),
            "redrive": ("set_queue_attributes", {"QueueUrl": url, "Attributes": {"VisibilityTimeout": "1"}}),
            "drop": ("delete_queue", {"QueueUrl": url})}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("queue", [row["name"] for row in ROSTER] + ["other-queue"])
def test_queues(account, role, queue):
    calls = sqs_calls(account, queue)
    found = {name for name, (operation, parameters) in calls.items() if allowed(account, role, "sqs", operation, **parameters)}
    uses = [use for row in ROSTER if row["name"] == queue for use in row["uses"][role]]
    assert found == set().union(*(CALLS[use] for use in uses))


@pytest.mark.parametrize("role", ROLES)
def test_queues_by_the_policy_s_text(role):
    """The same for FIFO queues too, and exactly: each use is allowed by its actions, and no other action of SQS is."""
    found = {}
    for statement in json.loads((aws_account.ROOT / "configs/iam" / f"{role}.json").read_text())["Statement"]:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for action in statement["Action"]:
            if action.startswith("sqs:"):
                for resource in resources:
                    found.setdefault(resource.rpartition(":")[2], set()).add(action.removeprefix("sqs:"))
    wanted = {}
    for row in ROSTER:
        if uses := row["uses"][role]:
            names = [row["name"].replace("web-1", "*")] if row["per_node"] else [row["name"]]
            if not row["fifo"] and not row["per_node"]:  # unless the settings say otherwise
                names.append(row["name"] + ".fifo")
            for name in names:
                wanted[name] = {"GetQueueUrl"}.union(*(ACTIONS[use] for use in uses))
    assert found == wanted


# role → (bucket, key) → what it may do with it
S3 = {
    "web": {("in-bucket", "inputs/a"): {"get", "put", "delete"}, ("out-bucket", "results/a"): {"get", "put", "delete"},
            ("out-bucket", "attempts/a.1"): {"delete"}, ("out-bucket", "sessions/a/1"): {"get", "put"},
            ("out-bucket", "idempotency/a"): {"get", "put"}, ("out-bucket", "status/worker-start"): {"get"},
            ("out-bucket", "status/service"): {"get"}, ("out-bucket", "status/leader"): {"get"},
            ("out-bucket", "access/keys.json"): {"get"}, ("out-bucket", "access/use/a.json"): {"get", "put"}},
    "worker": {("in-bucket", "inputs/a"): {"get"}, ("out-bucket", "results/a"): {"get", "put"},
               ("out-bucket", "named/a"): {"get", "put"},
               ("out-bucket", "attempts/a.1"): {"put", "delete"}, ("out-bucket", "status/worker-start"): {"put", "delete"},
               ("out-bucket", "status/leader"): {"get"},
               ("bundle-bucket", "bundles/a"): {"get"}},
    "controller": {("out-bucket", "status/worker-start"): {"get"}, ("out-bucket", "status/service"): {"get", "put"},
                   ("out-bucket", "status/leader"): {"get", "put"}},
    "deployer": {("bundle-bucket", "bundles/a"): {"get", "put"}, ("out-bucket", "status/leader"): {"get"},
                 ("out-bucket", "status/service"): {"get"}, ("out-bucket", "status/worker-start"): {"get"},
                 ("out-bucket", "access/keys.json"): {"get", "put"}},
}


@pytest.mark.parametrize("role", ROLES)
def test_objects(account, role):
    for bucket in ("in-bucket", "out-bucket", "bundle-bucket", "somebody-elses"):
        for key in KEYS:
            found = {name for name, operation, more in (("get", "get_object", {}), ("put", "put_object", {"Body": b"x"}),
                                                        ("delete", "delete_object", {}))
                     if allowed(account, role, "s3", operation, Bucket=bucket, Key=key, **more)}
            assert found == S3[role].get((bucket, key), set()), (bucket, key)


@pytest.mark.parametrize("role,wanted", [("web", set()), ("worker", set()), ("controller", {"describe", "size", "end"}),
                                         ("deployer", {"describe", "size"})])
def test_auto_scaling_group(account, role, wanted):
    calls = {"describe": ("describe_auto_scaling_groups", {}),
             "size": ("set_desired_capacity", {"AutoScalingGroupName": "imgrec", "DesiredCapacity": 1}),
             "end": ("terminate_instance_in_auto_scaling_group", {"InstanceId": "i-0", "ShouldDecrementDesiredCapacity": True}),
             "delete": ("delete_auto_scaling_group", {"AutoScalingGroupName": "imgrec"})}
    from botocore.parsers import ResponseParserError

    def may(operation, more):
        try:
            return allowed(account, role, "autoscaling", operation, **more)
        except ResponseParserError:  # moto allows the call, and then breaks at what is not there
            return True

    assert {name for name, (operation, more) in calls.items() if may(operation, more)} == wanted


@pytest.mark.parametrize("role,wanted", [("web", set()), ("worker", set()), ("controller", {"describe", "run", "terminate"}),
                                         ("deployer", {"describe", "run", "terminate", "console"})])
def test_instances(account, role, wanted):
    calls = {"describe": ("describe_instances", {}), "terminate": ("terminate_instances", {"InstanceIds": ["i-0123456789abcdef0"]}),
             "run": ("run_instances", {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "DryRun": True}),
             "console": ("get_console_output", {"InstanceId": "i-0123456789abcdef0"}),
             "reboot": ("reboot_instances", {"InstanceIds": ["i-0123456789abcdef0"]}),
             "tag": ("delete_tags", {"Resources": ["i-0123456789abcdef0"], "Tags": [{"Key": "a"}]})}
    assert {name for name, (operation, more) in calls.items() if allowed(account, role, "ec2", operation, **more)} == wanted


@pytest.mark.parametrize("role", ROLES)
def test_nobody_may_make_users_or_become_another_role(account, role):
    assert not allowed(account, role, "iam", "create_user", UserName="another")
    assert not allowed(account, role, "iam", "put_role_policy", RoleName="imgrec-worker", PolicyName="x", PolicyDocument="{}")


@pytest.mark.parametrize("role", ROLES)
def test_the_text_is_well_formed_and_names_what_it_allows(role):
    text = (aws_account.ROOT / "configs/iam" / f"{role}.json").read_text()
    document = json.loads(text)
    assert document["Version"] == "2012-10-17"
    assert len(re.sub(r"\s", "", text)) <= 6144, "longer than a managed policy may be"
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow" and re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        actions = statement["Action"]
        assert isinstance(actions, list) and all(re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action) for action in actions)
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        if "*" in resources:  # actions that know no resource
            assert all(re.match(r"ec2:Describe|autoscaling:Describe|servicequotas:", action) for action in actions), statement["Sid"]
        placeholders = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text))
        assert placeholders <= {"REGION", "ACCOUNT_ID", "INPUT_BUCKET", "OUTPUT_BUCKET", "BUNDLE_BUCKET", "FLEET", "WORKER_ROLE", "AUTO_SCALING_GROUP",
                                "KMS_KEY"}


@pytest.mark.parametrize("role", ROLES)
def test_the_text_holds_in_every_partition(role):
    """China and GovCloud have ARNs of their own (aws-cn, aws-us-gov): "You can use wildcard characters within the individual
    segments of an ARN", but for the service
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html)."""
    text = (aws_account.ROOT / "configs/iam" / f"{role}.json").read_text()
    arns = re.findall(r'"(arn:[^"]*)"', text)
    assert arns
    for arn in arns:
        partition, service, region, account = arn.split(":", 5)[1:5]
        assert partition == "*" and re.fullmatch(r"[a-z0-9]+", service), arn
        # An ARN of another account or region stays out, where the service names them.
        assert (region, account) in ({("", "")} if service == "s3" else {("REGION", "ACCOUNT_ID"), ("REGION", ""), ("", "ACCOUNT_ID")}), arn


@pytest.mark.parametrize("role", ["controller", "deployer"])
def test_launching_is_bound_to_the_fleet_and_to_one_role(role):
    """What moto does not decide on: conditions, and the resources of EC2."""
    statements = [s for s in aws_account.policy(role)["Statement"]]
    by_action = {}
    for statement in statements:
        for action in statement["Action"]:
            by_action.setdefault(action, []).append(statement)
    passing, *more = by_action["iam:PassRole"]
    if role == "deployer":  # tests/aws/deploy/rights_test.py looks at what that role may do
        assert [(one["Resource"].rpartition("/")[2], one["Condition"]) for one in more] == [
            ("imgrec-stack", {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}})]
    else:
        assert not more
    assert passing["Resource"].endswith(":role/imgrec-worker")
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]}}
    tags = ["imgrec:fleet", "imgrec:image-of"] if role == "deployer" else ["imgrec:fleet"]  # workers; builders of images

    def conditions(action, resources=r":(instance|volume)/"):
        return [one["Condition"]["StringEquals"] for one in by_action[action] if re.search(resources, json.dumps(one["Resource"]))]
    assert conditions("ec2:RunInstances") == [{f"aws:RequestTag/{tag}": "imgrec"} for tag in tags]
    assert conditions("ec2:TerminateInstances") == [{f"aws:ResourceTag/{tag}": "imgrec"} for tag in reversed(tags)]
    assert conditions("ec2:CreateTags", ".") == [{"ec2:CreateAction": ["RunInstances", "CreateImage"] if role == "deployer" else "RunInstances"}]
    if role == "deployer":
        made, of = by_action["ec2:CreateImage"]
        assert made["Condition"] == {"StringEquals": {"aws:RequestTag/imgrec:image-of": "imgrec"}}
        assert of["Condition"] == {"StringEquals": {"aws:ResourceTag/imgrec:image-of": "imgrec"}} and of["Resource"].endswith(":instance/*")
        for action in ("ec2:DeregisterImage", "ec2:DeleteSnapshot"):
            assert conditions(action, ".") == [{"aws:ResourceTag/imgrec:image-of": "imgrec"}]
    else:
        assert not by_action.keys() & {"ec2:CreateImage", "ec2:DeregisterImage", "ec2:DeleteSnapshot"}


@pytest.mark.parametrize("role", ROLES)
def test_the_key_is_used_through_queues_and_buckets_alone(role):
    """Who sends or stores needs both."""
    statement, = [s for s in json.loads((aws_account.ROOT / "configs/iam" / f"{role}.json").read_text())["Statement"]
                  if any(action.startswith("kms:") for action in s["Action"])]
    assert set(statement["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert statement["Resource"] == "arn:*:kms:REGION:ACCOUNT_ID:key/KMS_KEY"
    assert statement["Condition"] == {"StringLike": {"kms:ViaService": ["sqs.REGION.amazonaws.com*", "s3.REGION.amazonaws.com*"]}}


def test_the_web_instance_takes_one_address_for_itself_alone():
    """moto decides on neither resources nor conditions of EC2."""
    document = aws_account.policy("web-instance", ALLOCATION_ID="eipalloc-1")
    by_sid = {statement["Sid"]: statement for statement in document["Statement"]}
    assert {action for statement in by_sid.values() for action in statement["Action"]} == {"s3:GetObject", "ec2:AssociateAddress"}
    here = f"arn:*:ec2:{aws_account.REGION}:{aws_account.ACCOUNT}:"
    assert by_sid["TakeThisAddressOnly"]["Resource"] == here + "elastic-ip/eipalloc-1"
    machine = by_sid["ForTheWebInstanceOnly"]
    assert machine["Resource"] == [here + "instance/*", here + "network-interface/*"]
    assert machine["Condition"] == {"StringEquals": {"aws:ResourceTag/imgrec:web": "imgrec"}}
    assert by_sid["InstallBundle"]["Resource"] == "arn:*:s3:::bundle-bucket/bundles/*"


def test_the_readme_explains_every_word_in_capitals():
    readme = (aws_account.ROOT / "configs/iam/README.md").read_text()
    for word in ("REGION", "ACCOUNT_ID", "INPUT_BUCKET", "OUTPUT_BUCKET", "BUNDLE_BUCKET", "FLEET", "WORKER_ROLE", "AUTO_SCALING_GROUP", "ALLOCATION_ID",
                 "KMS_KEY"):
        assert f"`{word}`" in readme
