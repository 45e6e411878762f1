"""The house rules that a compiler does not check: who includes whom, what is called where, and that every test is built."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = [p for top in ("cmd", "lib", "roles", "inference", "aws") for p in sorted((ROOT / top).rglob("*.[ch]pp"))]

# Folder → folders it may include besides itself.
BASE = {"lib/base"}
PORTS = BASE | {"lib/config", "lib/job", "lib/ports"}
ROLES = PORTS | {"lib/telemetry"}
WEB = BASE | {"lib/http/server", "lib/http/syntax"}
ARROWS = {
    "lib/base": set(),
    "lib/arrivals": BASE,
    "lib/report": set(),
    "lib/config": BASE,
    "lib/job": BASE,
    "lib/ports": BASE | {"lib/job"},
    "lib/queues": BASE | {"lib/config"},
    "lib/signals": BASE | {"lib/job", "lib/ports"},
    "lib/http/syntax": BASE | {"lib/ports"},
    "lib/http/server": BASE | {"lib/ports", "lib/http/syntax"},
    "lib/http/client": BASE | {"lib/ports", "lib/http/syntax"},
    "lib/http/load": BASE | {"lib/http/syntax"},
    "lib/local": PORTS,
    "lib/telemetry": BASE,
    "lib/telemetry/listener": BASE | {"lib/telemetry", "lib/http/server"},
    "roles/worker": ROLES | {"lib/queues"},
    "roles/controller": ROLES | {"roles/controller/policy"},
    "roles/controller/policy": BASE | {"lib/ports"},
    "roles/load": BASE | {"lib/arrivals", "lib/config", "lib/ports", "lib/report", "lib/http/load"},
    "roles/simulate": ROLES | {"lib/arrivals", "lib/report", "roles/controller", "roles/controller/policy", "roles/worker"},
    "roles/web": ROLES | WEB | {"roles/web/access", "roles/web/api", "roles/web/jobs", "roles/web/live", "roles/web/page", "roles/web/results",
                                 "roles/web/upload"},
    "roles/web/access": WEB | {"lib/config", "lib/job", "lib/ports"},
    "roles/web/live": PORTS | {"lib/telemetry", "lib/http/server"},
    "roles/web/page": WEB,
    "roles/web/compat": WEB | {"lib/job"},
    "roles/web/results": PORTS,
    "roles/web/upload": PORTS | {"roles/web/results"},
    "roles/web/jobs": ROLES | {"roles/web/results", "roles/web/upload"},
    "roles/web/api": ROLES | WEB | {"roles/web/access", "roles/web/compat", "roles/web/jobs", "roles/web/live", "roles/web/page", "roles/web/results",
                                   "roles/web/upload"},
    "inference/decode": BASE | {"lib/config", "lib/job"},
    "inference/models": BASE | {"lib/ports"},
    "inference/preprocess": BASE | {"inference/decode", "inference/models"},
    "inference/engine": BASE | {"inference/models", "inference/preprocess"},
    "inference": PORTS | {"inference/decode", "inference/models", "inference/preprocess", "inference/engine"},
    "aws/client/wire": BASE | {"lib/ports"},
    "aws/client": BASE | {"lib/ports", "lib/http/client", "aws/client/wire"},
    "aws/inspect": BASE | {"aws/client", "aws/client/wire", "aws/adapters"},
    "aws/deploy": BASE | {"lib/config", "lib/queues", "aws/adapters", "aws/client", "aws/client/wire"},
    "cmd/cli": BASE | {"lib/config"},
    "cmd/files": BASE | {"lib/job", "lib/ports"},
    "cmd/platform": PORTS | {"lib/local", "lib/queues", "aws/client", "aws/adapters"},
    "aws/adapters": BASE | {"lib/ports", "aws/client", "aws/client/wire"},
}
# These may include every library but the wire formats, and of cmd itself what is named here: cli ← platform ← commands ← the table
# and main().
EVERYTHING = {"cmd/commands": {"cmd/cli", "cmd/files", "cmd/platform"}, "cmd": {"cmd/cli", "cmd/platform", "cmd/commands"}}
THIRD_PARTY = re.compile(r'#include <(boost/|opencv2/|openvino/|nlohmann/|sqlite3|curl/|spdlog/|prometheus/|openssl/|CLI/|toml\+\+/|png\.h|jpeglib|tiffio|gif_lib|webp/|pugixml|simdjson|zlib)')
# Only lib/base and cmd touch time, randomness and the environment.
AMBIENT = re.compile(r"\b(?:system_clock|steady_clock|high_resolution_clock)::now\(|\bgetenv\(|\brandom_device\b|\bs?rand\(|"
                     r"\bsleep_for\(\s*std::|\busleep\(|\bstd::this_thread::sleep_|\btime\(nullptr\)|\bgettimeofday\(|\bclock_gettime\(")
UNSAFE = re.compile(r"\b(?:strcpy|strcat|sprintf|vsprintf|gets|strtok|system|popen|tmpnam|mktemp|alloca)\(")


def code_of(path):
    """Lines without comments and string literals, so that prose is not taken for code."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        yield number, re.sub(r'//.*$', "", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))


