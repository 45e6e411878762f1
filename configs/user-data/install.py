#!/usr/bin/python3
"""Installs imgrec: fetches the bundle with the instance's role, checks it, unpacks it, starts units of it. What the machine's
image has already is not fetched. Runs once, from cloud-init, with what a stock Debian 12 has.
"""
import argparse
import datetime
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request

IMDS = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
TIMEOUT_S = 20
BUNDLE_BYTES_MAX = 4 << 30


class Failure(Exception):
    """What went wrong, and what to do about it."""


class Final(Failure):
    """Another attempt would end in the same way."""


FAILURES = (Failure, OSError, ValueError, EOFError, http.client.HTTPException, tarfile.TarError,
            subprocess.CalledProcessError)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):  # credentials go to no other host
        return None


def opener(proxy="", ca_bundle=""):
    handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}), NoRedirect]
    if ca_bundle:
        try:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_bundle)))
        except OSError as error:
            raise Failure(f"The certificate authorities in {ca_bundle} cannot be used ({error}): aws.worker_ca_bundle has to "
                          "name a PEM file of the machine image.") from None
    return urllib.request.build_opener(*handlers)


direct = opener()


def imds(path, method="GET", headers=None):
    request = urllib.request.Request(IMDS + path, method=method, headers=headers or {})
    with direct.open(request, timeout=TIMEOUT_S) as response:
        return response.read(65536).decode()


