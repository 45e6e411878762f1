"""Starts moto's server on the given port, fixed where it differs from AWS and the product depends on it:

- RunInstances starts MaxCount instances (moto: MinCount), and knows a ClientToken that it saw before.
- CloudFormation releases the Elastic IPs of a stack that is deleted (moto: it forgets them).
- IAM has SimulatePrincipalPolicy (moto: none), for users and roles with policies of their own: see policy_simulator.py.
- CreateImage takes tags of snapshots (moto: none), and refuses a name that is taken.
- Requests are answered one at a time, but for the waiting of ReceiveMessage: moto, whose server has threads, gives a message to two who
  ask at the same time, or fails.
- GetConsoleOutput shows the console that hypervisor.py writes for an instance (moto: always the same text).

Usage: moto_service.py PORT, run by the interpreter that has moto. INITIAL_NO_AUTH_ACTION_COUNT as moto documents it.
"""
import os
import pathlib
import sys
import threading

import policy_simulator
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses import general
from moto.ec2.responses.instances import InstanceResponse
from moto.iam.responses import IamResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import main
from moto.sqs.models import Queue

run_instances = InstanceBackend.run_instances
create_image = AmiBackend.create_image
get_console_output = general.General.get_console_output
sample_console = general.SAMPLE_CONSOLE_OUTPUT
respond = InstanceResponse.run_instances
answer = DomainDispatcherApplication.__call__
wait_for_messages = Queue.wait_for_messages
answering = threading.Lock()
launches = {}  # (account, region, ClientToken) → reservation


def respond_with_max_count(self):
    self.params["MinCount"] = self.params.get("MaxCount", 1)
    return respond(self)


def run_instances_once(self, image_id, count, user_data, security_group_names, **kwargs):
    token = kwargs.get("client_token", "ABCDE")  # an Auto Scaling group gives none
    launch = (self.account_id, self.region_name, token)
    if token == "ABCDE":  # moto's word for none
        return run_instances(self, image_id, count, user_data, security_group_names, **kwargs)
    if launch not in launches:
        launches[launch] = run_instances(self, image_id, count, user_data, security_group_names, **kwargs)
    return launches[launch]


def simulate_principal_policy(self):
    return policy_simulator.answer(self.backend, self.querystring)


IamResponse.simulate_principal_policy = simulate_principal_policy


def release_address(self, account_id, region_name):
    self.ec2_backend.release_address(address=self.public_ip)


def create_image_with_snapshot_tags(self, instance_id, name, description, tag_specifications):
    if any(image.name == name for image in self.amis.values()):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by another AMI")
    image = create_image(self, instance_id, name, description, [one for one in tag_specifications if one["ResourceType"] == "image"])
    for one in tag_specifications:
        if one["ResourceType"] == "snapshot":
            for tag in one["Tags"]:
                image.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
    return image


def get_own_console_output(self):
    own = pathlib.Path(os.environ["IMGREC_TEST_CONSOLES"]) / self._get_param("InstanceId")
    general.SAMPLE_CONSOLE_OUTPUT = own.read_text(errors="replace")[-65536:] if own.exists() else sample_console
    return get_console_output(self)


def answer_alone(self, environ, start_response):
    with answering:
        return answer(self, environ, start_response)


def wait_while_others_are_answered(self, seconds):
    """ReceiveMessage calls it, and looks at the queue anew after it."""
    answering.release()
    try:
        wait_for_messages(self, seconds)
    finally:
        answering.acquire()


DomainDispatcherApplication.__call__ = answer_alone
Queue.wait_for_messages = wait_while_others_are_answered
ElasticAddress.delete = release_address
AmiBackend.create_image = create_image_with_snapshot_tags
general.General.get_console_output = get_own_console_output
InstanceResponse.run_instances = respond_with_max_count
InstanceBackend.run_instances = run_instances_once

if __name__ == "__main__":
    main(["--port", sys.argv[1]])
