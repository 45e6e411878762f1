#!/usr/bin/env bash
# Fetches OpenVINO into a folder: inference/engine/openvino.sh FOLDER [PROCESSOR]. PROCESSOR: as `uname -m` names it; this machine's
# if none is given. Ends with 3 for processors that OpenVINO is not made for.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
target=$1
processor=${2:-$(uname -m)}

case $processor in
  x86_64) platform=manylinux_2_28_x86_64 plugin=intel_cpu ;;
  aarch64) platform=manylinux_2_35_aarch64 plugin=arm_cpu ;;
  *) echo "OpenVINO is made for x86-64 and arm64, not for $processor." >&2; exit 3 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 -m venv "$work/venv"
# Nothing in the package is run here.
"$work/venv/bin/pip" download --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
  --python-version 3.11 --platform "$platform" -d "$work" -r "$here/openvino.txt"

/usr/bin/python3 - "$work" "$plugin" <<'PYTHON'
import pathlib, re, sys, zipfile
work, plugin = pathlib.Path(sys.argv[1]), sys.argv[2]
# The library, the processor's plugin, readers of ONNX and of its own format (IR), and the threads beneath
# (without what binds them to processors: the program leaves that to the system).
wanted = re.compile(r"openvino/libs/lib(openvino\.so\.\d+|openvino_%s_plugin\.so|openvino_(onnx|ir)_frontend\.so\.\d+"
                    r"|tbb\.so\.12|tbbmalloc\.so\.2)" % plugin)
wheel, = work.glob("openvino-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith("openvino/include/") and not name.endswith("/"):
            out = work / "sdk" / "include" / name.removeprefix("openvino/include/")
        elif wanted.fullmatch(name):
            out = work / "sdk" / "lib" / pathlib.PurePath(name).name
        elif ".dist-info/licenses/" in name and not name.endswith("/"):
            out = work / "sdk" / "licences" / pathlib.PurePath(name).name
        else:
            continue
        assert out.resolve().is_relative_to(work.resolve()), name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(archive.read(name))
PYTHON

# In one step, so that a folder that is there is complete.
rm -rf "$target"
mkdir -p "$(dirname "$target")"
mv "$work/sdk" "$target"
cat "$here/openvino.txt" "$here/openvino.sh" >"$target/.pins"