def folder_of(relative):
    known = [folder for folder in ARROWS | EVERYTHING if str(relative).startswith(folder + "/")]
    return max(known, key=len, default=str(relative.parts[0]))


def test_includes_follow_the_arrows():
    wrong = []
    for path in CODE:
        relative = path.relative_to(ROOT)
        here = folder_of(relative)
        if here in EVERYTHING:
            allowed = set(ARROWS) - {"aws/client/wire"} | EVERYTHING[here]
        else:
            allowed = ARROWS.get(here, set())
        for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            there = folder_of(pathlib.PurePath(included))
            if there != here and there not in allowed:
                wrong.append(f"{relative} includes {included}: {here} may not see {there}")
    assert not wrong, "\n".join(wrong)


def target(folder):
    """lib/http/server → imgrec_http_server"""
    return "imgrec_" + "_".join(part for part in folder.split("/") if part not in ("lib", "roles"))


def test_link_lines_are_the_arrows():
    """Each library's CMake links name no folder that its includes may not name."""
    wrong = []
    target_of = {target(folder): folder for folder in ARROWS}
    for folder, allowed in ARROWS.items():
        text = (ROOT / folder / "CMakeLists.txt").read_text()
        for name in set(re.findall(r"\bimgrec_[a-z_]+\b", text)) & set(target_of):
            if target_of[name] != folder and target_of[name] not in allowed:
                wrong.append(f"{folder}/CMakeLists.txt links {name}")
    assert not wrong, "\n".join(wrong)


def test_link_lines_are_used():
    """Each library that a folder's CMake links is included there."""
    unused = []
    target_of = {target(folder): folder for folder in ARROWS}
    for folder in ARROWS:
        text = (ROOT / folder / "CMakeLists.txt").read_text()
        included = {folder_of(pathlib.PurePath(name)) for path in CODE if folder_of(path.relative_to(ROOT)) == folder
                    for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M)}
        for name in set(re.findall(r"\bimgrec_[a-z_]+\b", text)) & set(target_of):
            if target_of[name] not in included | {folder}:
                unused.append(f"{folder}/CMakeLists.txt links {name} and includes nothing of it")
    assert not unused, "\n".join(unused)


# Libraries of others → what is included of them.
OTHERS = {
    "Boost::headers": "boost/", "CLI11::CLI11": "CLI/", "CURL::libcurl": "curl/", "GIF::GIF": "gif_lib", "OpenSSL::Crypto": "openssl/", "OpenSSL::SSL": "openssl/",
    "PkgConfig::JPEG": "jpeglib", "PkgConfig::PNG": "png.h", "PkgConfig::TIFF": "tiffio", "PkgConfig::WEBP": "webp/",
    "PkgConfig::WEBPDEMUX": "webp/demux", "SQLite::SQLite3": "sqlite3", "ZLIB::ZLIB": "zlib", "imgrec_opencv": "opencv2/",
    "imgrec_openvino": "openvino/", "nlohmann_json::nlohmann_json": "nlohmann/", "prometheus-cpp::core": "prometheus/",
    "pugixml::pugixml": "pugixml", "simdjson::simdjson": "simdjson", "spdlog::spdlog": "spdlog/", "tomlplusplus::tomlplusplus": "toml++/",
}


