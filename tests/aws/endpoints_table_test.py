"""Every region of every partition: our endpoints are those of botocore, whose table is read where the tests have it installed."""
import os
import pathlib
import subprocess

import imgrec

HERE = pathlib.Path(__file__).parent


def test_endpoints_are_those_of_botocore():
    python = os.environ.get("IMGREC_TEST_MOTO_PYTHON", "")
    assert python, "IMGREC_TEST_MOTO_PYTHON is not set: run this with ./dev test, or name an interpreter that has botocore"
    table = subprocess.run([python, str(HERE / "botocore_endpoints.py")], capture_output=True, text=True, check=True).stdout
    wanted = [line.split() for line in table.splitlines()]
    questions = "".join(" ".join(line[:5]) + "\n" for line in wanted)
    answers = subprocess.run([imgrec.program("aws_probe"), "endpoints"], input=questions, capture_output=True, text=True,
                             check=True).stdout.splitlines()
    assert len(answers) == len(wanted) > 1000
    differ = []
    for line, answer in zip(wanted, answers):
        url, signing_region = answer.split()
        same_region = signing_region == (line[1] if line[6] == "-" else line[6])
        if url != line[5] or (url != "none" and not same_region):
            differ.append(f"{' '.join(line)}, ours: {answer}")
    assert not differ, f"{len(differ)} of {len(wanted)}:\n" + "\n".join(differ[:20])
