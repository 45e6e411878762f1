#!/usr/bin/python3
"""What a build of imgrec is made of, as a CycloneDX document: sbom.py --binary build/release/imgrec >imgrec.cdx.json

Found in the build itself, not kept by hand: the shared libraries that the program loads, with the Debian packages they come
from; OpenVINO by its pins; the libraries that are headers alone; the packages of npm in the page. The same build gives the same bytes.
https://cyclonedx.org/docs/1.6/json/
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Compiled in: the package of the headers, the library's name, its licence.
HEADERS = [("libboost-dev", "boost", "BSL-1.0"), ("libcli11-dev", "cli11", "BSD-3-Clause"),
           ("nlohmann-json3-dev", "nlohmann-json", "MIT")]
LOADED_LATER = ["libheif1"]  # by the process that reads HEIC and AVIF
NPM_LICENCES = {"uplot": "MIT", "swagger-ui-dist": "Apache-2.0"}


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def component(kind, name, version, purl, licence=None, **more):
    licences = {"licenses": [{"license": {"id": licence}}]} if licence else {}
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl, **licences, **more}


class System:
    """What a program was built for: this system, or another whose root (cmake/arm64/root.sh) and emulator are given."""

    def __init__(self, root="", emulator=""):
        self.root = root and pathlib.Path(root).resolve()
        self.emulator = shlex.split(emulator)
        self._query = ["dpkg-query", *([f"--admindir={self.root}/var/lib/dpkg"] if root else [])]

    @staticmethod
    def add_options(parser):
        parser.add_argument("--root", default="", help="of the system that the program was built for, if it is not this one")
        parser.add_argument("--emulator", default="", help="command that runs programs of that system here")

    def run(self, program, *arguments):
        """What the program prints, whatever settings the caller's environment has."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("IMGREC_")}
        return subprocess.run([*self.emulator, program, *arguments], check=True, capture_output=True, text=True, env=plain).stdout

    def libraries(self, program):
        """SONAME → file of all that a program or library loads, its libraries' own included."""
        if self.root:
            loader, = self.root.glob("lib/ld-linux-*.so.*")
            listed = output(*self.emulator, loader, "--list", program)
        else:
            listed = output("ldd", program)
        found = {}
        for name, path in re.findall(r"^\s*(\S+) => (not found|/\S+)", listed, re.M):
            if path == "not found":
                raise SystemExit(f"{program} needs {name}, which is not here. Build it anew: ./dev build")
            found[name] = pathlib.Path(path)
            if self.root and (self.root / path[1:]).exists():
                found[name] = self.root / path[1:]
        return found

    def owners(self, files):
        """File → its Debian package, for those that have one. /usr/lib and /lib are one folder, and dpkg may know a file by either.
        One question for all files: dpkg-query reads all it knows for each."""
        asked = {}
        for file in files:
            bare = str(file).removeprefix("/usr")
            asked |= {path: file for path in (str(file), bare, "/usr" + bare)}
        if not asked:
            return {}
        listed = subprocess.run([*self._query, "-S", *asked], capture_output=True, text=True).stdout
        return {asked[path]: package for package, path in re.findall(r"^([^\s:,]+)\S*: (/.*)$", listed, re.M)}

    def debian(self, package, name=None, licence=None, **more):
        version, architecture = output(*self._query, "-W", "-f", "${Version} ${Architecture}", package).split()
        purl = f"pkg:deb/debian/{package}@{urllib.parse.quote(version, safe='~')}?arch={architecture}"
        return component("library", name or package, version, purl, licence, **more)


def shared_libraries(binary, system):
    libraries = {name: file.resolve() for name, file in system.libraries(binary).items()}
    owners = system.owners(libraries.values())
    packages, bundled = set(), []
    for name, file in libraries.items():
        if any(part.startswith("openvino") for part in file.parts):
            bundled.append(name)
        elif package := owners.get(file):
            packages.add(package)
        else:
            raise SystemExit(f"sbom.py: no Debian package has {file}: where does this library come from?")
    found = [system.debian(package) for package in sorted(packages)]
    if bundled:
        version = re.search(r"^openvino==(\S+)", (ROOT / "inference/engine/openvino.txt").read_text(), re.M).group(1)
        found.append(component("library", "openvino", version, f"pkg:pypi/openvino@{version}", "Apache-2.0",
                               description="with oneTBB: " + ", ".join(sorted(bundled))))
    return found


def npm_packages():
    text = (ROOT / "roles/web/page/CMakeLists.txt").read_text()
    return [component("library", name, version, f"pkg:npm/{name}@{version}", NPM_LICENCES[name], hashes=[{"alg": "SHA-256", "content": digest}])
            for name, version, digest in re.findall(r"^imgrec_npm_package\(\S+ (\S+) (\S+) ([0-9a-f]{64})", text, re.M)]


def program_version(binary, system):
    return system.run(binary, "version").split()[1]


def document(binary, system):
    version = program_version(binary, system)
    own = component("application", "imgrec", version, f"pkg:generic/imgrec@{version}", "Apache-2.0")
    parts = shared_libraries(binary, system) + [system.debian(*one) for one in HEADERS] + npm_packages()
    parts += [system.debian(one, scope="optional") for one in LOADED_LATER if one not in {part["name"] for part in parts}]
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": {"component": own}, "components": parts,
            "dependencies": [{"ref": own["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}]}


def text(binary, system):
    return json.dumps(document(binary, system), indent=1) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    System.add_options(parser)
    options = parser.parse_args()
    print(text(options.binary.resolve(), System(options.root, options.emulator)), end="")
