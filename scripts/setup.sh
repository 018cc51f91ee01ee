#!/usr/bin/env bash
# Installs what a fresh machine lacks: Java 17+, a C++ compiler, uv, the locked environment. Called by
# `make demo`, `make test` and the other targets; a second run takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."

# --- progress of long commands -------------------------------------------------------------------
logs=$(mktemp -d)
working=""
trap '[ -z "$working" ] || kill "$working" 2>/dev/null || true; rm -rf "$logs"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run_watched DESCRIBE COMMAND…: runs COMMAND with its output in $logs/output, and every 15 s prints what
# DESCRIBE prints.
run_watched() {
    local describe=$1 began=$SECONDS reported=$SECONDS
    shift
    "$@" >"$logs/output" 2>&1 &
    working=$!
    while kill -0 "$working" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - reported)) -ge 15 ]; then
            reported=$SECONDS
            echo "set-up: $((SECONDS - began)) s: $("$describe")"
        fi
    done
    local code=0
    wait "$working" || code=$?
    working=""
    if [ $code -ne 0 ]; then
        cat "$logs/output" >&2
        echo "set-up: failed after $((SECONDS - began)) s; see the output above" >&2
        exit $code
    fi
}

# --- system packages: a JRE for Spark, a compiler for Horovod -------------------------------------
java_major() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
    "$java" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1
}

has_java() { [ "$(java_major 2>/dev/null || true)" -ge 17 ] 2>/dev/null; }

# Debian 12 and Ubuntu 22.04 have Java 17, Debian 13 has 21.
choose_jre() {
    local package
    for package in openjdk-17-jre-headless openjdk-21-jre-headless; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo default-jre-headless
}

have() { command -v "$1" >/dev/null 2>&1; }

find_uv() {
    local candidate
    for candidate in "$(command -v uv || true)" "${HOME:-}/.local/bin/uv" "$PWD/.tools/uv/bin/uv"; do
        # Horovod's build needs a uv that knows extra-build-dependencies.
        if [ -x "$candidate" ] && printf '0.9\n%s\n' "$("$candidate" --version | cut -d' ' -f2)" | sort -VC; then
            echo "$candidate"
            return
        fi
    done
}

missing=()
has_java || missing+=(java)
have "${CXX:-g++}" || missing+=(compiler)
have make || missing+=(make)
have git || missing+=(git)
# uv is installed below, with pip, which compares its checksum.
if [ -z "$(find_uv)" ] && ! python3 -m pip --version >/dev/null 2>&1; then
    missing+=(python3-pip)
fi

if [ ${#missing[@]} -gt 0 ]; then
    packages=()
    for item in "${missing[@]}"; do
        case $item in
            java) packages+=(JRE) ;;
            compiler) packages+=(build-essential) ;;
            *) packages+=("$item") ;;
        esac
    done
    if have apt-get && [ "$(id -u)" = 0 ]; then
        echo "set-up: installing ${missing[*]} with apt-get"
        describe_apt() { tail -n 1 "$logs/output"; }
        run_watched describe_apt apt-get update
        DEBIAN_FRONTEND=noninteractive run_watched describe_apt apt-get install -y \
            --no-install-recommends "${packages[@]/#JRE/$(choose_jre)}"
        if ! has_java; then
            echo "set-up: Java 17 was installed, but JAVA_HOME=${JAVA_HOME:-} points to another version; unset it" >&2
            exit 1
        fi
    else
        echo "set-up: missing: ${missing[*]} (Spark needs Java 17 or newer, Horovod is compiled). Install with:" >&2
        if have apt-get; then
            echo "    sudo apt-get update && sudo apt-get install -y ${packages[*]/#JRE/$(choose_jre)}" >&2
        elif have dnf; then
            echo "    sudo dnf install -y java-17-openjdk-headless gcc-c++ make git python3-pip" >&2
        else
            echo "    (your package manager) a Java 17 runtime, g++, make, git, python3 with pip" >&2
        fi
        exit 1
    fi
fi

# --- uv: the one on PATH, or one of the project's own ---------------------------------------------
uv=$(find_uv)
if [ -z "$uv" ]; then
    echo "set-up: installing uv into .tools/uv"
    if python3 -m pip --version >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
            --target .tools/uv --only-binary :all: --require-hashes -r scripts/uv.txt
    else
        echo "set-up: uv is missing, and so is pip to install it with; see" >&2
        echo "    https://docs.astral.sh/uv/getting-started/installation/" >&2
        exit 1
    fi
    uv=$PWD/.tools/uv/bin/uv
fi

# --- the environment ------------------------------------------------------------------------------
# EXTRAS=gpu adds TensorFlow's CUDA libraries; later set-ups remember the choice.
extras=${EXTRAS-$(cat .venv/.headrace-extras 2>/dev/null || true)}
# The stamp identifies what the environment was installed from; uv syncs only if that has changed.
stamp=$( (cat pyproject.toml uv.lock scripts/setup.sh \
    pipelines/headrace/distributed/horovod_build/{pyproject.toml,*.py}; echo "$extras") | sha256sum | cut -d' ' -f1)
if [ -x .venv/bin/headrace ] && [ "$(cat .venv/.headrace-set-up 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
echo "set-up: installing the locked environment (the first time 3 to 6 minutes: Horovod is compiled)"
# Derives what uv is doing from its output, and the progress of Horovod's build from the compiler's output.
describe_uv() {
    local output=$logs/output percent
    if grep -q '^Prepared' "$output"; then
        echo "installing, and compiling byte-code"
        return
    fi
    if grep -q 'Building horovod' "$output" && ! grep -q 'Built horovod' "$output"; then
        percent=$(grep -oE '^\[ *[0-9]+%\]' "$logs/horovod" 2>/dev/null | tail -n 1 | tr -dc '0-9')
        echo "compiling Horovod${percent:+, $percent% done}"
        return
    fi
    local name left=""
    for name in $(sed -nE 's/^ *Downloading ([^ ]+).*/\1/p' "$output"); do
        grep -qE "^ *Downloaded $name\$" "$output" || left="$left $name"
    done
    echo "downloading${left:-, nearly done}"
}
export HEADRACE_BUILD_LOG=$logs/horovod
# With compiled byte-code TensorFlow starts three times as fast.
export UV_COMPILE_BYTECODE=1
# shellcheck disable=SC2086  # one word per extra
run_watched describe_uv "$uv" sync --locked ${extras:+$(printf -- '--extra %s ' $extras)}
grep -E '^(Prepared|Installed|Bytecode compiled)' "$logs/output" | sed 's/^/set-up: uv: /'
echo "$extras" >.venv/.headrace-extras
echo "$stamp" >.venv/.headrace-set-up
echo "set-up: done"
