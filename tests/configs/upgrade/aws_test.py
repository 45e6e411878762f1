"""The units that speak to AWS (here moto's server) are upgraded while they run and images come in: none is lost."""
import os

import pytest

import aws_account
import imgrec
from packaged_machine import Clients, expect_answers, send_some

ROUNDS = 8 if os.environ.get("IMGREC_TEST_LONG") else 1
WEB, CONTROLLER, WORKER = UNITS = [f"imgrec-{role}.service" for role in ("web", "controller", "worker")]
SETTINGS = {"IMGREC_AWS_INPUT_BUCKET": "in-bucket", "IMGREC_AWS_OUTPUT_BUCKET": "out-bucket", "IMGREC_AWS_IMAGE_ID": "ami-12c6146b",
            "IMGREC_AWS_INSTANCE_TYPES": "c7i.large",
            # One instance, which moto shows and does not start: the worker is this machine's unit.
            "IMGREC_CONTROLLER_MIN": 1, "IMGREC_CONTROLLER_MAX": 1, "IMGREC_WORKER_POLL_WAIT": "1s"}


@pytest.fixture
def account(tmp_path):
    with aws_account.Moto(tmp_path) as account:
        yield account


def upgrade(machine, name, units):
    """Those run on with that version, and no other unit was started. The controller leads before: else it had no lease to end."""
    starts = machine.journal(CONTROLLER).count("controller ready")
    imgrec.wait_until(lambda: machine.journal(CONTROLLER).count("this controller leads") == starts, what="a controller that leads")
    before = {unit: machine.main_process(unit) for unit in units}
    done = machine.install(name)
    assert done.returncode == 0 and "did not start again" not in done.stderr, done.stderr
    assert machine.is_installed(name)
    assert [unit for unit in UNITS if machine.unit_state(unit) == "active"] == units
    for unit, process in before.items():
        assert machine.main_process(unit) != process and machine.runs_installed_program(unit), unit


def test_units_on_aws_are_upgraded_while_they_run(machine, account):
    machine.renew("old")
    machine.variables(account.variables() | SETTINGS)
    machine.do("systemctl", "start", WEB, CONTROLLER)
    machine.wait_ready()
    sent = send_some(machine)
    upgrade(machine, "new", [WEB, CONTROLLER])
    machine.do("systemctl", "start", WORKER)
    machine.wait_ready()
    expect_answers(machine, sent)

    clients = Clients(machine, 2)
    try:
        clients.wait_for_more(8)
        for _ in range(ROUNDS):
            for name in ("next", "new"):
                upgrade(machine, name, UNITS)
                clients.wait_for_more(8)
    finally:
        clients.stop()
    clients.check()
    assert len(clients.answered) > 0
    upgrades = 2 * ROUNDS
    # A process that did not drain says none of this. A controller ends its lease: the next one leads at once, and knows its instance.
    for unit, stops, said in ((WEB, 1 + upgrades, "msg=stopped"), (WORKER, upgrades, 'msg="worker ended"'),
                              (CONTROLLER, 1 + upgrades, 'why="the leader before has ended"')):
        journal = machine.journal(unit)
        assert journal.count("Deactivated successfully") == journal.count(said) == stops, f"a stop of {unit} was no drain"
        assert "drain_timeout passed" not in journal and "cut off at the end of the drain" not in journal
    reservations = account.client("ec2").describe_instances()["Reservations"]
    assert sum(len(one["Instances"]) for one in reservations) == 1
    queues = account.client("sqs")
    dead = next(url for url in queues.list_queues()["QueueUrls"] if url.endswith("imgrec-dead"))
    imgrec.wait_until(lambda: queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])
                      ["Attributes"]["ApproximateNumberOfMessages"] == "0", 10, "no message that was given up")
