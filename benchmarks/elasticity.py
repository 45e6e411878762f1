#!/usr/bin/env python3
"""Runs `imgrec simulate` over all scenarios, with every policy and peer, and rewrites elasticity.md and elasticity.svg.

    ./dev bench elasticity
    ./dev bench elasticity --traces DIR --seeds 10     with the arrival traces (CSV) of a folder besides
"""
import argparse
import concurrent.futures
import html
import json
import math
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
TUNED = HERE / "elasticity-peers.toml"
FAULTS = HERE / "elasticity-faults.toml"
OURS, PRESETS = "slo", ("depth", "per-batch", "warm", "drain-pool", "alarm")
KINDS = ("reference", "fast")
FLOOR_SCENARIOS = ("sustained", "diurnal")  # and the traces: where the work, not the boots, is most of the cost


WHY_MISSED = [
    "Why some are missed:", "",
    "- In time: an image that finds a worker has 30 s, and a boot takes 45 s in the median. When a crowd comes to one worker "
    "(`flash-crowd-50x`) or a steady load to none (`sustained`), what arrives after the first worker and before the others is late "
    "whatever is launched; only who keeps machines for it beforehand does better, at several times the cost. In `capacity-shortage` the "
    "cloud has half of the machines that the load takes.",
    "- The floor knows the future and never has an idle second. Where the load changes within the time of a boot, as in the traces, each "
    "machine that follows it is billed for most of its boot and for a minute at the least.",
    "- Dollars × p95: bursts and sparse traffic with fast workers are won by whoever keeps a machine for ever (`warm`, `alarm`, "
    "`asg-tracking`): it answers at once, where `slo` boots. Those scenarios last an hour at most; a day of nothing is not in them.",
]


