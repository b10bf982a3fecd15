#!/usr/bin/env bash
# Tencent Cloud's own Python SDK and tccli against a real gateway: `scripts/sdk.sh DIR-OF-PROGRAMS DIR-OF-VENV`. The virtual
# environment is made once, by pip, with the versions of tests/sdk/requirements.txt.
set -euo pipefail
programs=$(realpath "$1") venv=$2
cd "$(dirname "$0")/.."

if ! cmp -s tests/sdk/requirements.txt "$venv/installed.txt"; then
    echo "sdk: installing $(tr '\n' ' ' <tests/sdk/requirements.txt)into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement tests/sdk/requirements.txt
    cp tests/sdk/requirements.txt "$venv/installed.txt"
fi

scratch=$(mktemp -d)
gateway=
end() {
    [[ -z "$gateway" ]] || kill "$gateway" 2>/dev/null || true
    [[ -z "$gateway" ]] || wait "$gateway" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT

"$programs/keyward" init --dev --dir "$scratch/kw" >/dev/null
export KEYWARD_CONFIG="$scratch/kw/keyward.toml"
python3 - "$KEYWARD_CONFIG" <<'PYTHON'
import pathlib, sys
file = pathlib.Path(sys.argv[1])
text = file.read_text()
for before, after in [('listen = "127.0.0.1:8743"', 'listen = "127.0.0.1:0"'), ("[tencent]\n", "[tencent]\n#\n"), ("\nenabled = false\n", "\nenabled = true\n")]:
    assert before in text, before
    text = text.replace(before, after, 1)
file.write_text(text)
PYTHON
"$programs/keyward" serve 2>"$scratch/serve.log" &
gateway=$!
address=
for _ in $(seq 300); do
    address=$(sed -n 's/.*"listen":"\([0-9.:]*\)".*/\1/p' "$scratch/serve.log" | head -1)
    [[ -n "$address" ]] && break
    kill -0 "$gateway" || { cat "$scratch/serve.log" >&2; exit 1; }
    sleep 0.1
done
[[ -n "$address" ]] || { echo "sdk: the gateway does not listen" >&2; exit 1; }

export KEYWARD_ADDR="http://$address" KEYWARD_TOKEN
KEYWARD_TOKEN=$("$programs/keyward" token issue --sub admin)
made=$("$programs/keyward" --output json accesskey create)
field() { python3 -c 'import json,sys; print(json.loads(sys.argv[1])["AccessKey"][sys.argv[2]])' "$made" "$1"; }
TENCENTCLOUD_SECRET_ID=$(field AccessKeyId)
TENCENTCLOUD_SECRET_KEY=$(field SecretAccessKey)
export TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY TENCENTCLOUD_REGION=local SSM_ENDPOINT="$address"

"$venv/bin/python" tests/sdk/program.py

# tccli sends `Host: http://...`, and fails loudly or not at all.
export HOME="$scratch"
tccli() { "$venv/bin/tccli" ssm "$@" --region local --endpoint "http://$address"; }
value=$(tccli GetSecretValue --SecretName sdk-demo --VersionId v2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["SecretString"])')
[[ "$value" == third ]] || { echo "sdk: tccli read \`$value\`" >&2; exit 1; }
if tccli GetSecretValue --SecretName none --VersionId v1 >"$scratch/refused" 2>&1; then
    echo "sdk: tccli does not see an error" >&2
    exit 1
fi
grep -q ResourceNotFound.SecretNotExist "$scratch/refused" || { cat "$scratch/refused" >&2; exit 1; }

kill -TERM "$gateway"
wait "$gateway"
gateway=
"$programs/keyward" audit verify --decisions >/dev/null
echo "sdk: the Python SDK and tccli work unchanged; the log they left is valid"
