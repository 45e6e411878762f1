"""configs/container: Dockerfile, Compose file and Kubernetes manifest are sound, and name what the program knows.

Images cannot be pulled where these tests run, so none is built here: linters read the files, and the roles run over one folder
as the Compose file has them. IMGREC_TEST_PACKAGING_VENV names the environment that has the linters (./dev test sets it up).
"""
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

import imgrec
import quick_model
import calls as counting  # found by quick_model

FOLDER = imgrec.ROOT / "configs/container"
DOCKERFILE, COMPOSE, KUBERNETES = (FOLDER / name for name in ("Dockerfile", "compose.yaml", "kubernetes.yaml"))


@pytest.fixture(scope="module")
def venv():
    folder = os.environ.get("IMGREC_TEST_PACKAGING_VENV")
    return pathlib.Path(folder) / "bin" if folder else pytest.skip("IMGREC_TEST_PACKAGING_VENV is not set: ./dev test sets it")


def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


def manifests(*kinds):
    return [one for one in yaml.safe_load_all(KUBERNETES.read_text()) if not kinds or one["kind"] in kinds]


def containers():
    """(pod, container) of each Deployment."""
    pods = [one["spec"]["template"]["spec"] for one in manifests("Deployment")]
    return [(pod, container) for pod in pods for container in pod["containers"]]


def instruction(name):
    """The last one of that name, with its continued lines."""
    return re.findall(rf"^{name} ((?:.*\\\n)*.*)", DOCKERFILE.read_text(), re.M)[-1]


def test_the_linter_of_dockerfiles_finds_nothing(venv):
    done = subprocess.run([venv / "hadolint", DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_reads_its_file(venv):
    code = "import sys, compose_spec; print(*compose_spec.PyCompose.from_yaml(sys.stdin.read()).service_names())"
    merged = yaml.safe_dump(yaml.safe_load(COMPOSE.read_text()))  # that reader knows no "<<"
    done = subprocess.run([venv / "python", "-c", code], input=merged, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["controller", "web"]


def test_kubernetes_knows_each_member(venv, tmp_path):
    """Those of KEDA are not in the schemas: see below."""
    plain = [one for one in manifests() if "keda.sh" not in one["apiVersion"]]
    assert len(plain) == len(manifests()) - 2
    file = tmp_path / "plain.yaml"
    file.write_text(yaml.safe_dump_all(plain))
    done = subprocess.run([venv / "kubernetes-validate", "--strict", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_parts_belong_together():
    """https://keda.sh/docs/latest/scalers/aws-sqs/ names the members of the trigger."""
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    scaled, = manifests("ScaledObject")
    trigger, = scaled["spec"]["triggers"]
    assert trigger["type"] == "aws-sqs-queue"
    assert set(trigger["metadata"]) == {"queueURL", "awsRegion", "queueLength", "scaleOnInFlight"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA takes strings"
    assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
    assert ("Deployment", scaled["spec"]["scaleTargetRef"]["name"]) in names
    service, = manifests("Service")
    web, = (one for one in manifests("Deployment") if one["metadata"]["name"] == "imgrec-web")
    assert service["spec"]["selector"].items() <= web["spec"]["template"]["metadata"]["labels"].items()
    for pod, container in containers():
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        assert [("ConfigMap", one["configMapRef"]["name"]) for one in container["envFrom"]] == [("ConfigMap", "imgrec")]
    settings, = (one["data"] for one in manifests("ConfigMap"))
    # What a user puts in place of the capitals.
    done = imgrec.run("config", "show", "--json", env={name: re.sub(r"^[A-Z-]+$", "a-bucket", value) for name, value in settings.items()})
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert trigger["metadata"]["queueURL"].endswith("/" + shown["queue.request"]["value"])
    assert trigger["metadata"]["awsRegion"] == settings["IMGREC_AWS_REGION"]


def test_settings_are_those_of_the_program():
    known = {one["environment"] for one in json.loads(imgrec.run("config", "show", "--json").stdout).values()}
    settings, = (one["data"] for one in manifests("ConfigMap"))
    image = re.findall(r"(IMGREC_\w+)=", instruction("ENV"))
    assert len(image) == 3 and set(image) | set(settings) <= known
    for words in [one["command"] for one in services().values()] + [one["args"] for _, one in containers()] + [json.loads(instruction("CMD"))]:
        role, *flags = words
        told = imgrec.run(role, "--help")
        assert told.returncode == 0
        assert {flag for flag in flags if flag.startswith("--")} <= set(re.findall(r"--[a-z-]+", told.stdout)), words


def test_nothing_runs_as_root_or_writes_outside_its_volumes():
    user, group = instruction("USER").split(":")
    volume = instruction("VOLUME")
    assert f"install -d -o {user} -g {group} -m 0700 {volume}" in DOCKERFILE.read_text()
    assert f"IMGREC_STATE_DIR={volume}" in instruction("ENV")
    for one in services().values():
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["tmpfs"] == ["/tmp"] and one["volumes"] == [f"state:{volume}"]
    for pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == int(user)
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert {one["mountPath"] for one in container["volumeMounts"]} == {volume, "/tmp"}


def test_health_is_asked_where_it_is_answered():
    port = json.loads(imgrec.run("config", "show", "--json").stdout)["web.port"]["value"]
    paths = json.loads((imgrec.ROOT / "roles/web/api/openapi.json").read_text())["paths"]
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", instruction("HEALTHCHECK"))
    assert asked.group(1) == str(port) == instruction("EXPOSE") and asked.group(2) in paths
    for _, container in containers():
        for probe in (one for name, one in container.items() if name.endswith("Probe")):
            assert probe["httpGet"]["path"] in paths
        assert [one["containerPort"] for one in container.get("ports", [])] in ([], [int(port)])


def test_web_and_controller_share_a_folder(tmp_path):
    """As in the Compose file: two services, whose processes know each other by the folder alone."""
    quick_model.install(tmp_path)
    model = {"IMGREC_MODEL_NAME": quick_model.NAME, "IMGREC_MODEL_DIR": str(tmp_path)}
    image = counting.small_images(tmp_path)[0]
    with imgrec.Service("web", state_dir=tmp_path / "state", env=model) as web, \
            imgrec.Service("controller", "--max-workers", "2", state_dir=tmp_path / "state", env=model) as controller:
        status, result = web.classify("a.png", pathlib.Path(image).read_bytes())
        assert status == 200 and result["labels"], result
        imgrec.wait_until(controller.children, what="a worker of the controller")
        assert not web.children()
