"""The web tiers that run.py measures, each pinned to one core, with the same SQS and S3 in memory
(benchmarks/aws/memory_service.cpp) behind them on another core. Standard library only."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).parent
SERVICE_CORE, OTHERS_CORE = 0, 1
START_SECONDS = 60
BUCKET = "images"


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


def cpu_seconds(session):
    """User and system time of all processes of a session (setsid) that still run."""
    ticks = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid, which="VmRSS"):
    return int(re.search(which + r":\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


class Service:
    """One that runs in a session of its own. url: where it answers."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.host, self.port = re.search(r"//([0-9.]+):(\d+)", url).groups()

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def memory_mib(self, which="VmRSS"):
        return memory_mib(self.process.pid, which)


@contextlib.contextmanager
def running(command, environment, url=None, ready=None):
    """Until the block is left. It is ready when its standard error has the pattern `ready`, whose group 1 is its URL, or
    when something listens at `url`."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, stderr=log,
                                   start_new_session=True, preexec_fn=on_core(SERVICE_CORE))
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                log.seek(0)
                told = log.read()
                if ready and (found := re.search(ready, told)):
                    url = found.group(1)
                    break
                if not ready and listens(url):
                    break
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{command[0]} did not start:\n{told}")
                time.sleep(0.05)
            yield Service(process, url)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)


def listens(url):
    address = urllib.parse.urlparse(url)
    with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), timeout=1):
        return True
    return False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def memory_service(build):
    """SQS and S3: its process, and its URL."""
    process = subprocess.Popen([build / "benchmarks" / "memory_service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               preexec_fn=on_core(OTHERS_CORE))
    try:
        yield Service(process, f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait(START_SECONDS)


def aws_environment(url):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IMGREC_"))}
    return {**clean, "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@contextlib.contextmanager
def imgrec(build, aws=None, settings=()):
    """`imgrec web` without workers, all of whose uploads are taken. aws: the memory service; None: a queue and a directory
    on this machine. settings: further options."""
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-web-") as folder:
        config = pathlib.Path(folder) / "bench.toml"
        config.write_text(
            ('platform = "aws"\n[aws]\nqueues = "use"\nbuckets = "use"\n'
             f'input_bucket = "{BUCKET}"\noutput_bucket = "results"\nendpoint_url = "{aws.url}"\n' if aws else "") +
            '[web]\nport = 0\nnode = "bench"\nqueue_jobs_min = 1000000\npending_jobs_max = 1000000\nconnections_max = 2000\n')
        environment = aws_environment(aws.url if aws else "")
        command = [build / "imgrec", "web", "--config", config, "--state-dir", folder, *settings]
        with running(command, environment, ready=r"(https?://[0-9.]+:\d+)/") as service:
            yield service


@contextlib.contextmanager
def flask(python, aws):
    """Flask and boto3 under gunicorn: one worker process, for one core, with threads that wait for AWS meanwhile."""
    url = f"http://127.0.0.1:{free_port()}"
    environment = {**aws_environment(aws.url), "BUCKET": BUCKET, "QUEUE_URL": f"{aws.url}/000000000000/requests"}
    command = [python, "-m", "gunicorn", "--chdir", HERE, "--bind", url.removeprefix("http://"), "--workers", "1", "--worker-class",
               "gthread", "--threads", "32", "--worker-connections", "1000", "--keep-alive", "60", "flask_app:app"]
    with running(command, environment, url) as service:
        yield service


@contextlib.contextmanager
def nginx(program):
    """nginx, which writes bodies into files and nothing else."""
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-web-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        for name in ("files", "incoming"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)  # its worker process gives root's rights up
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text((HERE / "nginx.conf").read_text().replace("@FOLDER@", str(folder)).replace("@PORT@", str(port)))
        with running([program, "-p", folder, "-e", "stderr", "-c", config], dict(os.environ), f"http://127.0.0.1:{port}") as service:
            yield service


def wrk(service, form, body_bytes, connections, seconds):
    """Uploads as quickly as they are taken, over kept connections: how many were. All have to be."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "upload.lua"), service.url,
                          "--", form, str(body_bytes)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
                         preexec_fn=on_core(OTHERS_CORE)).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"not all uploads were taken:\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def threads(count, what):
    """Runs what(index) in so many threads, and raises the first error of any."""
    errors = []

    def run(index):
        try:
            what(index)
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    all_threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    if errors:
        raise errors[0]
