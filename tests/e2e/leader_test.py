"""Two controllers: one leads, the other stands by, and takes over when that one is killed. On one machine, and on AWS's wire."""
import json
import signal

import aws_account
import imgrec
import quick_model

SETTINGS = """
platform = "aws"
[controller]
interval = "200ms"
lease = "2s"
min = 3
max = 5
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
"""
LEADS = r"this controller leads.*epoch=(\d+)"
STANDS_BY = "another controller leads"


def test_on_aws(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        deployer, controller = (account.session_of(account.role(name)) for name in ("deployer", "controller"))
        account.authorise_from_now_on()
        assert imgrec.run("setup", "--config", config, env=account.variables(deployer)).returncode == 0
        ec2, s3 = account.client("ec2"), account.client("s3")

        def instances():
            found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
            return {one["InstanceId"] for reservation in found["Reservations"] for one in reservation["Instances"]}

        def another():
            return imgrec.Service("controller", "--config", config, env=account.variables(controller))

        with another() as first:
            first.wait_for_log(LEADS)
            imgrec.wait_until(lambda: len(instances()) == 3, what="three instances")
            with another() as second:
                second.wait_for_log(STANDS_BY)
                first.send_signal(signal.SIGKILL)  # moments after its launch
                first.wait()
                assert second.wait_for_log(LEADS, 30).group(1) == "2"
                second.wait_for_log("scaling.*wanted=3")
                before = instances()
                assert len(before) == 3
                ec2.terminate_instances(InstanceIds=[min(before)])
                imgrec.wait_until(lambda: len(instances()) == 3 and instances() != before, what="another instance for the lost one")
                with another() as third:
                    third.wait_for_log(STANDS_BY)
                    assert second.stop() == 0
                    third.wait_for_log(LEADS, 5)
                    third.wait_for_log("scaling.*wanted=3")
                    assert len(instances()) == 3
        lease = json.loads(s3.get_object(Bucket="out-bucket", Key="status/leader")["Body"].read())
        assert lease["released"] and lease["epoch"] == 3


def test_on_one_machine(tmp_path):
    quick_model.install(tmp_path)
    state = tmp_path / "state"

    def another():
        return imgrec.Service("controller", "--model", quick_model.NAME, "--model-dir", tmp_path, "--min-workers", "1",
                              state_dir=state)

    with another() as first:
        first.wait_for_log(LEADS)
        first.wait_for_log("worker ready")
        with another() as second:
            second.wait_for_log(STANDS_BY)
            assert not second.children()
            first.send_signal(signal.SIGKILL)
            first.wait()
            second.wait_for_log(LEADS, 10)  # at its next look: the machine knows that the first one has ended
            second.wait_for_log("worker ready")
            assert len(second.children()) == 1
