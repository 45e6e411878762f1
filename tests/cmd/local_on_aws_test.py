"""`imgrec local` with queues and objects on AWS (moto): what is old there is not its own to delete."""
import time

import aws_account
import imgrec

OLD = "inputs/01ARZ3NDEKTSV4RRFFQ69G5FAV"
SETTINGS = f"""
platform = "aws"
[model]
name = "resnet18-pqf"
[web]
wait_max = "1s"
[local]
retention = "1s"
[aws]
input_bucket = "in-bucket"
output_bucket = "out-bucket"
bundle_bucket = "bundle-bucket"
bundle_key = "bundles/some.tar.gz"
bundle_sha256 = "{'0' * 64}"
image_id = "ami-12c6146b"
instance_types = ["c7i.large"]
instance_profile = "imgrec-worker"
"""


def test_it_serves_and_leaves_buckets_alone(tmp_path):
    config = tmp_path / "aws.toml"
    config.write_text(SETTINGS)
    with aws_account.Moto(tmp_path) as account:
        env = account.variables()
        done = imgrec.run("setup", "--config", config, env=env)
        assert done.returncode == 0, done.stderr
        s3 = account.client("s3")
        s3.put_object(Bucket="in-bucket", Key=OLD, Body=b"x")
        time.sleep(2.5)  # older than the retention, in the whole seconds of S3's clock
        with imgrec.Service("local", "--config", config, "--model-dir", imgrec.model_dir(), env=env) as service:
            time.sleep(2.5)  # two sweeps
            assert service.request("GET", "/readyz")[0] == 200
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="in-bucket").get("Contents", [])] == [OLD]
