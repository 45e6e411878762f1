"""What TLS costs a web node: uploads (store and queue, no worker) over kept connections per second of its CPU time, with TLS and
without, in turn. Standard library only; `run.py tls` prints the table.
"""
import contextlib
import http.client
import os
import pathlib
import re
import signal
import ssl
import statistics
import subprocess
import tempfile
import threading

START_SECONDS = 60
BODY_BYTES = 100_000


def make_certificate(folder):
    certificate, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextlib.contextmanager
def web_node(program, state_parent, certificate):
    """A node without workers, all of whose uploads are taken: its process id and its port. certificate: None without TLS."""
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-tls-", dir=state_parent) as folder:
        tls = ["--web-tls-certificate", certificate[0], "--web-tls-key", certificate[1]] if certificate else []
        process = subprocess.Popen([program, "web", "--port", "0", "--state-dir", folder, "--web-queue-jobs-min", "1000000",
                                    "--web-pending-jobs-max", "1000000", *tls],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"https?://[0-9.]+:(\d+)/", line):
                    break
            else:
                raise RuntimeError("imgrec web did not start:\n" + "".join(lines))
            threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
            yield process.pid, int(found.group(1))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def upload(port, uses_tls, connections, uploads):
    """Sends so many, shared among the connections; every answer has to be 202."""
    body, failures = b"\xff\xd8\xff\xe0" + os.urandom(BODY_BYTES - 4), []
    context = ssl._create_unverified_context() if uses_tls else None

    def send(count):
        try:
            connection = (http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60) if uses_tls
                          else http.client.HTTPConnection("127.0.0.1", port, timeout=60))
            for _ in range(count):
                connection.request("POST", "/v1/classify", body=body, headers={"Prefer": "respond-async"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 202:
                    raise RuntimeError(f"answered {answer.status}")
            connection.close()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=send, args=(uploads // connections,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} connections failed: {failures[0]}")


def uploads_per_cpu_second(program, state_parent, certificate, connections, uploads):
    with web_node(program, state_parent, certificate) as (pid, port):
        upload(port, certificate is not None, connections, connections * 2)  # warm, and the handshakes of a first visit
        before = cpu_seconds(pid)
        upload(port, certificate is not None, connections, uploads)
        return uploads // connections * connections / (cpu_seconds(pid) - before)


def measure(program, state_parent, connections, uploads, rounds):
    """The medians of both, and of their quotients."""
    with tempfile.TemporaryDirectory(prefix="imgrec-bench-tls-") as folder:
        certificate = make_certificate(pathlib.Path(folder))
        rows = [[uploads_per_cpu_second(program, state_parent, each, connections, uploads) for each in (None, certificate)]
                for _ in range(rounds)]
    plain, tls = zip(*rows)
    return statistics.median(plain), statistics.median(tls), statistics.median(b / a for a, b in rows)
