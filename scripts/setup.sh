#!/usr/bin/env bash
# Installs what a build or a test needs and the machine lacks: Debian packages by apt-get, Rust by rustup.
# Says what it does; does and says nothing if all is there.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    [[ -n "${LIBCLANG_PATH:-}" ]] && return
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib/*/libclang*.so*' >/dev/null
}

packages=()
has g++ || packages+=(g++)
has make || packages+=(make)
has clang || packages+=(clang)
has_libclang || packages+=(libclang-dev)
has python3 || packages+=(python3)
# The SDKs that the tests run (tests/sdk) lie in a virtual environment.
python3 -c 'import ensurepip' >/dev/null 2>&1 || packages+=(python3-venv)
has openssl || packages+=(openssl)
has strace || packages+=(strace)
has ssh-keygen || packages+=(openssh-client)
has groff || packages+=(groff-base)
has curl || packages+=(curl ca-certificates)
# The identity provider (tests/idp) and the SDK (tests/sdk) that the tests run.
has node || packages+=(nodejs)
has npm || packages+=(npm)

if ((${#packages[@]})); then
    as_root=()
    if ((EUID != 0)); then
        has sudo || { echo "setup: missing ${packages[*]}; install them as root" >&2; exit 1; }
        as_root=(sudo)
    fi
    has apt-get || { echo "setup: missing ${packages[*]}, and there is no apt-get to install them with" >&2; exit 1; }
    echo "setup: installing ${packages[*]} with apt-get"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

if ! has cargo; then
    # rust-toolchain.toml names the version; rustup fetches it when cargo is first called.
    echo "setup: installing rustup into ${CARGO_HOME:-$HOME/.cargo}"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --no-modify-path --default-toolchain none
fi
