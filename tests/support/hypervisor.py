"""Makes moto's instances real: boots each as processes with exactly its user-data (instance_init.py), ends them when they
are terminated, and terminates or stops those that power themselves off, as they were launched to. An image of a machine that
stopped is what that left in its folder."""
import base64
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import instance_metadata
import stock_debian

GONE = ("shutting-down", "terminated", "stopping", "stopped")


class Booted:
    def __init__(self, process, metadata, folder, recipe=None):
        self.process, self.metadata, self.folder, self.recipe = process, metadata, folder, recipe
        self.told_to_end = False


class Hypervisor:
    """account: an aws_account.Moto; credentials: what an instance's role gives; folder: for roots and consoles.
    credentials_of: where machines have several roles, the same for each instance, as EC2 describes it."""

    def __init__(self, account, credentials, folder, build_dir, credentials_of=None):
        self.account, self.folder = account, pathlib.Path(folder)
        self.credentials_of = credentials_of or (lambda instance: credentials)
        self.isolation = stock_debian.isolation()
        self.stock = stock_debian.root(build_dir)
        self.ec2 = account.client("ec2")
        self.machines = {}
        self.stopped = {}   # value of the tag imgrec:recipe → root folder of the machine that stopped with it
        self.most = 0       # instances of the account at a time
        self.errors = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def instances(self):
        pages = self.ec2.get_paginator("describe_instances").paginate()
        return [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]

    def run(self):
        while not self.stopping.wait(0.25):
            try:
                self.look()
            except Exception as error:  # for the test to show
                self.errors.append(repr(error))
                return

    def look(self):
        alive = [one for one in self.instances() if one["State"]["Name"] not in GONE]
        self.most = max(self.most, len(alive))
        for one in alive:
            if one["InstanceId"] not in self.machines:
                self.machines[one["InstanceId"]] = self.boot(one)
        ids = {one["InstanceId"] for one in alive}
        for name, machine in self.machines.items():
            if machine.process.poll() is not None:
                if name in ids:
                    self.end(name, machine)
                machine.metadata.stop()
            elif name not in ids and not machine.told_to_end:
                machine.told_to_end = True
                self.press_power_button(machine)

    def end(self, name, machine):
        how = self.ec2.describe_instance_attribute(InstanceId=name, Attribute="instanceInitiatedShutdownBehavior")
        if how["InstanceInitiatedShutdownBehavior"]["Value"] == "stop":
            self.stopped[machine.recipe] = machine.folder / "root"
            self.ec2.stop_instances(InstanceIds=[name])
        else:
            self.ec2.terminate_instances(InstanceIds=[name])

    def image_root(self, image):
        """What a machine that stopped left, when the image was made of one."""
        found = self.ec2.describe_images(ImageIds=[image])["Images"]
        tags = {tag["Key"]: tag["Value"] for one in found for tag in one.get("Tags", [])}
        return self.stopped.get(tags.get("imgrec:recipe"))

    def boot(self, one):
        name = one["InstanceId"]
        encoded = self.ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")["UserData"]["Value"]
        folder = self.folder / name
        folder.mkdir()
        (folder / "user-data").write_bytes(base64.b64decode(encoded))
        values = {"instance-id": name, "ami-launch-index": str(one["AmiLaunchIndex"])}
        values |= {f"tags/instance/{tag['Key']}": tag["Value"] for tag in one.get("Tags", [])}
        metadata = instance_metadata.InstanceMetadata(self.credentials_of(one), values)
        self.account.consoles.mkdir(exist_ok=True)
        (self.account.consoles / name).symlink_to(folder / "console")
        image = self.image_root(one["ImageId"])
        with open(folder / "console", "wb") as console:
            process = subprocess.Popen(
                [*self.isolation, "/usr/bin/python3", str(pathlib.Path(__file__).with_name("instance_init.py")), str(self.stock),
                 str(folder / "root"), str(folder / "user-data"), metadata.url, *([str(image)] if image else [])],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        return Booted(process, metadata, folder, values.get("tags/instance/imgrec:recipe"))

    @staticmethod
    def press_power_button(machine):
        # unshare waits for its child, the instance's first process, and passes no signal on.
        children = pathlib.Path(f"/proc/{machine.process.pid}/task/{machine.process.pid}/children").read_text().split()
        for child in children:
            subprocess.run(["kill", "-TERM", child], check=False)

    def running(self):
        return [name for name, machine in self.machines.items() if machine.process.poll() is None]

    def consoles(self):
        return "".join(f"--- console of {name} ---\n{(machine.folder / 'console').read_text(errors='replace')}"
                       for name, machine in self.machines.items())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for machine in self.machines.values():
            machine.process.send_signal(signal.SIGKILL)  # --kill-child: the instance ends with it
            machine.process.wait()
        end = time.monotonic() + 10
        for machine in self.machines.values():
            while (machine.folder / "root").exists() and time.monotonic() < end:
                shutil.rmtree(machine.folder / "root", ignore_errors=True)
                time.sleep(0.02)