def simulate(build, *flags):
    done = subprocess.run([build / "imgrec", "simulate", "--json", *map(str, flags)], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def all_rows(options):
    """Of all policies and peers, or of those of --again beside the others of the last run."""
    contenders = ("--policy", "all", "--peer", "all", "--tuned", TUNED)
    kept, last = [], options.build.parent / "elasticity.json"
    if options.again:
        contenders = ("--policy", options.again)
        kept = [row for row in json.loads(last.read_text()) if row["policy"] not in options.again.split(",")]
    scenarios = sorted(path.stem for path in (HERE.parent / "configs" / "scenarios").glob("*.toml"))
    traces = sorted(pathlib.Path(options.traces).glob("*.csv")) if options.traces else []
    courses = [("--seeds", options.trace_seeds or options.seeds, "--trace", path) for path in traces]
    courses += [("--seeds", options.seeds, "--scenario", name) for name in scenarios]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = [pool.submit(simulate, options.build, *course, "--workers", kind, *contenders) for course in courses for kind in KINDS]
        rows = [row for run in runs for row in run.result()] + kept
    last.write_text(json.dumps(rows))
    return rows, {path.stem for path in traces}


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def product(row):
    return row["cost_usd"] * max(row["wait_s"]["p95"], 1e-3)


def scores(rows):
    """Policy → geometric mean of dollars × p95 over all scenarios and kinds of workers."""
    by_policy = {}
    for row in rows:
        by_policy.setdefault(row["policy"], []).append(product(row))
    return {policy: geometric_mean(values) for policy, values in by_policy.items()}


def is_peer(row):
    return row["peer"] or row["policy"] in PRESETS


def courses_of(rows):
    """(scenario, workers) → policy → row"""
    courses = {}
    for row in rows:
        courses.setdefault((row["scenario"], row["workers"]), {})[row["policy"]] = row
    return courses


def dominations(courses):
    for (scenario, workers), row_of in courses.items():
        ours = row_of[OURS]
        for name, row in row_of.items():
            if is_peer(row) and row["cost_usd"] < ours["cost_usd"] and row["wait_s"]["p95"] < ours["wait_s"]["p95"]:
                yield f"{name} in {scenario}, {workers}"


def listed(texts):
    return ", ".join(texts) if texts else "none"


def decision_ms(build):
    """Milliseconds of one decision with 10,000 instances, policy → median."""
    done = subprocess.run([build / "benchmarks" / "decide_benchmark", "10000"], stdout=subprocess.PIPE, text=True, check=True)
    return {name: float(ms) for name, ms in map(str.split, done.stdout.splitlines())}


def wanted_table(rows, traces, faults, decision):
    courses, score = courses_of(rows), scores(rows)
    peers = {row["policy"] for row in rows if is_peer(row)}
    default = min((score[name], name) for name in peers if not name.endswith("-tuned"))
    tuned = min((score[name], name) for name in peers)
    others = {row["policy"] for row in rows if row["peer"]}
    other_default = min((score[name], name) for name in others if not name.endswith("-tuned"))
    other_tuned = min((score[name], name) for name in others)
    ours = [row_of[OURS] for row_of in courses.values()]
    late = [f"{row['scenario']}, {row['workers']}: {100 * row['within_wanted_wait']:.1f} %" for row in ours if row["within_wanted_wait"] < 0.99]
    floor = [row for row in ours if row["scenario"] in traces.union(FLOOR_SCENARIOS)]
    above = [f"{row['scenario']}, {row['workers']}: {row['cost_usd'] / row['floor_usd']:.2f}" for row in floor if row["cost_usd"] > 1.5 * row["floor_usd"]]
    steady = [row["direction_changes_per_5_min"] for row in ours if row["scenario"] == "sustained"]
    worse = sorted(dominations(courses))

    def line(what, target, value, reached):
        return f"| {what} | {target} | {value} | {'yes' if reached else '**no**'} |"

    to_default, to_tuned = score[OURS] / default[0], score[OURS] / tuned[0]
    return ["| | wanted | measured | reached |", "|---|---|---|---|",
            line("peers both cheaper and quicker (p95) than `slo`", "none", listed(worse), not worse),
            line("dollars × p95, geometric mean, to the best default peer", "≤ 0.5", f"{to_default:.2f} ({default[1]})", to_default <= 0.5),
            line("the same, to the best peer of all, tuned ones too", "≤ 0.8", f"{to_tuned:.2f} ({tuned[1]})", to_tuned <= 0.8),
            line("of other autoscalers alone, without the presets: default", "≤ 0.5", f"{score[OURS] / other_default[0]:.2f} ({other_default[1]})",
                 score[OURS] / other_default[0] <= 0.5),
            line("of other autoscalers alone: tuned", "≤ 0.8", f"{score[OURS] / other_tuned[0]:.2f} ({other_tuned[1]})",
                 score[OURS] / other_tuned[0] <= 0.8),
            line("in time: less than 99 % of the images", "nowhere", listed(late), not late),
            line("dollars over 1.5 × the floor in sustained, diurnal and traces", "nowhere", listed(above), not above),
            line("changes of direction in sustained, in 5 minutes", "≤ 1", f"{max(steady):.2f}", max(steady) <= 1),
            line(f"{faults['seeds']} runs of faults: over the maximum, lost, orphans", "0, 0, 0",
                 f"{faults['over_max']}, {faults['lost']}, {faults['orphans']}",
                 faults["over_max"] == faults["lost"] == faults["orphans"] == 0),
            line("decide + reconcile with 10,000 instances, ms", "≤ 1", f"{decision:.2f}", decision <= 1)]


def course_tables(rows):
    for (scenario, workers), row_of in courses_of(rows).items():
        yield from ("", f"### {scenario}, {workers}", "",
                    "| | dollars | / floor | p50 s | p95 s | max s | in time | machines | launches |", "|---|---|---|---|---|---|---|---|---|")
        for name, row in row_of.items():
            wait, machines = row["wait_s"], row["machines"]
            unanswered = row["jobs"] - row["answered"]
            yield (f"| {'**slo**' if name == OURS else name} | {row['cost_usd']:.4f} | {row['cost_usd'] / row['floor_usd']:.2f} | {wait['p50']:.1f} | "
                   f"{wait['p95']:.1f} | {wait['max']:.0f} | {100 * row['within_wanted_wait']:.1f} % | {machines['max']} | {machines['launches']:.0f} |"
                   + (f" {unanswered} unanswered" if unanswered else ""))


def plot(rows):
    """Each policy at the geometric means of its dollars over the floor and of its p95."""
    points = {}
    for row in rows:
        points.setdefault(row["policy"], []).append((row["cost_usd"] / row["floor_usd"], max(row["wait_s"]["p95"], 1e-3)))
    means = {name: tuple(geometric_mean(column) for column in zip(*values)) for name, values in points.items()}
    peers = {row["policy"] for row in rows if row["peer"]}
    width, height, left, bottom = 720, 420, 70, 50
    x_range = [math.log(edge(value[0] for value in means.values()) * by) for edge, by in ((min, 0.85), (max, 1.5))]
    y_range = [math.log(edge(value[1] for value in means.values()) * by) for edge, by in ((min, 0.7), (max, 1.3))]
    x = lambda value: left + (math.log(value) - x_range[0]) / (x_range[1] - x_range[0]) * (width - left - 10)
    y = lambda value: height - bottom - (math.log(value) - y_range[0]) / (y_range[1] - y_range[0]) * (height - bottom - 10)
    marks = [1, 1.5, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="cost and wait of each policy">',
             "<style>text{font:12px system-ui,sans-serif;fill:#57606a}line{stroke:#d0d7de}.p{fill:#bf5b00}.o{fill:#0969da}.s{fill:#1a7f37}"
             "@media(prefers-color-scheme:dark){text{fill:#9da7b1}line{stroke:#343b44}.p{fill:#f0a35e}.o{fill:#58a6ff}.s{fill:#4ac26b}}</style>"]
    for mark in marks:
        if x_range[0] < math.log(mark) < x_range[1]:
            parts.append(f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="10" y2="{height - bottom}"/><text x="{x(mark):.1f}" y="{height - bottom + 16}" text-anchor="middle">{mark:g}</text>')
        if y_range[0] < math.log(mark) < y_range[1]:
            parts.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/><text x="{left - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
    parts.append(f'<text x="{width - 10}" y="{height - 12}" text-anchor="end">dollars / floor (geometric mean of all scenarios, logarithmic)</text>')
    parts.append(f'<text transform="translate(14 {height - bottom}) rotate(-90)">p95 wait, s (the same)</text>')
    for name, (cost, wait) in means.items():
        kind = "s" if name == OURS else "p" if name in peers else "o"
        parts.append(f'<circle class="{kind}" cx="{x(cost):.1f}" cy="{y(wait):.1f}" r="{7 if kind == "s" else 4.5}"/>'
                     f'<text x="{x(cost) + 9:.1f}" y="{y(wait) + 4:.1f}">{html.escape(name)}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def write(rows, traces, faults, decision, seeds):
    text = ["# Elasticity, simulated", "",
            f"Written by `./dev bench elasticity`: every policy and every peer in every scenario of [`configs/scenarios`](../configs/scenarios), "
            f"whose README says what is modelled; {seeds}, which are the same for all. `slo` runs in one configuration, its defaults. "
            "The peers `…-tuned` run in the best configuration that a search over their knobs found over all scenarios "
            "([elasticity-peers.toml](elasticity-peers.toml)). The reference systems' presets count as peers.",
            "", "![dollars and waiting time of each policy](elasticity.svg)", "",
            *wanted_table(rows, traces, faults, decision), "", *WHY_MISSED, "",
            "Dollars × p95 wait, geometric mean over all scenarios and both kinds of workers, as parts of that of `slo`:", ""]
    score = scores(rows)
    text += ["| | |", "|---|---|"] + [f"| {name} | {value / score[OURS]:.2f} |" for name, value in sorted(score.items(), key=lambda one: one[1])]
    text += ["", "## All figures"] + list(course_tables(rows))
    (HERE / "elasticity.md").write_text("\n".join(text) + "\n")
    (HERE / "elasticity.svg").write_text(plot(rows))
    print("\n".join(wanted_table(rows, traces, faults, decision)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--traces", help="a folder of arrival traces (CSV)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trace-seeds", type=int, help="of traces, which may be long; else as --seeds")
    parser.add_argument("--fault-seeds", type=int, default=1000)
    parser.add_argument("--again", help="run only these policies; the figures of all others are those of the last run")
    parser.add_argument("--tune", action="store_true", help="search the peers' best configurations again")
    options = parser.parse_args()
    options.build = options.build.resolve()
    if options.tune:
        subprocess.run([options.build / "imgrec", "simulate", "--tune", TUNED], check=True)
    rows, traces = all_rows(options)
    faults, = simulate(options.build, "--policy", OURS, "--scenario", FAULTS, "--workers", "reference", "--seeds", options.fault_seeds)
    seeds = f"{options.seeds} seeds" + (f" ({options.trace_seeds} of traces)" if traces and options.trace_seeds else "")
    write(rows, traces, faults, decision_ms(options.build)[OURS], seeds)


if __name__ == "__main__":
    sys.exit(main())
