#!/usr/bin/env bash
# Refuses requests for memory of a small run, once alone, and once with all after it.
# usage: [FAULT_STEP=N] test_memory.sh PROGRAM SHIM
#   FAULT_STEP  every Nth request; 1 takes a minute of a core. Default: 7
step=${FAULT_STEP:-7}
shim=$(readlink -f "$2")
source "$(dirname "$0")/common.bash"

run() { # run [VARIABLE=VALUE...]: fills code
    rm -rf out
    code=0
    # shellcheck disable=SC2086 # the case is a list of words
    timeout 60 env PATH=$PATH_WITHOUT_GNUPLOT "$@" LD_PRELOAD="$shim" "$program" ${cases[$name]} >stdout 2>stderr ||
        code=$?
}

for name in "${!cases[@]}"; do
    what="$name"
    run FAULT_COUNT=count
    [[ $code == 0 ]] || fail "$name without a fault: $(<stderr)"
    rm -rf good && mv out good
    requests=$(<count)
    ((requests > 50)) || fail "$name: only $requests requests: the shim does not see them"
    refused=0
    for ((at = 1; at <= requests + step; at += step)); do
        for on in '' FAULT_ON=1; do
            what="$name, request $at $on"
            run FAULT_AT=$at ${on:+"$on"}
            check_end "$code"
            check_tables
            [[ $code == 0 ]] || refused=$((refused + 1))
        done
    done
    ((refused * step > requests)) || fail "$name: $refused of $requests faults had a consequence"
    echo "$name: $requests requests, every ${step}th refused alone and with all after it: $refused runs ended with a line"
done
