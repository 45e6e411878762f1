"""The Debian package and imgrec-local: installed, upgraded while images come in, broken off in the middle, removed, purged."""
import os
import random
import re
import signal
import subprocess
import time

import pytest

import imgrec
from packaged_machine import AT_ONCE, Clients, LOCAL_TOML, LOCAL_UNIT, NEVER, expect_answers, send_some

LONG = bool(os.environ.get("IMGREC_TEST_LONG"))
ROUNDS = 12 if LONG else 1
KILLS = 25 if LONG else 2


def test_an_install_starts_nothing_and_a_started_unit_is_confined(machine):
    machine.run("dpkg", "--purge", "imgrec")
    done = machine.install("new")
    assert done.returncode == 0, done.stderr
    assert machine.is_installed("new")
    for role in ("local", "web", "controller", "worker"):
        assert machine.run("systemctl", "is-enabled", f"imgrec-{role}").stdout.strip() == "disabled"
        assert machine.run("systemctl", "is-active", f"imgrec-{role}").stdout.strip() == "inactive"
    machine.begin("new")
    assert machine.unit_state() == "active"
    status = machine.do("cat", f"/proc/{machine.main_process()}/status")
    user = machine.do("id", "-u", "imgrec").strip()
    assert re.search(rf"^Uid:\s+{user}\s+{user}\s", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert int(re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.M).group(1), 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone"
    expect_answers(machine, send_some(machine))
    # A model that an administrator adds later is for the service, too.
    machine.do("imgrec", "model", "import", "/root/quick.onnx", "--name", "later", "--profile", "imagenet", "--labels", "/root/labels.txt",
               "--model-dir", "/var/lib/imgrec/models")
    machine.do("setpriv", "--reuid=imgrec", "--regid=imgrec", "--clear-groups", "imgrec", "model", "verify", "later", "--model-dir",
               "/var/lib/imgrec/models")


def test_an_upgrade_while_images_come_in_loses_none(machine):
    machine.begin("old", workers=NEVER)
    clients = Clients(machine)
    try:
        clients.wait_for_more(20)
        before = dict(clients.accepted)
        first, begun = machine.main_process(), time.time()
        machine.settings(AT_ONCE)  # for the service that starts anew: until then all images wait
        done = machine.install("new")
        assert done.returncode == 0, done.stderr
        assert machine.is_installed("new")
        assert machine.main_process() != first and machine.runs_installed_program()
        clients.wait_for_more(20)
        # Now with workers that are at work, and to a version with other settings: to and fro.
        for _ in range(ROUNDS):
            for name in ("next", "new"):
                done = machine.install(name)
                assert done.returncode == 0, done.stderr
                clients.wait_for_more(20)
    finally:
        clients.stop()
    assert machine.unit_state() == "active"
    results = clients.check()
    for name in before:
        assert results[name]["completed_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begun)), "it did not wait"
    assert len(clients.answered) > 0
    journal = machine.journal(since=begun)
    assert journal.count("Deactivated successfully") == 1 + 2 * ROUNDS, "a stop was no drain"
    assert "reception only permitted" not in journal, "a worker spoke to systemd"


def test_a_service_that_does_not_start_again_leaves_the_package_whole_and_keeps_its_images(machine):
    machine.begin("old", workers=NEVER)
    sent = send_some(machine)
    settings = machine.path(LOCAL_TOML)
    good = settings.read_text()
    machine.change_settings('"many"')
    done = machine.install("new")
    assert done.returncode == 0, done.stderr
    assert "a service did not start again" in done.stderr
    assert machine.is_installed("new")
    imgrec.wait_until(lambda: machine.unit_state() == "failed", what="the failed unit")
    assert machine.do("systemctl", "show", "-p", "NRestarts", "--value", LOCAL_UNIT).strip() == "0", "wrong settings are not tried again"
    assert "results_max" in machine.journal()
    settings.write_text(good)
    machine.settings(AT_ONCE)
    machine.do("systemctl", "start", LOCAL_UNIT)
    machine.wait_ready()
    expect_answers(machine, sent)


def test_changed_settings_are_kept(machine):
    machine.begin("old")
    settings = machine.path(LOCAL_TOML)
    changed = machine.change_settings(4000)
    done = machine.install("new")  # nobody is asked: the package's own file is as it was
    assert done.returncode == 0, done.stderr
    assert settings.read_text() == changed
    # Here it differs, and there is nobody to ask.
    asked = machine.install("next")
    assert asked.returncode != 0 and LOCAL_TOML in asked.stdout + asked.stderr
    assert settings.read_text() == changed
    machine.wait_ready()
    machine.do("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")
    assert machine.is_installed("next")
    assert settings.read_text() == changed
    assert "of the next version" in machine.path(LOCAL_TOML + ".dpkg-dist").read_text()
    machine.wait_ready()
    machine.begin("old")
    settings.write_text(changed)
    machine.do("dpkg", "-i", "/root/next.deb", input="N\n")  # a person keeps it
    assert settings.read_text() == changed
    assert machine.unit_state() == "active"


def test_a_removal_keeps_settings_and_images_and_a_purge_nothing(machine):
    machine.begin("new", workers=NEVER)
    machine.do("systemctl", "enable", LOCAL_UNIT)
    machine.change_settings(4000)
    sent = send_some(machine)
    machine.do("apt-get", "remove", "-y", "imgrec")
    assert machine.unit_state() != "active" and not machine.is_ready()
    assert not machine.path("/usr/bin/imgrec").exists()
    assert "results_max = 4000" in machine.path(LOCAL_TOML).read_text()
    assert machine.path("/var/lib/imgrec/queue.sqlite").exists()
    machine.settings(AT_ONCE)
    machine.do("apt-get", "install", "-y", "/root/new.deb")
    assert "results_max = 4000" in machine.path(LOCAL_TOML).read_text()
    machine.do("systemctl", "start", LOCAL_UNIT)
    machine.wait_ready()
    expect_answers(machine, sent)

    machine.do("apt-get", "purge", "-y", "imgrec")
    left = machine.do("find", "/", "-xdev", "-name", "*imgrec*", "-not", "-path", "/root/*", "-not", "-path", "/tmp/*").split()
    assert left == [], "a purge leaves the user and nothing else"
    assert machine.do("id", "-u", "imgrec")
    assert "not-found" in machine.do("systemctl", "show", "-p", "LoadState", "--value", LOCAL_UNIT)


def kill(process):
    """With all that it started, and waits for their end: the power button would do no more to dpkg."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)

    def ended():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False
    imgrec.wait_until(ended, what="the end of all that was killed")  # one that writes holds dpkg's lock until it is done


def kill_at(process, stages):
    """Kills dpkg when it has told of those stages of the package, in that order."""
    left = list(stages)
    for line in process.stdout:
        if re.match(rf"status: imgrec\S*: {left[0]}", line) and left.pop(0) and not left:
            return kill(process)
    raise AssertionError("dpkg came to its end before")


def upgrade_to_be_killed(machine):
    return machine.start("dpkg", "--status-fd", "1", "-i", "/root/new.deb", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("stages", [["half-installed"], ["half-installed", "half-configured"]], ids=["unpacking", "configuring"])
def test_an_upgrade_that_is_killed_is_finished_later(machine, stages):
    machine.begin("old", workers=NEVER)
    sent = send_some(machine)
    kill_at(upgrade_to_be_killed(machine), stages)
    assert not machine.is_installed("new")
    assert machine.do("dpkg", "--audit"), "it was not broken off"
    machine.wait_ready()  # whichever version runs, it goes on
    sent |= send_some(machine, name="later")
    machine.settings(AT_ONCE)
    repaired = machine.run("dpkg", "--configure", "-a")
    if stages[-1] == "half-installed":  # dpkg needs the package again, and says so
        assert machine.install("new").returncode == 0
    else:
        assert repaired.returncode == 0, repaired.stderr
    assert machine.is_installed("new")
    assert machine.do("dpkg", "--audit") == ""
    assert machine.unit_state() == "active"
    machine.wait_ready()
    expect_answers(machine, sent)
    assert machine.runs_installed_program()


def test_an_upgrade_may_be_killed_at_any_moment(machine):
    """The same install again repairs it, wherever it was broken off."""
    dice = random.Random(1)
    machine.begin("old")
    begun = time.monotonic()
    assert machine.install("new").returncode == 0
    lasts = time.monotonic() - begun
    for number in range(KILLS):
        machine.begin("old", workers=NEVER)
        sent = send_some(machine)
        process = upgrade_to_be_killed(machine)
        moment = dice.uniform(0, lasts)
        time.sleep(moment)
        kill(process)
        machine.settings(AT_ONCE)
        done = machine.install("new")
        assert done.returncode == 0, f"killed after {moment:.2f} s: {done.stderr}"
        machine.do("dpkg", "--configure", "-a")  # what other packages had still to do
        assert machine.is_installed("new") and machine.do("dpkg", "--audit") == ""
        assert machine.unit_state() == "active", f"killed after {moment:.2f} s"
        machine.wait_ready()
        expect_answers(machine, sent)
        assert machine.runs_installed_program()
