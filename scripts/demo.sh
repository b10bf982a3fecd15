#!/usr/bin/env bash
# The main job, for everyone to see: a service reads a secret, another is denied, the trail is asked, the log is
# verified by the independent verifier, and a changed log is found out. In a scratch directory that is removed at the end.
# usage: demo.sh DIRECTORY-OF-THE-BINARIES
set -euo pipefail

binaries=$(cd "${1:?usage: demo.sh DIRECTORY-OF-THE-BINARIES}" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/keyward-demo.XXXXXX")
server=""

stop_server() {
    [[ -z "$server" ]] && return
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=""
}

finish() {
    local code=$?
    stop_server
    if ((code != 0)); then
        echo "demo: failed; the gateway's log follows" >&2
        cat "$scratch/serve.log" >&2 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT

if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold="" dim="" plain=""; fi

step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# Shows a command, then runs it exactly as shown; the second argument is the exit code that is due.
try() {
    printf '%s$ %s%s\n' "$dim" "$1" "$plain"
    local code=0
    eval "$1" || code=$?
    if ((code != ${2:-0})); then
        echo "demo: exit code $code where ${2:-0} was due" >&2
        return 1
    fi
}
expect() { grep -q -- "$1" "$2" || { echo "demo: \`$1\` was due in the answer" >&2; return 1; }; }

export PATH="$binaries:$PATH"
export KEYWARD_CONFIG=try/keyward.toml
unset KEYWARD_ADDR KEYWARD_TOKEN KEYWARD_TOKEN_FILE
cd "$scratch"

step "1. A new installation, with a local token issuer for trying things out"
try 'keyward init --dir try --dev'
# Any free port, so that the demo never meets another gateway.
sed -i 's/^listen = .*/listen = "127.0.0.1:0"/' try/keyward.toml

step "2. The gateway, serving on the loopback"
printf '%s$ keyward serve &%s\n' "$dim" "$plain"
keyward serve 2>serve.log &
server=$!
for _ in $(seq 200); do
    address=$(sed -n 's/.*"message":"serving","listen":"\([^"]*\)".*/\1/p' serve.log)
    [[ -n "$address" ]] && break
    kill -0 "$server" 2>/dev/null || { echo "demo: the gateway did not start" >&2; exit 1; }
    sleep 0.05
done
[[ -n "${address:-}" ]] || { echo "demo: the gateway did not start within 10 s" >&2; exit 1; }
try "export KEYWARD_ADDR=http://$address"
try 'curl -sS $KEYWARD_ADDR/readyz && echo'

step "3. Tokens: an administrator, a service that may read demo/*, and a stranger whom no policy names"
try '(umask 077; for who in admin app stranger; do keyward token issue --sub $who > $who.token; done)'

step "4. The administrator stores a secret; values come from standard input, never from arguments"
try "printf 's3cret-of-the-demo' | keyward --token-file admin.token secret create demo/db"

step "5. The service reads it over plain HTTP: 200, the value, and where the record of this access is"
(umask 077; for who in app stranger; do printf 'Authorization: Bearer %s' "$(cat $who.token)" > $who.header; done)
ask() { echo "curl -sS -i -H @$1.header --json '{\"SecretName\":\"$2\"}' \$KEYWARD_ADDR/v1/GetSecretValue | tee answer && echo"; }
try "$(ask app demo/db)"
expect '^HTTP/1.1 200' answer
expect 's3cret-of-the-demo' answer
expect '^keyward-audit-index: ' answer

step "6. The stranger asks the same: 403, and the same 403 where there is no such secret"
try "$(ask stranger demo/db)"
expect '^HTTP/1.1 403' answer
try "$(ask stranger demo/nothing-here)"
expect '^HTTP/1.1 403' answer

step "7. A program gets the secret in its environment and nowhere else"
try "keyward --token-file app.token run --secret demo/db=DB_PASSWORD -- sh -c 'echo \${#DB_PASSWORD} characters'"

step "8. Who touched demo/db? The question is itself authorised and recorded"
try 'keyward --token-file admin.token audit query --resource demo/db | tee trail'
expect 'user/dev/stranger.*deny' trail

step "9. The whole log in one file, verified by a program that shares no code with the gateway"
try 'keyward --token-file admin.token audit export --out log.export'
try 'keyward-audit-verify log.export --vkey try/keys/log.vkey'

step "10. Someone changes one byte of the evidence: one stranger becomes a strangex"
try "sed '0,\\|user/dev/stranger|s||user/dev/strangex|' log.export > forged.export"
try 'keyward-audit-verify forged.export --vkey try/keys/log.vkey | tee verdict' 4
expect '^index [0-9]*: ' verdict

step "11. The gateway stops; its log and indexes are checked in place and every decision is made again"
stop_server
try 'keyward audit verify --decisions'

cat <<END

${bold}That was the main job.${plain} What to try next:

  export PATH=$binaries:\$PATH
  keyward init --dir try --dev && cd try
  keyward serve &
  export KEYWARD_TOKEN=\$(keyward token issue --sub admin)
  printf s3cret | keyward secret create demo/db
  keyward secret get demo/db
  keyward audit query
  \$EDITOR policies/attachments.json     a valid change is live within 2 s; keyward policy check says what is wrong

README.md goes on from here; policies/README.md is the policy language.
END
