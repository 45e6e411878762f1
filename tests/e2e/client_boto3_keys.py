"""client_boto3_keys.py URL KEY: the error of DetectLabels for a body that is no image, by how boto3 was given a key."""
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

url, key = sys.argv[1:]


def error_with(access_key_id):
    client = boto3.client("rekognition", endpoint_url=url, region_name="us-east-1", aws_access_key_id=access_key_id,
                          aws_secret_access_key="any", config=botocore.config.Config(retries={"total_max_attempts": 1}))
    try:
        return client.detect_labels(Image={"Bytes": b"no image"})
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


print(json.dumps({"as access key id": error_with(key), "unknown": error_with("AKIAIOSFODNN7EXAMPLE"),
                  "damaged": error_with(key[:-1] + ("0" if key[-1] != "0" else "1"))}))
