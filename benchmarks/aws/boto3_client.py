"""boto3's calls to the server at AWS_ENDPOINT_URL, as aws_client_benchmark makes and prints them.

Usage: boto3_client.py SECONDS
"""
import json
import resource
import sys
import time

import boto3

SECONDS = float(sys.argv[1])
session = boto3.session.Session(region_name="us-east-1")
sqs, s3 = session.client("sqs"), session.client("s3")
URL = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
ENTRIES = [{"Id": str(i), "MessageBody": "m" * 700} for i in range(10)]
RECEIPTS = [{"Id": str(i), "ReceiptHandle": "r" * 180 + str(i)} for i in range(10)]
OBJECT = b"o" * 100_000


def receive():
    assert len(sqs.receive_message(QueueUrl=URL, MaxNumberOfMessages=10, WaitTimeSeconds=20,
                                   MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"])["Messages"]) == 10


def get():
    assert len(s3.get_object(Bucket="photos", Key="in/photo.jpg")["Body"].read()) == len(OBJECT)


CALLS = {
    "sqs send 10": lambda: sqs.send_message_batch(QueueUrl=URL, Entries=ENTRIES)["Successful"][9],
    "sqs receive 10": receive,
    "sqs delete 10": lambda: sqs.delete_message_batch(QueueUrl=URL, Entries=RECEIPTS)["Successful"][9],
    "s3 put 100 kB": lambda: s3.put_object(Bucket="photos", Key="in/photo.jpg", Body=OBJECT, ContentType="image/jpeg"),
    "s3 get 100 kB": get,
}


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


for name, call in CALLS.items():
    for _ in range(20):
        call()
    begin, before, calls = time.monotonic(), cpu(), 0
    while time.monotonic() - begin < SECONDS:
        for _ in range(10):
            call()
        calls += 10
    print(json.dumps({"call": name, "calls": calls, "wall_s": time.monotonic() - begin, "cpu_s": cpu() - before}), flush=True)
