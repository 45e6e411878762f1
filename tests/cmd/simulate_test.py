"""`imgrec simulate` from the outside: lines of JSON, the same for the same options; the page; what is refused."""
import json
import resource

import imgrec

FEW = 'about = "a few"\nduration = "15m"\n[[arrivals]]\nfrom = "1m"\nimages = 30\n'


def simulate(*flags, code=0):
    done = imgrec.run("simulate", *map(str, flags))
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_lines_of_json_have_the_members_that_others_read(tmp_path):
    scenario = tmp_path / "few.toml"
    scenario.write_text(FEW)
    flags = ("--scenario", scenario, "--policy", "depth,slo", "--peer", "all", "--seeds", 2, "--json")
    first = simulate(*flags)
    assert first == simulate(*flags), "the same options give the same output, byte for byte"
    rows = [json.loads(line) for line in first.splitlines()]
    assert len(rows) == 2 * (2 + 4)  # kinds of workers × contenders
    assert [row["policy"] for row in rows[:2]] == ["depth", "slo"]
    for row in rows:
        assert {"policy", "scenario", "workers", "seeds", "jobs", "answered", "within_wanted_wait", "cost_usd", "floor_usd", "wait_s",
                "machines", "over_max", "lost", "orphans"} <= row.keys()
        assert set(row["wait_s"]) == {"p50", "p95", "p99", "max"}
        assert {"max", "seconds", "launches"} <= row["machines"].keys()
        assert (row["scenario"], row["seeds"], row["jobs"], row["answered"]) == ("few", 2, 60, 60)
        assert row["cost_usd"] >= row["floor_usd"] > 0
        assert row["over_max"] == row["lost"] == row["orphans"] == 0


def test_a_million_images_take_seconds(tmp_path):
    scenario = tmp_path / "million.toml"
    scenario.write_text('duration = "1h"\nmachines_max = 450\n[[arrivals]]\nrate_per_second = 277.8\n')
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    row, = map(json.loads, simulate("--scenario", scenario, "--policy", "depth", "--workers", "reference", "--json").splitlines())
    assert row["jobs"] > 990_000 and row["images_per_job"] == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10


def test_max_limits_machines(tmp_path):
    scenario = tmp_path / "few.toml"
    scenario.write_text(FEW)
    row, = map(json.loads, simulate("--scenario", scenario, "--policy", "depth", "--workers", "reference", "--max", 4, "--json").splitlines())
    assert row["machines"]["max"] == 4


def test_a_trace_is_scaled(tmp_path):
    trace = tmp_path / "calls.csv"
    trace.write_text("at_s,count\n0,10\n60,20\n")
    row, = map(json.loads, simulate("--trace", trace, "--scale", 3, "--policy", "depth", "--workers", "fast", "--json").splitlines())
    assert (row["scenario"], row["jobs"]) == ("calls", 90)


def test_the_page_and_the_table(tmp_path):
    page = tmp_path / "report.html"
    table = simulate("--scenario", "burst-10", "--policy", "depth", "--peer", "keda", "--html", page)
    assert "burst-10" in table and "keda (peer)" in table
    text = page.read_text()
    assert text.startswith("<!doctype html>") and "<svg" in text and "http" not in text


def test_tuned_peers_come_from_a_file(tmp_path):
    tuned = tmp_path / "tuned.toml"
    tuned.write_text("[buildkite]\nScaleInIdlePeriod = 30\nScaleOutFactor = 1\n")
    table = simulate("--scenario", "burst-10", "--peer", "buildkite", "--tuned", tuned)
    assert "buildkite (peer)" in table and "buildkite-tuned (peer)" in table and "depth" not in table


def test_what_is_wrong_is_said(tmp_path):
    assert "burst-100" in simulate("--scenario", "nothing", code=2)
    assert "there is: depth" in simulate("--policy", "nothing", code=2)
    assert "keda" in simulate("--peer", "nothing", code=2)
    assert "reference" in simulate("--workers", "nothing", code=2)
    assert "--seeds" in simulate("--seeds", "many", code=2)
    trace = tmp_path / "bad.csv"
    trace.write_text("when\n1\n")
    assert "bad.csv:1" in simulate("--trace", trace, code=2)