def metadata(path, folder="/latest/meta-data/"):
    token = imds("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "300"})
    return imds(folder + path, headers={"X-aws-ec2-metadata-token": token})


def metadata_or_nothing(path, folder="/latest/meta-data/"):
    try:
        return metadata(path, folder).strip()
    except (OSError, http.client.HTTPException):
        return ""


def role_credentials():
    roles = "iam/security-credentials/"
    try:
        role = metadata(roles).split()[0]
        return json.loads(metadata(roles + role))
    except (OSError, ValueError, IndexError, http.client.HTTPException) as error:
        raise Failure(f"The instance metadata gives no credentials ({error}). Launch the instance with an instance "
                      "profile (aws.instance_profile).") from None


def signed_headers(url, region, credentials, now):
    """AWS Signature Version 4 for a GET. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
    parts = urllib.parse.urlsplit(url)
    instant = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(), "x-amz-date": instant,
               "x-amz-security-token": credentials["Token"]}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["GET", parts.path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
                           headers["x-amz-content-sha256"]])
    scope = f"{instant[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    del headers["host"]
    return headers | {"Authorization": f"AWS4-HMAC-SHA256 Credential={credentials['AccessKeyId']}/{scope}, "
                                       f"SignedHeaders={names}, Signature={key.hex()}"}


def explained(error, url):
    body = error.read(4096).decode(errors="replace")
    code, message = ((re.findall(f"<{tag}>([^<]*)", body) or [""])[0] for tag in ("Code", "Message"))
    advice = {403: "The role of the instance profile needs s3:GetObject on it (configs/iam).",
              404: "Put it there with `imgrec bundle upload`, and set aws.bundle_key to what that prints.",
              301: "The bucket is in another region than aws.region says."}.get(error.code, "")
    return Failure(f"S3 answered {error.code} {code} {message} for {url}. {advice}")


class Download:
    def __init__(self, options):
        self.options = options
        os.environ["no_proxy"] = options.no_proxy  # what urllib looks at
        self.web = opener(options.proxy, options.ca_bundle)
        self.clock_offset = datetime.timedelta(0)

    def attempt(self, file):
        now = datetime.datetime.now(datetime.timezone.utc) + self.clock_offset
        headers = signed_headers(self.options.url, self.options.region, role_credentials(), now)
        try:
            with self.web.open(urllib.request.Request(self.options.url, headers=headers), timeout=TIMEOUT_S) as response:
                self.receive(response, file)
        except urllib.error.HTTPError as error:
            if error.code == 403 and (date := email.utils.parsedate(error.headers.get("Date"))):  # a wrong clock?
                theirs = datetime.datetime(*date[:6], tzinfo=datetime.timezone.utc)
                self.clock_offset = theirs - datetime.datetime.now(datetime.timezone.utc)
            raise explained(error, self.options.url) from None

    def receive(self, response, file):
        expected = int(response.headers.get("Content-Length") or -1)
        digest, received = hashlib.sha256(), 0
        file.seek(0)
        file.truncate()
        while piece := response.read(1 << 20):
            received += len(piece)
            if received > BUNDLE_BYTES_MAX:
                raise Final("The bundle has more than 4 GiB: this is no bundle.")
            digest.update(piece)
            file.write(piece)
        file.flush()
        if received != expected:
            raise Failure(f"The connection was cut after {received} of {expected} bytes.")
        if digest.hexdigest() != self.options.sha256:
            raise Final(f"{self.options.url} has the SHA-256 {digest.hexdigest()}, not {self.options.sha256}. It is not "
                          "installed. Set aws.bundle_key and aws.bundle_sha256 to what `imgrec bundle upload` prints.")

    def run(self, file):
        """Tries again what may pass: roles, buckets and networks of a new machine may need a minute to be there."""
        for number in range(1, self.options.attempts + 1):
            try:
                return self.attempt(file)
            except FAILURES as error:
                say(f"attempt {number} of {self.options.attempts}: {error}")
                if number == self.options.attempts or isinstance(error, Final):
                    raise
            time.sleep(random.uniform(0.5, 1) * min(30, self.options.pause * 2 ** (number - 1)))


def unpack(path, folder):
    new = folder + ".new"
    shutil.rmtree(new, ignore_errors=True)
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.name.startswith("/") or ".." in member.name.split("/"):
                raise Failure(f"The bundle would write outside its folder: {member.name!r}.")
            archive.extract(member, new)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(new, folder)


def identity():
    """The instance's names for the worker. The user-data of the controller's launches ends with the numbers of one launch
    ("1,3-5"), in launch order; else its tag has them, where metadata show it. An Auto Scaling group gives none."""
    name = tier = metadata_or_nothing("instance-id")
    numbers = []
    line = re.search("^# imgrec:app-tiers=([0-9,-]+)$", metadata_or_nothing("user-data", "/latest/"), re.M)
    for part in (line[1] if line else metadata_or_nothing("tags/instance/imgrec:app-tiers")).split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last if last.isdigit() else first) + 1)
    index = metadata_or_nothing("ami-launch-index")
    if index.isdigit() and int(index) < len(numbers):
        tier = f"app-tier-{numbers[int(index)]}"
    elif not metadata_or_nothing("autoscaling/target-lifecycle-state"):
        tier = ""
    return f"IMGREC_WORKER_ID={name}\n" + (f"IMGREC_WORKER_APP_TIER_ID={tier}\n" if tier else "")


def say(message):
    print(f"imgrec-install: {message}", file=sys.stderr, flush=True)


def fetch(options):
    os.makedirs(os.path.dirname(options.folder), exist_ok=True)
    path = options.folder + ".tar.gz"
    try:
        with open(path, "wb") as file:
            Download(options).run(file)
        unpack(path, options.folder)
    finally:
        if os.path.exists(path):
            os.remove(path)


def install(options):
    mark = pathlib.Path(options.folder, "sha256")
    if not mark.exists() or mark.read_text() != options.sha256:
        fetch(options)
        mark.write_text(options.sha256)
    if options.bake:
        return
    with open(options.environment, "w") as file:
        file.write(identity())
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "enable", "--now", "--no-block", *options.unit], check=True)
    say("installed; it starts")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--unit", nargs="+", default=["imgrec-worker.service"])
    parser.add_argument("--folder", default="/opt/imgrec")
    parser.add_argument("--environment", default="/etc/imgrec/worker.env")
    parser.add_argument("--attempts", type=int, default=10)
    parser.add_argument("--pause", type=float, default=1, help="seconds before the second attempt")
    parser.add_argument("--proxy", default="", help="for the download")
    parser.add_argument("--no-proxy", default="", help="hosts that are asked without it")
    parser.add_argument("--ca-bundle", default="", help="PEM file of the only authorities to be trusted")
    parser.add_argument("--bake", action="store_true", help="start nothing")
    parser.add_argument("--poweroff", action="store_true", help="power off when it cannot be done")
    options = parser.parse_args()
    try:
        install(options)
        return 0
    except FAILURES as error:
        say(f"imgrec cannot be installed. {error}")
        if options.poweroff:
            say("it powers off")
            subprocess.run(["systemctl", "poweroff"], check=False)
        return 1


sys.exit(main())
