#!/usr/bin/env bash
# Evaluates the newest model of a recipe and makes it the champion, if it passed: judge.sh RECIPE...
#
# A gate that failed (exit code 3) leaves the champion that there is, and is no failure: what comes
# afterwards is done with that one.
set -u
headrace evaluate "$@" && headrace promote "$@"
code=$?
[ "$code" -eq 3 ] || exit "$code"
echo "judge.sh: a gate failed; the champion stays" >&2
