#!/usr/bin/env bash
# Unpacks Debian's arm64 libraries into a folder, for the cross compiler, the emulator and dpkg-shlibdeps:
# cmake/arm64/root.sh FOLDER PACKAGE…  Nothing is installed: this system and what dpkg knows of it stay as they are.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$1
shift

mkdir -p "$(dirname "$target")"
work=$(mktemp -d -p "$(cd "$(dirname "$target")" && pwd)")
trap 'rm -rf "$work"' EXIT
# A second apt beside the system's, for which nothing is installed: it reads the same sources, and downloads what the packages need.
mkdir -p "$work"/apt/{lists,cache/archives}/partial "$work/root"
: >"$work/apt/status"
apt() {
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" \
    -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User="$(id -un)" \
    -o APT::Install-Recommends=false -o Acquire::Languages=none "$@"
}
apt update
apt install -y --download-only "$@"
/usr/bin/python3 -B "$here/unpack.py" "$work/apt/cache/archives" "$work/root" "$(dirname "$(realpath -m "$target")")/$(basename "$target")"

# In one step, so that a folder that is there is complete.
rm -rf "$target"
mv "$work/root" "$target"
