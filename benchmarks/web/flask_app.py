"""The upload route of a web tier as people write it with Flask and boto3: the image into S3, its key into SQS.

Settings come from the environment: AWS_ENDPOINT_URL and the usual ones of boto3, BUCKET, QUEUE_URL."""
import os
import uuid

import boto3
import flask

app = flask.Flask(__name__)
s3 = boto3.client("s3")
sqs = boto3.client("sqs")


@app.post("/v1/classify")
def classify():
    file = flask.request.files["image"]
    key = f"{uuid.uuid4()}_{file.filename}"
    s3.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=file.read())
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=key)
    return {"job": key}, 202
