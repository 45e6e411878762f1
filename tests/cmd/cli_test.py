"""The command line: help, errors and their exit codes, settings."""
import json
import re

import pytest

import imgrec

COMMANDS = ["local", "web", "worker", "controller", "classify", "model list", "model pull", "model import", "model verify",
            "model show", "dead-letters list", "dead-letters redrive", "dead-letters drop",
            "key create", "key list", "key revoke", "config show", "version"]


def usage_error(*arguments, **options):
    done = imgrec.run(*arguments, **options)
    assert done.returncode == 2, done
    assert done.stderr.startswith("imgrec: "), done.stderr
    assert done.stdout == ""
    return done.stderr


def test_help_begins_with_examples_and_names_every_command():
    done = imgrec.run("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.index("Examples:") < done.stdout.index("Usage:") < done.stdout.index("Commands:")
    for command in COMMANDS:
        assert re.search(rf"^  .*\b{command.split()[-1]}\b", done.stdout, re.M), command
    assert "130 interrupted" in done.stdout
    assert imgrec.run("-h").stdout == imgrec.run("help").stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples_first(command):
    done = imgrec.run(*command.split(), "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.index("Examples:") < done.stdout.index(f"Usage: imgrec {command}") < done.stdout.index("Options:")
    assert "--config FILE" in done.stdout
    assert all(len(line) <= 120 for line in done.stdout.splitlines())
    assert imgrec.run("help", *command.split()).stdout == done.stdout


def test_roles_group_their_settings_and_say_what_signals_do():
    text = imgrec.run("local", "--help").stdout
    for group in ("General:", "Log:", "Model:", "Queues:", "Web:", "Workers:", "Scaling:"):
        assert f"\n{group}\n" in text
    assert "--port NUMBER" in text and "[8000]" in text and "--max-workers NUMBER" in text
    assert "SIGTERM drains and exits with 0" in text and "130" in text


def test_version():
    assert re.fullmatch(r"imgrec \d+\.\d+\.\d+\n", imgrec.run("version").stdout)
    assert imgrec.run("--version").stdout == imgrec.run("version").stdout


def test_without_a_command_it_prints_its_help():
    alone = imgrec.run()
    assert alone.returncode == 0 and alone.stderr == ""
    assert alone.stdout == imgrec.run("--help").stdout


@pytest.mark.parametrize("arguments,near", [
    (["wbe"], "did you mean web?"),
    (["clasify", "x.jpg"], "did you mean classify?"),
    (["model", "pul"], "did you mean model pull?"),
    (["deploy", "stauts"], "did you mean deploy status?"),
    (["web", "--prot", "1"], "did you mean --port?"),
    (["web", "--prot=1"], "did you mean --port?"),
    (["web", "--max-workers", "3"], "imgrec local has"),
    (["--role=wbe"], "did you mean web?"),
    (["model"], "needs a command"),
    (["--port", "8000"], "command first"),
    (["web", "extra"], "takes no arguments"),
    (["web", "--port"], "--port"),
    (["web", "--port", "banana"], "0 to 65535"),
    (["controller", "--dry-run=banana"], "dry-run"),
    (["classify"], "needs FILE"),
    (["classify", "--json", "--csv", "x.jpg"], "not both"),
    (["model", "import", "x.onnx", "--name", "x"], "needs --profile"),
    (["model", "import", "x.onnx", "--name", "x", "--profile", "odd"], "imagenet"),
    (["model", "show", "resnet81"], "resnet18"),
    (["worker", "--platform", "aws"], "--input-bucket"),
    (["web", "--log-level", "loud"], "debug, info, warning or error"),
    (["web", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
])
def test_usage_errors_exit_with_2_and_say_what_to_do(arguments, near, tmp_path):
    assert near in usage_error(*arguments, env={"IMGREC_STATE_DIR": str(tmp_path)})


def test_unknown_settings_name_the_nearest_with_file_and_line(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[log]\nlevel = "info"\n[web]\nprot = 1\n')
    error = usage_error("config", "show", "--config", file)
    assert f"{file}:4" in error and "did you mean web.port?" in error
    assert "did you mean IMGREC_WEB_PORT?" in usage_error("config", "show", env={"IMGREC_WEB_PROT": "1"})


def test_config_show_tells_where_each_value_came_from(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[web]\nthreads = 7\nport = 1\n')
    done = imgrec.run("config", "show", "--json", "--config", file, "--port", "9000",
                      env={"IMGREC_WEB_PORT": "5", "IMGREC_LOG_LEVEL": "debug", "IMGREC_STATE_DIR": "/srv/x"})
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["web.port"]["value"] == 9000 and shown["web.port"]["origin"] == "flag --port"
    assert shown["web.threads"]["value"] == 7 and shown["web.threads"]["origin"] == f"{file}:2"
    assert shown["log.level"]["value"] == "debug" and shown["log.level"]["origin"] == "env IMGREC_LOG_LEVEL"
    assert shown["queue.fifo"] == shown["queue.fifo"] | {"value": False, "origin": "default"}
    assert shown["model.dir"]["value"] == "/srv/x/models"
    table = imgrec.run("config", "show", "--config", file).stdout
    assert re.search(rf"^web\.threads +7 +{re.escape(str(file))}:2$", table, re.M)
    assert re.search(r"^web\.wait_max +15m +default$", table, re.M)
    assert len(table.splitlines()) == len(shown)


def test_the_environment_may_name_the_file_and_flags_may_stand_before_the_command(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[web]\nport = 4321\n")
    for arguments, env in ((["config", "show"], {"IMGREC_CONFIG": str(file)}),
                           (["--config", file, "config", "show"], {}),
                           (["--log-level", "debug", f"--config={file}", "config", "show"], {})):
        assert re.search(r"^web\.port +4321", imgrec.run(*arguments, env=env).stdout, re.M)


def test_the_last_of_a_repeated_flag_counts():
    assert re.search(r"^web\.port +2", imgrec.run("config", "show", "--port", "1", "--port=2").stdout, re.M)


def test_role_is_the_command(tmp_path):
    plain = imgrec.run("worker", "--threads", "x")
    assert plain.returncode == 2
    for arguments in (["--role=worker", "--threads", "x"], ["--role", "worker", "--threads", "x"],
                      ["--threads", "x", "--role=worker"]):
        assert imgrec.run(*arguments).stderr == plain.stderr
    assert imgrec.run("--role=web", "--help").stdout == imgrec.run("web", "--help").stdout


def test_home_says_where_the_state_is_and_its_absence_is_an_error(tmp_path):
    import os
    if os.geteuid() == 0:
        assert json.loads(imgrec.run("config", "show", "--json").stdout)["state_dir"]["value"] == "/var/lib/imgrec"
    else:
        shown = json.loads(imgrec.run("config", "show", "--json", env={"HOME": "/h", "XDG_DATA_HOME": ""}).stdout)
        assert shown["state_dir"]["value"] == "/h/.local/share/imgrec"
        assert "--state-dir" in usage_error("config", "show", env={"HOME": "", "XDG_DATA_HOME": ""})


def test_control_characters_in_errors_are_escaped():
    assert "\x1b" not in usage_error("web", "--port", "\x1b[31m")


def test_keys_are_made_listed_and_revoked(tmp_path):
    keys = tmp_path / "keys.json"
    where = ["--web-keys-file", str(keys)]
    made = imgrec.run("key", "create", *where, "--role", "submit,read", "--name", "camera 1", "--rate", "90/m", "--quota", "5000/day")
    assert made.returncode == 0, made
    key = made.stdout.strip()
    assert re.fullmatch(r"imgrec_[0-9a-f]{12}_[0-9a-f]{64}", key)
    assert key not in made.stderr
    assert keys.stat().st_mode & 0o777 == 0o600
    secret = key.split("_")[2]
    assert secret not in keys.read_text()

    assert imgrec.run("key", "create", *where, "--role", "admin", "--name", "Zoë").returncode == 0
    rows = [line.split(maxsplit=5) for line in imgrec.run("key", "list", *where).stdout.splitlines()]
    assert rows[0] == ["ID", "ROLES", "RATE", "QUOTA", "CREATED", "NAME"]
    assert [row[1:4] + row[5:] for row in rows[1:]] == [["submit,read", "1.5/s", "5000/day", "camera 1"], ["admin", "-", "-", "Zoë"]]

    first = rows[1][0]
    assert imgrec.run("key", "revoke", *where, first).returncode == 0
    assert [key["name"] for key in json.loads(keys.read_text())["keys"]] == ["Zoë"]
    assert "imgrec key list" in usage_error("key", "revoke", *where, first)


@pytest.mark.parametrize("arguments,near", [
    (["--role", "root", "--name", "x"], "submit"),
    (["--role", "admin"], "--name"),
    (["--role", "admin", "--name", "x", "--rate", "fast"], "10/s"),
    (["--role", "admin", "--name", "x", "--quota", "0"], "5000/day"),
    (["--role", "admin", "--name", "a\nb"], "one line"),
])
def test_a_key_that_cannot_be_is_refused(arguments, near, tmp_path):
    keys = tmp_path / "keys.json"
    assert near in usage_error("key", "create", "--web-keys-file", str(keys), *arguments)
    assert not keys.exists()


def test_a_broken_keys_file_is_not_overwritten(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text("{")
    assert str(keys) in usage_error("key", "create", "--web-keys-file", str(keys), "--role", "admin", "--name", "x")
    assert keys.read_text() == "{"
    assert "web.keys_file" in usage_error("key", "list")


def test_dead_letters_of_a_new_service_are_none(tmp_path):
    done = imgrec.run("dead-letters", "list", "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (0, "There are no dead letters.\n"), done.stderr
    assert "--all" in usage_error("dead-letters", "drop", "--state-dir", tmp_path)
    assert "--all" in usage_error("dead-letters", "redrive", "some-id", "--all", "--state-dir", tmp_path)
    done = imgrec.run("dead-letters", "redrive", "no-such", "--state-dir", tmp_path)
    assert done.returncode == 1 and "no dead letter of this id" in done.stderr
