#!/usr/bin/env bash
# Runs a command once for each rank of this pod, as torchrun would: ranks.sh COUNT COMMAND...
#
# POD_INDEX and PODS say which pod this is, and of how many that have as many ranks. When one command
# fails the others are told to end, and its exit code is this script's: pods fail as a whole.
set -u
count=$1
shift
export WORLD_SIZE=$((PODS * count)) LOCAL_WORLD_SIZE=$count

pids=()
end() { kill -TERM "${pids[@]}" 2>/dev/null; }
trap end TERM INT
for ((i = 0; i < count; i++)); do
    RANK=$((POD_INDEX * count + i)) "$@" &
    pids+=($!)
done

code=0
while true; do
    wait -n -p ended
    status=$?
    if [ -z "${ended:-}" ]; then
        [ "$status" -eq 127 ] && exit "$code" # none is left; else a signal came in between
    elif [ "$status" -ne 0 ] && [ "$code" -eq 0 ]; then
        code=$status
        end
    fi
done
