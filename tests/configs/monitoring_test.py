"""configs/monitoring: alerts and dashboard name metrics that the program has, and each alert is in the runbook."""
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ALERTS = ROOT / "configs/monitoring/alerts.yml"


def expressions():
    return re.findall(r"^ +expr: (.+)$", ALERTS.read_text(), re.M)


def alerts():
    return re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.M)


def sources():
    return "\n".join(path.read_text() for folder in ("lib", "roles", "cmd") for path in (ROOT / folder).rglob("*.cpp"))


def panels():
    return json.loads((ROOT / "configs/monitoring/dashboard.json").read_text())["panels"]


def queries():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_metric_exists():
    named = {re.sub("_bucket$", "", name) for expression in expressions() + queries()
             for name in re.findall(r"\bimgrec_\w+", expression)}
    assert len(named) >= len(alerts())
    registered = set(re.findall(r'"(imgrec_[a-z_]+)"', sources()))
    assert named - registered == set()


def test_every_state_exists():
    states = {state for expression in expressions() for states in re.findall(r'state=~?"([^"]+)"', expression)
              for state in states.split("|")}
    assert states and states <= set(re.findall(r'\{"state", "(\w+)"\}', sources()))


def test_every_alert_is_whole_and_has_its_entry_in_the_runbook():
    rules = re.split(r"^ +- alert: ", ALERTS.read_text(), flags=re.M)[1:]
    assert len(rules) == len(set(alerts())) == len(expressions())
    for rule in rules:
        name = rule.split("\n", 1)[0]
        assert re.search(r"severity: (critical|warning)\}", rule) and "summary: " in rule, name
        assert re.search(rf"runbook: RUNBOOK\.md#{name.lower()}$", rule, re.M), name
    entries = re.findall(r"^## (\w+)\n\w", (ROOT / "configs/monitoring/RUNBOOK.md").read_text(), re.M)
    assert entries == alerts()


def test_the_dashboard_is_one_that_grafana_can_import():
    dashboard = json.loads((ROOT / "configs/monitoring/dashboard.json").read_text())
    assert dashboard["uid"] and dashboard["title"] and dashboard["schemaVersion"] >= 36
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    places = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and panel["title"] and panel["targets"], panel["title"]
        places.add((place["x"], place["y"]))
        assert set(re.findall(r"\$\{(\w+)\}", panel["datasource"]["uid"])) <= variables
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)) and all(target["expr"] for target in panel["targets"])
    assert len(places) == len({panel["id"] for panel in panels()}) == len(panels()) > 0


@pytest.mark.parametrize("what,file", [("check", ALERTS), ("test", ROOT / "tests/configs/alerts_test.yml")])
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(what, file):
    """IMGREC_TEST_PROMTOOL is its promtool (./dev test sets it)."""
    promtool = os.environ.get("IMGREC_TEST_PROMTOOL") or pytest.skip("IMGREC_TEST_PROMTOOL is not set: ./dev test sets it")
    done = subprocess.run([promtool, what, "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested():
    text = (ROOT / "tests/configs/alerts_test.yml").read_text()
    assert [name for name in alerts() if f'alertname="{name}"' not in text] == []
