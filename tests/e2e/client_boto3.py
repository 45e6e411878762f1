"""client_boto3.py URL PHOTO: labels and errors of DetectLabels, as boto3 shows them."""
import json
import pathlib
import sys

import boto3
import botocore.config
import botocore.exceptions

url, photo = sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes()
client = boto3.client("rekognition", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any",
                      config=botocore.config.Config(read_timeout=100, retries={"total_max_attempts": 1}))
answer = client.detect_labels(Image={"Bytes": photo}, MaxLabels=3, MinConfidence=0)


def error_of(**request):
    try:
        return client.detect_labels(**request)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


errors = {"no image": error_of(Image={"Bytes": b"no image"}), "half": error_of(Image={"Bytes": photo[:len(photo) // 2]}),
          "object": error_of(Image={"S3Object": {"Bucket": "bucket", "Name": "photo.jpg"}}),
          "missing": error_of(Image={"S3Object": {"Bucket": "photos", "Name": "missing.jpg"}}),
          "confidence": error_of(Image={"Bytes": photo}, MinConfidence=101)}
named = client.detect_labels(Image={"S3Object": {"Bucket": "photos", "Name": "2026/photo.jpg"}}, MaxLabels=3, MinConfidence=0)
print(json.dumps({"labels": answer["Labels"], "named": named["Labels"], "version": answer["LabelModelVersion"], "errors": errors}))