def targets():
    """(name, folder, sources, links) of each target in a CMakeLists.txt. Variables give the names of their CMakeLists.txt's `set`s."""
    for path in sorted(ROOT.glob("*/**/CMakeLists.txt")):
        if path.relative_to(ROOT).parts[0] == "build":
            continue
        text = re.sub(r"#.*", "", path.read_text())
        values = {}
        for name, value in re.findall(r"\bset\((\w+) ([^)]*)\)", text):
            values.setdefault(name, []).extend(value.split())
        found = {}
        for call, body in re.findall(r"\b(imgrec_library|imgrec_test|add_executable|add_library|target_link_libraries|target_sources)\(([^)]*)\)", text):
            name, *words = body.split()
            words = [one for word in words for one in (values.get(word[2:-1], []) if word.startswith("${") else [word])]
            name = {"imgrec_library": f"imgrec_{name}", "imgrec_test": f"{name}_test"}.get(call, name)
            sources, links = found.setdefault(name, (set(), set()))
            sources.update(word for word in words if word.endswith(".cpp"))
            links.update(word for word in words if word in OTHERS or word.startswith("imgrec_"))
            if call == "imgrec_library":  # and the headers without a source file beside them
                sources.update(header.name for header in path.parent.glob("*.hpp"))
        for name, (sources, links) in found.items():
            yield name, path.parent, sources, links - {"imgrec_flags"}


def included_by(folder, sources, through_all=False):
    """What these files include, also through headers of their own folder, or through all headers of the project."""
    waiting, seen, included = [folder / source for source in sources], set(), set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        for name in re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.M):
            included.add(name)
            if through_all or (ROOT / name).parent == path.parent:
                waiting.append(ROOT / name)
        if path.suffix == ".cpp":
            waiting.append(path.with_suffix(".hpp"))
    return included


def test_every_link_line_is_used():
    """A target that is linked and of which no header is included grants an arrow that nobody needs."""
    all_targets = list(targets())
    headers = {name: (folder, sources) for name, folder, sources, _ in all_targets}
    wrong = []
    for name, folder, sources, links in all_targets:
        included = included_by(folder, sources)
        for link in links & (OTHERS.keys() | headers.keys()):
            if link in OTHERS:
                used = any(one.startswith(OTHERS[link]) for one in included_by(folder, sources, through_all=True))
            else:
                # A header of its folder, or of a folder below that has no target of its own.
                there, its_sources = headers[link]
                used = any((ROOT / one).parent == there or
                           str((ROOT / one).with_suffix(".cpp").relative_to(there)) in its_sources
                           for one in included if (ROOT / one).is_relative_to(there))
            if not used:
                wrong.append(f"{folder.relative_to(ROOT)}/CMakeLists.txt: {name} links {link} and includes nothing of it")
    assert not wrong, "\n".join(sorted(wrong))


def test_third_party_headers_stay_in_source_files():
    wrong = [f"{path.relative_to(ROOT)}: {found.group(0)}" for path in CODE if path.suffix == ".hpp" and "private" not in path.name
             for found in [THIRD_PARTY.search(path.read_text())] if found]
    # Asio's one wrapper header, which no public header includes.
    wrong = [line for line in wrong if not line.startswith("lib/http/server/asio.hpp")]
    assert not wrong, "\n".join(wrong)


UNITY = [p for top in ("cmd", "lib", "roles", "aws", "tests") for p in sorted((ROOT / top).rglob("CMakeLists.txt"))]
COMPILED_AS_ONE = re.compile(r"imgrec_(?:library|test)\((\w+)\s+SOURCES\s+(.*?)(?=\s(?:LINKS|PRIVATE_LINKS)\s|\))", re.S)
# A type, a constant or a function at the beginning of a line.
LOCAL = re.compile(r"(?:struct|class|enum(?: class)?) (\w+)[^;]*\{|(?:constexpr|const|static) [^=;({]*?(\w+)(?:\[\w*\])? ?[={;]|[\w:<>,&*\s\[\]]*?[\w>&*\]]\s+[&*]?(\w+)\(")


