#!/usr/bin/env bash
# Every test of the workspace, then every doctest, then the counts. One build for both.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
failed=0
trap 'rm -f "$log"' EXIT

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --release --workspace --locked --no-fail-fast 2>&1 | tee "$log" || failed=1
    tests=$(sed -n 's/.*Summary \[[^]]*\] *//p' "$log" | tail -1)
else
    # Tests that hold back the store's own threads do so for their whole process: one at a time.
    echo "cargo-nextest is not installed; the tests run under cargo test, one after the other"
    RUST_TEST_THREADS=1 cargo test --release --workspace --locked --no-fail-fast --lib --bins --tests 2>&1 | tee "$log" || failed=1
    tests=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
        END { printf "%d passed, %d failed, %d skipped", passed, failed, ignored }' "$log")
fi

# Doctests hold the compile-fail proofs: what must not compile. nextest runs none of them.
cargo test --doc --release --workspace --locked 2>&1 | tee "$log" || failed=1
doctests=$(awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed", passed, failed }' "$log")

echo
echo "tests:    ${tests:-none ran}"
echo "doctests: $doctests"
exit "$failed"
