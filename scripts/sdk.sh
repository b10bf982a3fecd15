#!/usr/bin/env bash
# Installs Tencent Cloud's Python SDK, tccli and Node SDK into the directory DIR, in the versions of tests/sdk; does and says
# nothing if they are there. Packages of npm run no scripts of their own.
set -euo pipefail

dir=${1:?usage: scripts/sdk.sh DIR}
from=$(cd "$(dirname "$0")/../tests/sdk" && pwd)

for tool in python3 node npm; do
    command -v "$tool" >/dev/null || { echo "sdk: $tool is missing; scripts/setup.sh installs it" >&2; exit 1; }
done
mkdir -p "$dir"
# Tests of several processes may ask at once.
exec 9>"$dir/lock"
flock 9
cp "$from"/* "$dir"
if ! cmp -s "$from/requirements.txt" "$dir/installed.txt"; then
    echo "sdk: installing $(tr '\n' ' ' <"$from/requirements.txt")with pip, which takes a minute" >&2
    python3 -m venv --clear "$dir/venv"
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$from/requirements.txt" >&2
    cp "$from/requirements.txt" "$dir/installed.txt"
fi
if ! cmp -s "$from/package-lock.json" "$dir/installed.json"; then
    echo "sdk: installing tencentcloud-sdk-nodejs-ssm with npm" >&2
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error >&2)
    cp "$from/package-lock.json" "$dir/installed.json"
fi
