"""What `imgrec deploy` says to CloudFormation and reads from it, against a server that answers as CloudFormation does: a change that
takes a while, answers in pages, outputs, and a person who interrupts."""
import json
import signal
import subprocess
import time
import urllib.parse

import imgrec
import small_server

ARN = "arn:aws:cloudformation:eu-central-1:123456789012:stack/imgrec/0123"
SETTINGS = ["--platform", "aws", "--aws-input-bucket", "in-bucket", "--aws-output-bucket", "out-bucket", "--aws-bundle-bucket", "bundle-bucket",
            "--aws-bundle-key", "bundles/imgrec.tar.gz", "--aws-bundle-sha256", "a" * 64, "--aws-image-id", "ami-0123456789abcdef0",
            "--aws-instance-types", "c7i.large", "--deploy-allowed-cidr", "203.0.113.7/32"]


def element(name, **members):
    return f"<{name}>" + "".join(f"<{key}>{value}</{key}>" for key, value in members.items()) + f"</{name}>"


class CloudFormation:
    """A stack that is made when its change set is executed, but for `ends` false: then it stays in CREATE_IN_PROGRESS."""

    def __init__(self, ends=True):
        self.web = 1  # machines that the web instance's group wants
        self.ends, self.status, self.events, self.asked, self.set, self.seen = ends, None, [], {}, None, False

    def tell(self, name, type, status):
        self.events.insert(0, element("member", EventId=len(self.events), LogicalResourceId=name, ResourceType=type, ResourceStatus=status,
                                      PhysicalResourceId=ARN if name == "imgrec" else name))

    def describe(self):
        if self.status is None:
            return None
        if self.status == "CREATE_IN_PROGRESS" and self.ends and not self.seen:
            self.seen = True  # once as it is under way
        elif self.status == "CREATE_IN_PROGRESS" and self.ends:
            self.status = "CREATE_COMPLETE"
            self.tell("imgrec", "AWS::CloudFormation::Stack", "CREATE_COMPLETE")
        outputs = "<Outputs>" + element("member", OutputKey="LaunchTemplate", OutputValue="lt-0123") + \
            element("member", OutputKey="Address", OutputValue="http://192.0.2.1:8000/") + "</Outputs>"
        return f"<Stacks><member><StackId>{ARN}</StackId><StackStatus>{self.status}</StackStatus>{outputs}</member></Stacks>"

    def changes(self, form):
        page = form.get("NextToken", "0")
        change = element("ResourceChange", Action="Import" if page == "1" else "Add", LogicalResourceId=f"Thing{page}", ResourceType="AWS::S3::Bucket")
        more = "<NextToken>1</NextToken>" if page == "0" else ""
        return (f"<Status>CREATE_COMPLETE</Status><ChangeSetName>{self.set}</ChangeSetName><StackId>{ARN}</StackId><ExecutionStatus>AVAILABLE</ExecutionStatus>"
                f"<Changes><member>{change}</member></Changes>{more}")

    def __call__(self, request):
        if request.method == "HEAD":
            assert request.path == "/bundle-bucket/bundles/imgrec.tar.gz"
            return (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\nETag: "1"\r\n'
                    b"Connection: close\r\n\r\n")
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        name = form["Action"]
        self.asked.setdefault(name, []).append(form)
        inner = ""
        if name == "GetCallerIdentity":
            inner = "<Arn>arn:aws:iam::123456789012:root</Arn>"  # whose rights IAM is not asked about
        elif name == "DescribeStacks":
            inner = self.describe()
            if inner is None:
                error = element("Error", Type="Sender", Code="ValidationError", Message="Stack with id imgrec does not exist")
                return 400, "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
        elif name == "CreateChangeSet":
            self.set, self.status = form["ChangeSetName"], "REVIEW_IN_PROGRESS"
        elif name == "DescribeChangeSet":
            inner = self.changes(form)
        elif name == "ListChangeSets":
            inner = "<Summaries/>"
        elif name == "ExecuteChangeSet":
            self.status = "CREATE_IN_PROGRESS"
            self.tell("imgrec", "AWS::CloudFormation::Stack", "CREATE_IN_PROGRESS")
        elif name == "DescribeAutoScalingGroups":
            group = element("member", AutoScalingGroupName="imgrec-web", MinSize=self.web, MaxSize=self.web, DesiredCapacity=self.web)
            inner = f"<AutoScalingGroups>{group}</AutoScalingGroups>"
        elif name == "DescribeStackEvents":
            inner = "<StackEvents>" + "".join(self.events) + "</StackEvents>"
        return 200, "text/xml", f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>".encode()


