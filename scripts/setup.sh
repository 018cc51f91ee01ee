#!/usr/bin/env bash
# Everything a fresh machine needs, and nothing twice: Java 17+, a C++ compiler, uv, the locked
# environment. Called by `make demo`, `make test` and the rest; a second run takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."

# --- what must come from the system: a JRE for Spark, a compiler for Horovod --------------------
java_major() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
    "$java" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1
}

missing=()
command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null 2>&1 && [ "$(java_major)" -ge 17 ] 2>/dev/null || missing+=(java)
command -v "${CXX:-g++}" >/dev/null 2>&1 || missing+=(compiler)
command -v make >/dev/null 2>&1 || missing+=(make)
command -v git >/dev/null 2>&1 || missing+=(git)
# uv is installed below, with pip or curl, whichever there is.
if ! command -v uv >/dev/null 2>&1 && [ ! -x "$HOME/.local/bin/uv" ] && [ ! -x .tools/uv/bin/uv ] &&
    ! python3 -m pip --version >/dev/null 2>&1 && ! command -v curl >/dev/null 2>&1; then
    missing+=(python3-pip)
fi

if [ ${#missing[@]} -gt 0 ]; then
    packages=()
    for what in "${missing[@]}"; do
        case $what in
            java) packages+=(JRE) ;;
            compiler) packages+=(build-essential) ;;
            *) packages+=("$what") ;;
        esac
    done
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "set-up: installing ${missing[*]} with apt-get"
        apt-get update -qq
        # Debian 12 and Ubuntu 22.04 have Java 17, Debian 13 and Ubuntu 24.04 have 21.
        for jre in openjdk-17-jre-headless openjdk-21-jre-headless; do
            apt-cache show "$jre" >/dev/null 2>&1 && break
        done
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]/#JRE/$jre}" >/dev/null
    else
        echo "set-up: ${missing[*]} missing (Spark needs Java 17 or newer, Horovod is compiled). Install with:" >&2
        if command -v apt-get >/dev/null 2>&1; then
            echo "    sudo apt-get install -y ${packages[*]/#JRE/openjdk-17-jre-headless}" >&2
        elif command -v dnf >/dev/null 2>&1; then
            echo "    sudo dnf install -y java-17-openjdk-headless gcc-c++ make git" >&2
        elif command -v brew >/dev/null 2>&1; then
            echo "    brew install openjdk@17" >&2
        else
            echo "    (your package manager) a Java 17 runtime, g++, make, git" >&2
        fi
        exit 1
    fi
fi

# --- uv: the one on PATH, or one of the project's own ---------------------------------------------
uv=$(command -v uv || true)
[ -n "$uv" ] || { [ -x "$HOME/.local/bin/uv" ] && uv="$HOME/.local/bin/uv"; } || true
[ -n "$uv" ] || { [ -x .tools/uv/bin/uv ] && uv=$PWD/.tools/uv/bin/uv; } || true
if [ -z "$uv" ]; then
    echo "set-up: installing uv into .tools/uv"
    if python3 -m pip --version >/dev/null 2>&1; then
        python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
            --target .tools/uv uv
    elif command -v curl >/dev/null 2>&1; then
        curl -LsSf https://astral.sh/uv/install.sh |
            env UV_INSTALL_DIR="$PWD/.tools/uv/bin" UV_NO_MODIFY_PATH=1 sh >/dev/null
    else
        echo "set-up: uv is missing, and neither pip nor curl is there to install it; see" >&2
        echo "    https://docs.astral.sh/uv/getting-started/installation/" >&2
        exit 1
    fi
    uv=$PWD/.tools/uv/bin/uv
fi

# --- the environment ------------------------------------------------------------------------------
# The stamp names what the environment was made from; only a change of it costs a sync.
want=$(cat pyproject.toml uv.lock scripts/setup.sh | sha256sum | cut -d' ' -f1)
if [ -x .venv/bin/headrace ] && [ "$(cat .venv/.headrace-set-up 2>/dev/null)" = "$want" ]; then
    exit 0
fi
echo "set-up: installing the locked environment (the first time 3 to 6 minutes: Horovod is compiled)"
# Compiled byte-code makes every start of TensorFlow three times as fast.
UV_COMPILE_BYTECODE=1 "$uv" sync --locked --quiet
echo "$want" >.venv/.headrace-set-up
echo "set-up: done"
