"""What `imgrec load` sends, for Locust (with its faster client)."""
from locust import FastHttpUser, constant, task

BODY = b"x" * 64


class Sender(FastHttpUser):
    wait_time = constant(0)

    @task
    def send(self):
        self.client.post("/v1/classify?name=small.jpg", data=BODY, headers={"Content-Type": "application/octet-stream"})
