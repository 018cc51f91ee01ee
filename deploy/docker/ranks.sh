#!/usr/bin/env bash
# Runs a command once for each rank of this pod, as torchrun would: ranks.sh COUNT COMMAND...
#
# POD_INDEX is this pod's number, PODS the number of pods with as many ranks each. When one command
# fails, the others get SIGTERM and the script ends with its exit code: a pod fails as a whole.
# Commands that were told to end are not told again when the first of them has ended. A signal that
# comes while commands are being started is passed on when the number of each is known.
set -u
early=
trap 'early=yes' TERM INT
count=$1
shift
export WORLD_SIZE=$((PODS * count)) LOCAL_WORLD_SIZE=$count

pids=()
code=0
told=
end() {
    told=yes
    kill -TERM "${pids[@]}" 2>/dev/null
}
for ((i = 0; i < count; i++)); do
    if [ -n "$early" ]; then
        code=143 # a pod that has not all of its ranks did not succeed, whatever the others say
        break
    fi
    RANK=$((POD_INDEX * count + i)) "$@" &
    pids+=($!)
done
trap end TERM INT
[ -n "$early" ] && end

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
