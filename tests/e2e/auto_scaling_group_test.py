"""The controller sizes an Auto Scaling group, with the rights of configs/iam: out, and back to nothing with the number lowered."""
import aws_account
import imgrec

GROUP = "imgrec"
SETTINGS = f"""
platform = "aws"
[controller]
interval = "200ms"
idle_cooldown = "200ms"
drain_timeout = "0s"
max = 3
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
fleet_kind = "asg"
auto_scaling_group = "{GROUP}"
"""


def make_group(account, **more):
    account.client("ec2").create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData={
        "ImageId": "ami-12c6146b", "InstanceType": "c7i.large"})
    account.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=GROUP, MinSize=0, MaxSize=5, NewInstancesProtectedFromScaleIn=True,
        LaunchTemplate={"LaunchTemplateName": GROUP}, AvailabilityZones=[aws_account.REGION + "a"], **more)


def test_out_and_in(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        deployer, controller = (account.session_of(account.role(name)) for name in ("deployer", "controller"))
        make_group(account)
        account.authorise_from_now_on()
        assert imgrec.run("setup", "--config", config, env=account.variables(deployer)).returncode == 0
        scaling = account.client("autoscaling")

        def group():
            found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
            return found["DesiredCapacity"], len(found["Instances"])

        with imgrec.Service("controller", "--config", config, "--min-workers", "3", env=account.variables(controller)) as service:
            imgrec.wait_until(lambda: group() == (3, 3), what="three instances")
            lost = scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
            service.wait_for_log(f"instance launched.*{lost}")
        with imgrec.Service("controller", "--config", config, env=account.variables(controller)) as service:
            imgrec.wait_until(lambda: group() == (0, 0), what="the end of all")
            assert "fails" not in service.log(), service.log()