def local_names(path):
    """What the anonymous namespaces of a file name, each with the namespace around."""
    text = path.read_text()
    around = re.search(r"^namespace ([\w:]+) \{", text, re.M)
    for block in re.findall(r"^namespace \{\n(.*?)^\}  // namespace$", text, re.M | re.S):
        for line in block.splitlines():
            if found := LOCAL.match(line) if line and line[0] not in " /#}" else None:
                yield around.group(1), next(name for name in found.groups() if name)


def test_every_test_file_has_a_namespace_of_its_own():
    """Several files are compiled as one (cmake/imgrec.cmake), and helpers of tests have the same names in many."""
    wrong = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*_test.cpp"))
             if not re.search(rf"^namespace imgrec(?:::\w+)*::{path.stem} \{{$", path.read_text(), re.M)]
    assert not wrong, "not in imgrec::NAME_test:\n" + "\n".join(wrong)


def test_what_is_local_to_a_file_has_a_name_of_its_own_in_its_library():
    """Several files are compiled as one (cmake/imgrec.cmake): functions of one name would be taken for each other."""
    wrong, seen = [], 0
    for lists in UNITY:
        for library, sources in COMPILED_AS_ONE.findall(lists.read_text()):
            owners = {}
            for file in (lists.parent / name for name in sources.split() if name.endswith(".cpp") and (lists.parent / name).exists()):
                for name in set(local_names(file)):
                    seen += 1
                    if owners.setdefault(name, file) != file:
                        wrong.append(f"{library}: {name[1]} is in {owners[name].relative_to(ROOT)} and in {file.relative_to(ROOT)}")
    assert seen > 1000 and not wrong, "\n".join(wrong)


@pytest.mark.parametrize("rule,pattern,allowed", [
    ("ambient time, randomness or environment", AMBIENT, ("lib/base/", "cmd/")),
    ("a call that is unsafe", UNSAFE, ()),
])
def test_banned_calls(rule, pattern, allowed):
    wrong = [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for path in CODE
             if not str(path.relative_to(ROOT)).startswith(allowed or ("\0",))
             for number, line in code_of(path) if pattern.search(line)]
    assert not wrong, f"{rule}:\n" + "\n".join(wrong)


def test_every_test_file_is_built():
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*_test.*")):
        if path.suffix not in (".cpp", ".py"):
            continue
        lists = [parent / "CMakeLists.txt" for parent in path.parents if (parent / "CMakeLists.txt").exists() and ROOT in parent.parents]
        if not any(re.search(r"(?<![\w/])" + re.escape(str(path.relative_to(at.parent))) + r"\b", at.read_text()) for at in lists):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, "in no CMakeLists.txt:\n" + "\n".join(wrong)


def test_every_source_file_is_built():
    wrong = [str(path.relative_to(ROOT)) for path in CODE if path.suffix == ".cpp"
             and not any(str(path.relative_to(at.parent)) in at.read_text().split() or
                         re.search(r"(?<![\w/])" + re.escape(str(path.relative_to(at.parent))) + r"\b", at.read_text())
                         for parent in path.parents for at in [parent / "CMakeLists.txt"] if at.exists())]
    assert not wrong, "in no CMakeLists.txt:\n" + "\n".join(wrong)


def test_files_are_short():
    long = [f"{path.relative_to(ROOT)}: {lines}" for path in CODE
            for lines in [len(path.read_text().splitlines())] if lines > 450]
    assert not long, "longer than 450 lines:\n" + "\n".join(long)


def test_shell_scripts_parse():
    for script in ("dev", ".ci/run", "configs/demo/samples.sh", "inference/engine/openvino.sh", "cmake/arm64/root.sh"):
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_readme_begins_with_its_two_commands():
    readme = (ROOT / "README.md").read_text()
    head = readme[:600]
    assert "./dev demo" in head and "./dev test" in head
