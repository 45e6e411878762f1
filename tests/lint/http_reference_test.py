"""The HTTP reference says what the code does: every error code with its status, and the defaults of the limits."""
import pathlib
import re

import tomllib

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = (ROOT / "roles" / "web" / "HTTP.md").read_text()


def rows():
    for line in REFERENCE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells and re.fullmatch(r"[45]\d\d", cells[0]):
            yield int(cells[0]), re.findall(r"`([a-z_]+)`", cells[1])


def documented():
    return {(code, status) for status, codes in rows() for code in codes}


def test_the_error_codes_are_those_of_the_table():
    source = (ROOT / "roles" / "web" / "api" / "errors.cpp").read_text()
    table = source[source.index("kErrorCodes ="):source.index("});")]
    codes = {(code, int(status)) for code, status in re.findall(r'\{"([a-z_]+)", (\d+),', table)}
    assert len(codes) > 40
    assert codes - documented() == set()
    assert documented() - codes == set()


def test_every_error_of_the_http_server_is_in_the_table():
    folders = (ROOT / "lib" / "http" / "server", ROOT / "lib" / "http" / "syntax")
    text = "".join(file.read_text() for folder in folders for file in folder.glob("*.cpp"))
    answered = {(code, int(status)) for status, code in re.findall(r'refused?\((\d+), "([a-z_]+)"', text)}
    assert len(answered) > 10 and answered - documented() == set()


def test_every_member_of_a_result_document_is_documented():
    source = (ROOT / "lib" / "job" / "job.cpp").read_text()
    start = source.index("std::string to_json(const JobResult&")
    members = set(re.findall(r'(?:member|begin_object|begin_list)\("(\w+)"', source[start:source.index("\n}", start)]))
    text = REFERENCE[REFERENCE.index("## The result document"):REFERENCE.index("## Look up a job")]
    assert len(members) > 20 and members - set(re.findall(r"`(\w+)`", text)) == set()


def test_every_code_of_an_image_is_documented():
    sources = [file for folder in ("inference", "roles") for file in (ROOT / folder).rglob("*.cpp")]
    codes = {code for file in sources for code in re.findall(r'"(image_[a-z_]+)"', file.read_text())}
    known = {code for code, _ in documented()}
    assert codes and codes <= known, codes - known


def test_the_limits_defaults_are_those_of_the_settings():
    lines = (ROOT / "configs" / "local.toml").read_text().splitlines()
    settings = tomllib.loads("\n".join(line[1:] if re.match(r"#[a-z_]+ = ", line) else line for line in lines))
    checked = 0
    for line in REFERENCE[REFERENCE.index("## Limits"):].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not (setting := re.fullmatch(r"`(\w+)\.(\w+)`", cells[1])):
            continue
        value = settings[setting[1]][setting[2]]
        shown = cells[2].replace(",", "").replace(" MiB", "MiB").replace("a day", "1d").replace(" s", "s", 1)
        assert shown.startswith(str(value)), (line, value)
        checked += 1
    assert checked >= 6
