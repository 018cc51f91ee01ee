#!/usr/bin/env bash
# Evaluates the newest model of a recipe and makes it the champion if it passed: judge.sh RECIPE...
#
# A failed gate (exit code 3) keeps the present champion, and is no failure: later stages use that
# champion.
set -u
headrace evaluate "$@" && headrace promote "$@"
code=$?
[ "$code" -eq 3 ] || exit "$code"
echo "judge.sh: a gate failed; the champion stays" >&2
