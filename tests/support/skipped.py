#!/usr/bin/env python3
"""Prints what was skipped in test runs and why, one line each: skipped.py BUILD_FOLDER… (their ctest logs are read)."""
import collections
import pathlib
import re
import sys

TEST = re.compile(r"^\d+/\d+ Test: (.+)$")
PYTEST = re.compile(r"^SKIPPED \[(\d+)\] \S+: (.*)$")
GTEST = re.compile(r"^\S+:\d+: Skipped$")


def skipped(log):
    """(test, reason) → how many."""
    found, test = collections.Counter(), "?"
    lines = iter(log.splitlines())
    for line in lines:
        if match := TEST.match(line):
            test = match.group(1)
        elif match := PYTEST.match(line):
            found[test, match.group(2)] += int(match.group(1))
        elif GTEST.match(line):
            found[test, next(lines, "").strip() or "no reason is given"] += 1
    return found


def main():
    for folder in sys.argv[1:]:
        path = pathlib.Path(folder) / "Testing" / "Temporary" / "LastTest.log"
        if not path.exists():
            continue
        for (test, reason), count in skipped(path.read_text(errors="replace")).items():
            print(f"    {test}: {reason}" + (f" ({count} times)" if count > 1 else ""))


if __name__ == "__main__":
    main()
