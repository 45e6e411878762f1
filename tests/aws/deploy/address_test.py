"""`imgrec address`: what it asks of EC2, for the instance that its metadata name, and what it says when it cannot."""
import urllib.parse

import imgrec
import instance_metadata
import small_server

ALLOCATION = "eipalloc-0123456789abcdef0"
INSTANCE = "i-0123456789abcdef0"


def run(*words, url="http://127.0.0.1:9", **more):
    environment = {"AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-central-1", "AWS_CONFIG_FILE": "/nonexistent",
                   "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    return imgrec.run("address", "--platform", "aws", *words, env=environment | more)


def test_the_instance_of_the_metadata_gets_the_address_with_its_roles_rights():
    asked = []

    def ec2(request):
        asked.append(dict(urllib.parse.parse_qsl(request.body.decode())))
        return 200, "text/xml", b"<AssociateAddressResponse><return>true</return></AssociateAddressResponse>"
    metadata = instance_metadata.InstanceMetadata(lambda: ("AKIDEXAMPLE", "x", "t"), {"instance-id": INSTANCE})
    with metadata, small_server.SmallServer(ec2) as server:
        done = run("--deploy-address", ALLOCATION, url=server.url, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
    assert done.returncode == 0 and ALLOCATION in done.stdout and INSTANCE in done.stdout, done.stderr
    call, = asked
    assert call.items() >= {"Action": "AssociateAddress", "AllocationId": ALLOCATION, "InstanceId": INSTANCE, "AllowReassociation": "true"}.items()


def test_what_is_missing_is_said():
    without = run()
    assert without.returncode == 2 and "deploy.address is empty" in without.stderr
    elsewhere = run("--deploy-address", ALLOCATION, AWS_EC2_METADATA_DISABLED="true", AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="x")
    assert elsewhere.returncode == 2 and "only an instance's metadata" in elsewhere.stderr
