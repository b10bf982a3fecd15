#!/usr/bin/env bash
# Makes an installation that was used, for tests/it/upgrade.rs: what a version wrote, which every later one must open, serve and verify.
# Run it with the programs of the version whose bytes are to be kept; a fixture that is committed is never made again, only added to.
# usage: upgrade-fixture.sh DIRECTORY-OF-THE-BINARIES NAME-OF-THE-COMMIT OUT.tar.gz
set -euo pipefail

binaries=$(cd "${1:?usage: upgrade-fixture.sh DIRECTORY-OF-THE-BINARIES COMMIT OUT.tar.gz}" && pwd)
commit=${2:?the commit that the programs were built from}
out=$(realpath -m "${3:?the archive to write}")
[[ ! -e "$out" ]] || { echo "upgrade-fixture: $out exists" >&2; exit 1; }
scratch=$(mktemp -d)
server=""
finish() {
    [[ -z "$server" ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

export PATH="$binaries:$PATH"
unset "${!KEYWARD_@}"
cd "$scratch"
keyward init --dir kw --dev >/dev/null
# Small: the ballast is random bytes; no rates, so that nothing of it depends on how fast the machine is.
sed -i -e 's/^listen = .*/listen = "127.0.0.1:0"/' -e 's/^ballast_bytes = .*/ballast_bytes = 65536/' \
    -e 's/^requests_per_second = .*/requests_per_second = 0/' -e 's/^denials_per_second = .*/denials_per_second = 0/' kw/keyward.toml
export KEYWARD_CONFIG=kw/keyward.toml

start() {
    keyward serve 2>serve.log &
    server=$!
    local address=""
    for _ in $(seq 400); do
        address=$(sed -n 's/.*"message":"serving","listen":"\([^"]*\)".*/\1/p' serve.log)
        [[ -n "$address" ]] && break
        sleep 0.05
    done
    export KEYWARD_ADDR=http://$address
    KEYWARD_TOKEN=$(keyward token issue --sub admin)
    export KEYWARD_TOKEN
}
stop() { kill "$server" && wait "$server"; server=""; }

start
printf 'the first value' | keyward secret create up/text --description 'a text' --tag env=prod --tag team=pay
printf 'the second value' | keyward secret put up/text v2
printf 'a staged value' | keyward secret put up/text v3 --stage
printf '\x00\x01\xfe\xff' | keyward secret create up/binary --binary
printf 'before' | keyward secret create up/replaced && printf 'after' | keyward secret update up/replaced SSM_Current
printf 'dated' | keyward secret create up/dated --expires-at 2099-12-31
printf 'off' | keyward secret create up/disabled && keyward secret disable up/disabled
printf 'gone' | keyward secret create up/deleted && keyward secret disable up/deleted && keyward secret delete up/deleted --now
keyward secret create up/generated --generate
keyward secret create-ssh up/pair --key-name fixture
keyward secret untag up/text team
for _ in $(seq 40); do keyward secret get up/text >/dev/null; done
KEYWARD_TOKEN=$(keyward token issue --sub stranger) keyward secret get up/text >/dev/null 2>&1 && exit 1
KEYWARD_TOKEN=nonsense keyward secret get up/text >/dev/null 2>&1 && exit 1
keyward token revoke --issuer dev --subject revoked
# A policy change, live before anything else happens.
cp kw/policies/documents/demo-read.json kw/policies/documents/up-read.json
sed -i 's#/demo/#/up/#' kw/policies/documents/up-read.json
kill -HUP "$server"
sleep 3
keyward audit query --limit 5 >/dev/null
stop
# A second start, so that files were written out and read again.
start
keyward audit checkpoint > kw/checkpoint
keyward audit export --out log.export
keyward-audit-verify log.export --vkey kw/keys/log.vkey
stop
rm -f kw/data/db.ballast kw/data/db/LOG* kw/data/db/LOCK
records=$(($(wc -l < log.export) / 2))
printf '{"commit":"%s","program":"%s","at_least_records":%d}\n' "$commit" "$(keyward --version)" "$records" > kw/fixture.json
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C kw -cf - . | gzip -9n > "$out"
ls -l "$out"
