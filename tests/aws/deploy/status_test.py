"""`imgrec deploy status` against a server that answers as CloudFormation does, and as EC2 without a machine."""
import urllib.parse

import imgrec
import small_server

ARN = "arn:aws:cloudformation:eu-central-1:123456789012:stack/imgrec/0123"
STACK = "AWS::CloudFormation::Stack"


def element(name, **members):
    return f"<{name}>" + "".join(f"<{key}>{value}</{key}>" for key, value in members.items()) + f"</{name}>"


def event(name, type, status, reason="", id=""):
    return element("member", LogicalResourceId=name, ResourceType=type, ResourceStatus=status, ResourceStatusReason=reason,
                   PhysicalResourceId=id or name.lower())


# Latest first. A bucket's name is taken: the queues that were under way are cancelled, and all is rolled back. Before that, another
# change of the stack failed for another reason.
FAILED = [[event("imgrec", STACK, "ROLLBACK_COMPLETE", id=ARN),
           event("RequestQueue", "AWS::SQS::Queue", "DELETE_FAILED", "Access denied."),
           event("imgrec", STACK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [InputBucket]", ARN),
           event("SignalQueue", "AWS::SQS::Queue", "CREATE_FAILED", "Resource creation cancelled")],
          [event("InputBucket", "AWS::S3::Bucket", "CREATE_FAILED", "in-bucket already exists"),
           event("InputBucket", "AWS::S3::Bucket", "CREATE_IN_PROGRESS"),
           event("imgrec", STACK, "CREATE_IN_PROGRESS", "User Initiated", ARN),
           event("OutputBucket", "AWS::S3::Bucket", "CREATE_FAILED", "of an earlier change")]]


class CloudFormation:
    def __init__(self, status, events=(), outputs=None, machines=(200, b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")):
        self.status, self.events, self.asked = status, events, []
        self.outputs, self.machines = outputs or {}, machines

    def __call__(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        if "/ec2/aws4_request" in request.headers["authorization"]:
            assert form["Action"] == "DescribeInstances" and form["Filter.1.Name"] == "tag:imgrec:image-of"
            return self.machines[0], "text/xml", self.machines[1]
        assert form["Version"] == "2010-05-15" and "/cloudformation/aws4_request" in request.headers["authorization"]
        self.asked.append((form["Action"], form["StackName"], form.get("NextToken")))
        if form["Action"] == "DescribeStacks":
            if self.status is None:
                error = element("Error", Type="Sender", Code="ValidationError", Message=f"Stack with id {form['StackName']} does not exist")
                return 400, "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
            outputs = "".join(element("member", OutputKey=name, OutputValue=value) for name, value in self.outputs.items())
            inner = "<Stacks>" + element("member", StackId=ARN, StackName="imgrec", StackStatus=self.status, Outputs=outputs) + "</Stacks>"
        elif form["Action"] == "DescribeStackResources":
            inner = "<StackResources>" + event("RequestQueue", "AWS::SQS::Queue", "CREATE_COMPLETE", id="https://sqs/imgrec-requests") + "</StackResources>"
        else:
            page = int(form.get("NextToken", "0"))
            more = f"<NextToken>{page + 1}</NextToken>" if page + 1 < len(self.events) else ""
            inner = "<StackEvents>" + "".join(self.events[page]) + "</StackEvents>" + more
        name = form["Action"]
        return 200, "text/xml", f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>".encode()


def status(service, *flags):
    with small_server.SmallServer(service) as server:
        return imgrec.run("deploy", "status", *flags, env={
            "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"})


def test_a_stack_and_its_resources():
    service = CloudFormation("UPDATE_COMPLETE", FAILED)
    done = status(service)
    assert done.returncode == 0, done.stderr
    assert "Stack imgrec: UPDATE_COMPLETE\n" in done.stdout
    assert "RequestQueue  CREATE_COMPLETE  https://sqs/imgrec-requests" in done.stdout
    assert "failure" not in done.stdout
    assert service.asked == [("DescribeStacks", "imgrec", None), ("DescribeStackResources", ARN, None)]


def test_the_address_of_the_web_instance():
    done = status(CloudFormation("UPDATE_COMPLETE", outputs={"LaunchTemplate": "lt-0123", "Address": "http://192.0.2.1:8000/"}))
    assert done.returncode == 0, done.stderr
    assert "\nThe service answers at http://192.0.2.1:8000/ (a new machine needs two minutes or so).\n" in done.stdout
    assert done.stdout.index("RequestQueue") < done.stdout.index("answers at") and "lt-0123" not in done.stdout
    # With deploy.web = false there is none.
    assert "answers at" not in status(CloudFormation("UPDATE_COMPLETE", outputs={"LaunchTemplate": "lt-0123"})).stdout
    # It comes from AWS: nothing in it acts on the terminal.
    hostile = status(CloudFormation("UPDATE_COMPLETE", outputs={"Address": "http://\x9b31m/"}))
    assert "answers at" in hostile.stdout and "\x9b" not in hostile.stdout


def test_machines_that_cannot_be_listed_are_not_none():
    refused = element("Error", Code="UnauthorizedOperation", Message="You are not authorized.")
    done = status(CloudFormation("UPDATE_COMPLETE", machines=(403, f"<Response><Errors>{refused}</Errors></Response>".encode())))
    assert done.returncode == 0 and "Stack imgrec: UPDATE_COMPLETE" in done.stdout
    assert "Whether a machine is there to make an image is not known." in done.stderr and "not authorized" in done.stderr


def test_a_failed_stack_says_what_failed_first():
    service = CloudFormation("ROLLBACK_COMPLETE", FAILED)
    done = status(service)
    assert done.returncode == 1
    assert "First failure: InputBucket (AWS::S3::Bucket): in-bucket already exists\n" in done.stdout
    assert "earlier change" not in done.stdout and "cancelled" not in done.stdout
    assert service.asked[2:] == [("DescribeStackEvents", ARN, None), ("DescribeStackEvents", ARN, "1")]


def test_only_the_latest_change_is_read():
    later = [[event("imgrec", STACK, "UPDATE_ROLLBACK_COMPLETE", id=ARN), event("WorkerRole", "AWS::IAM::Role", "UPDATE_FAILED", "No such right"),
              event("imgrec", STACK, "UPDATE_IN_PROGRESS", "User Initiated", ARN), *FAILED[0]], FAILED[1]]
    service = CloudFormation("UPDATE_ROLLBACK_COMPLETE", later)
    done = status(service)
    assert "First failure: WorkerRole (AWS::IAM::Role): No such right\n" in done.stdout
    assert len(service.asked) == 3


def test_a_stack_that_waits_for_an_answer():
    done = status(CloudFormation("REVIEW_IN_PROGRESS"))
    assert done.returncode == 0 and "Nothing is made yet: an imgrec deploy waits for its answer" in done.stdout


def test_no_such_stack():
    done = status(CloudFormation(None), "--stack", "another")
    assert done.returncode == 2 and 'There is no stack "another" in region eu-central-1' in done.stderr


def test_another_answer_is_no_empty_stack():
    done = status(lambda request: (200, "text/xml", b"<html/>"))
    assert done.returncode == 3 and "CloudFormation DescribeStacks failed" in done.stderr and done.stdout == ""
