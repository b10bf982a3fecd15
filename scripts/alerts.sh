#!/usr/bin/env bash
# Has promtool check the alert rules and play their tests. Where promtool is not installed, Debian's package is unpacked into a
# scratch directory, so that no service is installed or started for it; if that cannot be had either, that is an error.
set -euo pipefail
cd "$(dirname "$0")/../packaging/prometheus"

promtool=$(command -v promtool || true)
if [[ -z "$promtool" ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    echo "alerts: promtool is not installed; unpacking Debian's prometheus package for it"
    (cd "$scratch" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) ||
        { echo "alerts: promtool is missing and cannot be had: apt-get install prometheus" >&2; exit 1; }
    promtool="$scratch/usr/bin/promtool"
fi
"$promtool" check rules keyward.rules.yml
"$promtool" test rules keyward.rules.test.yml
