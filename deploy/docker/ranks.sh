#!/usr/bin/env bash
# Runs a command once for each rank of this pod, as torchrun would: ranks.sh COUNT COMMAND...
#
# POD_INDEX is this pod's number, PODS the number of pods with as many ranks each. When one command
# fails, the others get SIGTERM and the script ends with its exit code: a pod fails as a whole.
# Commands that were told to end are not told again when the first of them has ended.
set -u
count=$1
shift
export WORLD_SIZE=$((PODS * count)) LOCAL_WORLD_SIZE=$count

pids=()
told=
end() {
    told=yes
    kill -TERM "${pids[@]}" 2>/dev/null
}
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
        [ "$status" -eq 127 ] && exit "$code" # no child is left; otherwise a signal interrupted the wait
    elif [ "$status" -ne 0 ] && [ "$code" -eq 0 ]; then
        code=$status
        [ -z "$told" ] && end
    fi
done