def environment(server):
    return {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


def test_a_stack_is_made():
    service = CloudFormation()
    with small_server.SmallServer(service) as server:
        done = imgrec.run("deploy", "--yes", *SETTINGS, env=environment(server))
    assert done.returncode == 0, done.stderr
    assert "Add     Thing0" in done.stdout and "Import  Thing1" in done.stdout
    assert "imgrec  CREATE_COMPLETE" in done.stdout and "LaunchTemplate  lt-0123" in done.stdout
    assert "The service answers at http://192.0.2.1:8000/" in done.stdout.splitlines()[-1]
    assert "UpdateAutoScalingGroup" not in service.asked
    made, = service.asked["CreateChangeSet"]
    assert made["ChangeSetType"] == "CREATE" and made["ImportExistingResources"] == "true" and made["StackName"] == "imgrec"
    assert made["Capabilities.member.1"] == "CAPABILITY_NAMED_IAM" and made["Description"].startswith("imgrec deploy, process ")
    assert made["ClientToken"] == made["ChangeSetName"] and made["ChangeSetName"].startswith("imgrec-deploy-") and "RoleARN" not in made
    assert len(made["TemplateBody"].encode()) <= 51200, "the most that is taken inline"
    printed = imgrec.run("deploy", "template", *SETTINGS, env=environment(server)).stdout
    assert json.loads(made["TemplateBody"]) == json.loads(printed) and len(printed.splitlines()) > 100
    assert "\n" not in made["TemplateBody"], "without spaces for people"
    executed, = service.asked["ExecuteChangeSet"]
    assert executed["ChangeSetName"] == made["ChangeSetName"] and executed["RetainExceptOnCreate"] == "true"


def test_interrupted_it_says_that_the_change_goes_on_and_the_next_run_follows_it():
    service = CloudFormation(ends=False)
    with small_server.SmallServer(service) as server:
        first = subprocess.Popen([imgrec.BINARY, "deploy", "--yes", *SETTINGS], env=imgrec.environment(environment(server)),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while "ExecuteChangeSet" not in service.asked and time.monotonic() < end:
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=60)
        assert first.returncode == 130 and "goes on there" in said
        service.ends = True
        second = imgrec.run("deploy", "--yes", *SETTINGS, env=environment(server))
    assert "CREATE_IN_PROGRESS): another imgrec deploy, or an interrupted one" in second.stdout
    assert "imgrec  CREATE_COMPLETE" in second.stdout and service.asked["CreateChangeSet"][1]["ChangeSetType"] == "UPDATE"


def test_a_web_instance_that_an_interrupted_undeploy_has_ended_comes_again():
    service = CloudFormation()
    service.web = 0
    with small_server.SmallServer(service) as server:
        done = imgrec.run("deploy", "--yes", *SETTINGS, env=environment(server))
    assert done.returncode == 0 and "they come again" in done.stdout, done.stderr
    sizes, = service.asked["UpdateAutoScalingGroup"]
    assert (sizes["AutoScalingGroupName"], sizes["MinSize"], sizes["MaxSize"], sizes["DesiredCapacity"]) == ("imgrec-web", "1", "1", "1")
