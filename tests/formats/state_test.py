"""A service of this version starts on what one of an earlier release left: its queues and its object store (state.py)."""
import json
import pathlib

import pytest

import imgrec
import quick_model
import state

FOLDER = pathlib.Path(__file__).parent
RELEASES = sorted(file.parent.name for file in FOLDER.glob("*/queues.sql"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    quick_model.install(folder)
    return folder


def recorded_results(release):
    lines = map(json.loads, (FOLDER / release / "objects.jsonl").read_text().splitlines())
    return [json.loads(entry["text"]) for entry in lines if entry["path"].startswith("results+/")]


def test_there_are_records():
    assert "0.1.0" in RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_what_an_earlier_release_left_is_finished_and_read(release, models, tmp_path):
    folder = tmp_path / "state"
    state.restore(FOLDER / release, folder)
    before = recorded_results(release)
    assert {result["name"] for result in before} == {"red.bmp", "green.bmp", "blue.bmp", "damaged.bmp"}
    with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", models, "--retention", "0",
                        state_dir=folder) as service:
        def jobs():
            status, _, body = service.request("GET", "/v1/jobs?limit=100", headers=state.SESSION)
            assert status == 200, body
            return {job["name"]: job for job in json.loads(body)["jobs"]}
        ended = {"damaged.bmp": "failed", **{f"{colour}{more}.bmp": "done" for colour in quick_model.COLOURS for more in ("", "-waits")}}
        imgrec.wait_until(lambda: {name: job["state"] for name, job in jobs().items()} == ended, what="the accepted images")
        listed = jobs()
        for colour in quick_model.COLOURS:
            for name in (f"{colour}.bmp", f"{colour}-waits.bmp"):
                result = json.loads(service.request("GET", "/v1/jobs/" + listed[name]["job"], headers=state.SESSION)[2])
                assert result["labels"][0]["label"] == colour, result
        for result in before:
            read = json.loads(service.request("GET", "/v1/jobs/" + result["job"], headers=state.SESSION)[2])
            assert read.get("labels") == result.get("labels"), "results are kept as they are"
    assert "error" not in service.log()
