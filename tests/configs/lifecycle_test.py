"""configs/s3-lifecycle.json: S3 takes it, and it ends images and results but never a bundle."""
import json
import re

import aws_account

ROOT = aws_account.ROOT


def test_it_ends_what_belongs_to_jobs_and_nothing_else(tmp_path):
    rules = json.loads((ROOT / "configs/s3-lifecycle.json").read_text())
    with aws_account.Moto(tmp_path) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="in-bucket")
        s3.put_bucket_lifecycle_configuration(Bucket="in-bucket", LifecycleConfiguration=rules)
        taken = s3.get_bucket_lifecycle_configuration(Bucket="in-bucket")["Rules"]
    janitor = (ROOT / "lib/local/janitor.cpp").read_text()
    swept = set(re.findall(r'\{"([\w/]+/)"', janitor[janitor.index("kPrefixes"):janitor.index("sweep_prefix")]))
    layout = set(re.findall(r'ObjectKey\("(\w+/)" \+ job', (ROOT / "lib/job/job.cpp").read_text()))
    named = set(re.findall(r'prefix = "(\w+/)"', (ROOT / "lib/config/config.hpp").read_text()))
    assert layout == {"inputs/", "results/", "attempts/"} and named == {"named/"}
    assert {rule["Filter"]["Prefix"] for rule in taken} == swept | named
    assert swept == layout | {"sessions/", "idempotency/", "access/use/"}
    # A request waits for four days at most (aws/adapters/sqs_queue.hpp): its image has to be there as long.
    assert all(rule["Status"] == "Enabled" and rule["Expiration"]["Days"] > 4 for rule in taken)
