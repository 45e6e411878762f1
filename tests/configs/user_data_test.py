"""`imgrec user-data worker`: cloud-init accepts it, systemd accepts its unit, and nothing of whoever prints it is in it."""
import os
import pathlib
import re
import subprocess

import pytest
import yaml

import imgrec

SHA256 = "ab" * 32
FLAGS = ["--platform", "aws", "--aws-input-bucket", "in-bucket", "--aws-bundle-key", "bundles/imgrec.tar.gz",
         "--aws-bundle-sha256", SHA256]
SECRETS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
           "AWS_SESSION_TOKEN": "a-session-token-that-is-secret"}
# The program of Debian's package, unpacked by ./dev test: installed, it would set this machine up as a cloud's.
CLOUD_INIT = os.environ.get("IMGREC_TEST_CLOUD_INIT", "")


def user_data(*more, env=None):
    done = imgrec.run("user-data", "worker", *FLAGS, *more, env={**SECRETS, "AWS_EC2_METADATA_DISABLED": "true", **(env or {})})
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(text):
    return {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}


@pytest.fixture(scope="module")
def text():
    return user_data()


def cloud_init_schema(file):
    assert CLOUD_INIT, "IMGREC_TEST_CLOUD_INIT is not set: ./dev test does it"
    return subprocess.run(["/usr/bin/python3", "-m", "cloudinit.cmd.main", "schema", "--config-file", str(file)],
                          env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{CLOUD_INIT}/usr/lib/python3/dist-packages"},
                          capture_output=True, text=True, timeout=120)


def test_cloud_init_accepts_it_and_would_notice_a_mistake(text, tmp_path):
    (tmp_path / "user-data").write_text(text)
    done = cloud_init_schema(tmp_path / "user-data")
    assert done.returncode == 0 and "Valid cloud-config" in done.stdout, done.stdout + done.stderr
    (tmp_path / "wrong").write_text(text.replace("permissions:", "permission:"))
    assert cloud_init_schema(tmp_path / "wrong").returncode != 0


def test_no_secret_is_in_it(text):
    for secret in SECRETS.values():
        assert secret not in text
    assert not re.search(r"AKIA|ASIA|BEGIN [A-Z ]*PRIVATE KEY", text)
    assert len(text.encode()) <= 16 * 1024


def test_the_longest_settings_still_fit(text):
    long = user_data("--aws-region", "ap-southeast-2", "--aws-output-bucket", "o" * 63, "--aws-bundle-bucket", "b" * 63,
                     "--aws-input-prefix", "p" * 200 + "/", "--aws-output-prefix", "p" * 200 + "/", "--queue-request", "r" * 80,
                     "--queue-dead-letter", "d" * 80, "--queue-fifo", "--aws-sqs-endpoint-url", "https://" + "s" * 200,
                     "--aws-s3-endpoint-url", "https://" + "s" * 200, "--log-format", "json", "--log-level", "debug",
                     "--aws-worker-proxy", "http://" + "x" * 100 + ":3128", "--aws-worker-no-proxy", ".vpce.amazonaws.com,10.0.0.0/8",
                     "--aws-worker-ca-bundle", "/etc/ssl/" + "c" * 60, "--worker-exit-when-idle", "10m", "--worker-drain-timeout", "55m", "--image-bytes-max", "30MiB")
    assert len(long.encode()) <= 16 * 1024


def test_systemd_accepts_the_unit_and_finds_it_confined(tmp_path):
    text = user_data("--aws-worker-proxy", "http://proxy.example.org:3128", "--aws-worker-ca-bundle", "/etc/ssl/own.pem",
                     env={"AWS_USE_FIPS_ENDPOINT": "true"})
    assert 'Environment="https_proxy=http://proxy.example.org:3128"\n' in files(text)["/etc/systemd/system/imgrec-worker.service"]
    unit = tmp_path / "imgrec-worker.service"
    # The program is not at its place here; all else of the unit is as instances get it.
    unit.write_text(files(text)["/etc/systemd/system/imgrec-worker.service"].replace("/opt/imgrec/bin/imgrec", "/usr/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert verified.returncode == 0 and str(unit.name) not in verified.stderr, verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True).stdout
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", judged).group(1))
    assert exposure <= 2.0, judged


def test_the_worker_takes_its_settings_as_they_are_written(text, tmp_path):
    settings = tmp_path / "worker.toml"
    settings.write_text(files(text)["/etc/imgrec/worker.toml"])
    done = imgrec.run("config", "show", "--config", settings)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^aws\.input_bucket +in-bucket ", done.stdout, re.M)


def test_the_installer_is_python_of_debian_12(text, tmp_path):
    program = tmp_path / "install.py"
    program.write_text(files(text)["/usr/local/sbin/imgrec-install"])
    assert program.read_text() == (imgrec.ROOT / "configs/user-data/install.py").read_text()
    subprocess.run(["/usr/bin/python3", "-m", "py_compile", str(program)], check=True, env={"PYTHONPYCACHEPREFIX": str(tmp_path)})


def test_the_installer_gets_no_word_that_a_shell_could_read(text):
    for command in yaml.safe_load(text)["runcmd"]:
        assert isinstance(command, list)  # a string would go to a shell


def test_what_is_missing_is_said():
    done = imgrec.run("user-data", "worker", "--aws-input-bucket", "in-bucket")
    assert done.returncode == 2 and "imgrec bundle upload" in done.stderr
