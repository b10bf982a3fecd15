#!/usr/bin/env bash
# Installs the OpenID provider of tests/idp into the directory DIR, as its lock file has it; does and says nothing if it is
# there. Its packages run no scripts of their own.
set -euo pipefail

dir=${1:?usage: scripts/idp.sh DIR}
from=$(cd "$(dirname "$0")/../tests/idp" && pwd)

for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "idp: $tool is missing; scripts/setup.sh installs it" >&2; exit 1; }
done
mkdir -p "$dir"
# Tests of several processes may ask at once.
exec 9>"$dir/lock"
flock 9
cp "$from"/* "$dir"
if ! cmp -s "$from/package-lock.json" "$dir/installed"; then
    echo "idp: installing oidc-provider with npm" >&2
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error >&2)
    cp "$from/package-lock.json" "$dir/installed"
fi
