"""AWS for tests: moto's server, boto3 to look at it with, and roles that have the project's own policies.

IMGREC_TEST_MOTO_PYTHON names the interpreter of the environment that has moto and boto3 (./dev test sets it up).
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("IMGREC_TEST_MOTO_PYTHON", "")
ACCOUNT = "123456789012"
REGION = "us-east-1"

# boto3 is used by these tests, which run in Debian's Python; its environment is one of the same Python.
sys.path += map(str, pathlib.Path(PYTHON).parents[1].glob("lib/python3*/site-packages")) if PYTHON else []

# On AWS the right to a call covers its batch, and s3:ListBucket covers HeadBucket; moto has actions of their own.
MOTO_ACTIONS = {"s3:ListBucket": "s3:HeadBucket",
                **{f"sqs:{name}": f"sqs:{name}Batch" for name in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")}}
# moto knows neither resources nor conditions of EC2, and no name of a queue that is yet to be made:
# https://github.com/getmoto/moto/blob/master/moto/iam/access_control.py
WITHOUT_RESOURCE = ("ec2:", "autoscaling:", "sqs:CreateQueue", "sqs:GetQueueUrl", "servicequotas:", "iam:GetInstanceProfile", "iam:SimulatePrincipalPolicy",
                    "iam:GetRole")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def policy(name, **words):
    """A policy of configs/iam with its words in capitals replaced."""
    text = (ROOT / "configs/iam" / f"{name}.json").read_text()
    values = {"REGION": REGION, "ACCOUNT_ID": ACCOUNT, "INPUT_BUCKET": "in-bucket", "OUTPUT_BUCKET": "out-bucket",
              "BUNDLE_BUCKET": "bundle-bucket", "FLEET": "imgrec", "WORKER_ROLE": "imgrec-worker", "AUTO_SCALING_GROUP": "imgrec",
              "KMS_KEY": "1234abcd-12ab-34cd-56ef-1234567890ab"} | words
    for word, value in values.items():
        text = text.replace(word, value)
    return json.loads(text)


def for_moto(document):
    """The policy as moto can decide on it: see WITHOUT_RESOURCE. Nothing is allowed that the original does not name."""
    statements = []
    for statement in document["Statement"]:
        plain = [action for action in statement["Action"] if not action.startswith(WITHOUT_RESOURCE)]
        loose = [action for action in statement["Action"] if action.startswith(WITHOUT_RESOURCE)]
        plain += [MOTO_ACTIONS[action] for action in plain if action in MOTO_ACTIONS]
        for actions, resource in ((plain, statement["Resource"]), (loose, "*")):
            if actions:
                statements.append({"Effect": "Allow", "Action": actions, "Resource": resource})
    return document | {"Statement": statements}


class Moto:
    """moto's server as a process of its own. venv: an environment of the same Python whose packages it also gets."""

    def __init__(self, folder, venv=None):
        assert PYTHON, "IMGREC_TEST_MOTO_PYTHON is not set: run this with ./dev test, or name an interpreter that has moto"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = pathlib.Path(folder) / "moto.log"
        self.consoles = pathlib.Path(folder).resolve() / "consoles"  # a file for each instance that has one: hypervisor.py
        more = [str(path) for path in pathlib.Path(venv).glob("lib/python3*/site-packages")] if venv else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([PYTHON, str(ROOT / "tests/aws/moto_service.py"), str(self.port)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "IMGREC_TEST_CONSOLES": str(self.consoles), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(more)})
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).read()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
                time.sleep(0.05)
        # Before anything is authorised: an administrator, for the tests' own calls.
        iam = self.client("iam", ("testing", "testing", None))
        iam.create_user(UserName="admin")
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName="admin")["AccessKey"]
        self.admin = (key["AccessKeyId"], key["SecretAccessKey"], None)

    def client(self, service, credentials=None, url=None):
        import boto3
        from botocore.config import Config
        key, secret, token = credentials or self.admin
        return boto3.client(service, endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=key,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}))

    def role(self, name, policy_name=None):
        """A role named imgrec-NAME with the policy of configs/iam, and an instance profile of the same name."""
        iam = self.client("iam")
        role = "imgrec-" + name
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                         "Principal": {"AWS": "*"}}]}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(for_moto(policy(policy_name or name))))
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        return role

    def session_of(self, role):
        """Credentials of the role, as STS gives them."""
        got = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test")["Credentials"]
        return got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]

    def forget_launches(self):
        """The next controller has no launches of the one before to repeat: where EC2 answers a token that it has had with the same
        instances, moto launches anew."""
        self.client("s3").delete_object(Bucket="out-bucket", Key="status/leader")

    def authorise_from_now_on(self):
        """Every signature and every right is checked, as on AWS."""
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", method="POST", data=b"0",
                                         headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=30).read()

    def variables(self, credentials=None, url=None):
        """What tells a process of these credentials."""
        key, secret, token = credentials or self.admin
        own = {"AWS_ENDPOINT_URL": url or self.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": key,
               "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
               "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
        return own | ({"AWS_SESSION_TOKEN": token} if token else {})

    def environment(self, credentials=None, url=None):
        """Of a process that has these credentials and nothing else of AWS."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return clean | self.variables(credentials, url)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
