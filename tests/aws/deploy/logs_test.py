"""`imgrec deploy logs` against a server that answers as EC2 does: what moto's console does not do."""
import base64
import textwrap
import urllib.parse

import imgrec
import small_server


def instance(id, launched, state="running", reason=""):
    why = f"<stateReason><message>{reason}</message></stateReason>" if reason else ""
    return (f"<item><instanceId>{id}</instanceId><instanceState><name>{state}</name></instanceState>{why}"
            f"<launchTime>{launched}</launchTime></item>")


class Ec2:
    def __init__(self, console, latest=True):
        self.console, self.latest, self.asked = console, latest, []

    def __call__(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        self.asked.append((form["Action"], form.get("InstanceId"), form.get("Latest")))
        if form["Action"] == "DescribeInstances":
            items = instance("i-1", "2026-01-01T00:00:00.000Z") + instance("i-2", "2026-01-03T00:00:00.000Z", "terminated", "it shut down") + \
                instance("i-3", "2026-01-02T00:00:00.000Z")
            body = f"<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>"
        elif "Latest" in form and not self.latest:
            error = "<Code>UnsupportedOperation</Code><Message>This instance type does not support retrieving the latest console logs.</Message>"
            return 400, "text/xml", f"<Response><Errors><Error>{error}</Error></Errors></Response>".encode()
        else:
            # In lines, as EC2 encodes it.
            text = "\n".join(textwrap.wrap(base64.b64encode(self.console).decode(), 76))
            body = f"<instanceId>{form['InstanceId']}</instanceId><timestamp>2026-01-03T00:05:00.000Z</timestamp><output>{text}</output>"
        return 200, "text/xml", f"<{form['Action']}Response>{body}</{form['Action']}Response>".encode()


def logs(service):
    with small_server.SmallServer(service) as server:
        return imgrec.run("deploy", "logs", env={
            "AWS_ENDPOINT_URL_EC2": server.url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"})


def test_the_newest_instance_without_what_a_terminal_would_obey():
    service = Ec2("booting\r\n\x1b[2J\x9b2Jno bundle: ".encode() + b"x" * 200 + b"\n")
    done = logs(service)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "booting\n[2J2Jno bundle: " + "x" * 200 + "\n"
    assert "i-2" in done.stderr and "terminated (it shut down)" in done.stderr and "2026-01-03T00:05:00.000Z" in done.stderr
    assert service.asked[1:] == [("GetConsoleOutput", "i-2", "true")]


def test_types_without_the_latest_console():
    service = Ec2(b"booting\n", latest=False)
    done = logs(service)
    assert done.returncode == 0 and done.stdout == "booting\n"
    assert service.asked[1:] == [("GetConsoleOutput", "i-2", "true"), ("GetConsoleOutput", "i-2", None)]


def test_no_text_yet_is_said():
    done = logs(Ec2(b""))
    assert done.returncode == 1 and "minutes after the start" in done.stderr and done.stdout == ""
