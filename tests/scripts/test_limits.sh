#!/usr/bin/env bash
# A run that does not fit into the memory limit of the process's control group ends with a line, and is not killed. A file
# with another limit is laid over the group's own one, seen only by the processes that this script starts; where the system
# does not allow that, the test is skipped.
# usage: test_limits.sh BUILD
set -euo pipefail
program=$(readlink -f "$1/trainer")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2 && exit 1; }
skip() { echo "skipped: $*" && exit 77; }

# Prints the file of the group that holds the process, or of the nearest group above it that has one.
limit_file() { # limit_file MOUNT-POINT NAME GROUP
    local group=$3
    while [[ ! -e $1$group/$2 && -n $group ]]; do group=${group%/*}; done
    [[ ! -e $1$group/$2 ]] || echo "$1$group/$2"
}
v2=$(awk '$0 ~ / - cgroup2 / {print $5; exit}' /proc/self/mountinfo)
v1=$(awk '$0 ~ / - cgroup / && $NF ~ /(^|,)memory(,|$)/ {print $5; exit}' /proc/self/mountinfo)
file=
[[ -z $v2 ]] || file=$(limit_file "$v2" memory.max "$(sed -n 's/^0:://p' /proc/self/cgroup)")
[[ -n $file || -z $v1 ]] ||
    file=$(limit_file "$v1" memory.limit_in_bytes "$(sed -n 's/^[0-9]*:\([^:]*,\)*memory\(,[^:]*\)*://p' /proc/self/cgroup)")
[[ -n $file ]] || skip "no memory limit of a control group is visible"

# The mounts are private to the namespace. What swap space there is does not count.
limited() { # limited BYTES COMMAND...: fills code
    echo "$1" >limit && echo 0 >none
    code=0
    unshare "${flags[@]}" bash -c 'mount --bind limit "$0" || exit 99
        for swap in "${0%/*}"/memory.swap.max "${0%/*}"/memory.memsw.limit_in_bytes; do
            [[ ! -e $swap ]] || mount --bind "$([[ $swap == *memsw* ]] && echo limit || echo none)" "$swap" || exit 99
        done
        exec "$@"' "$file" "${@:2}" >stdout 2>stderr || code=$?
}
for flags in "-m" "-rm"; do
    flags=("$flags")
    limited 1000000000 true
    [[ $code != 0 ]] || break
done
[[ $code == 0 ]] || skip "no mount namespace: $(<stderr)"

cat >net.ini <<'EOT'
[data]
dataset = synthetic
synthetic_train = 100
synthetic_test = 20
synthetic_size = 32
[model]
kind = mlp
hidden = 10
[train]
max_steps = 2
batch_size = 10
eval_freq = 2
[backend]
device = cpu
EOT
expect() { # expect CODE TEXT ARGUMENTS...
    limited 200000000 "$program" net.ini --quiet --overwrite --out run "${@:3}"
    [[ $code == "$1" ]] || fail "${*:3}: exit code $code, expected $1: $(<stderr)"
    [[ $(wc -l <stderr) == $(($1 > 0)) ]] || fail "${*:3}: expected one line, found $(<stderr)"
    grep -q "$2" stderr || [[ $1 == 0 ]] || fail "${*:3}: expected '$2', found $(<stderr)"
}
expect 0 ""
expect 1 "out of memory: .* do not fit into the 190.7 MiB that this process may use" --set data.synthetic_train=100000
expect 2 "model.hidden: .* expected at most the 190 MiB that the process may use" --set model.hidden=20000
echo "a limit of 200 MB: runs that do not fit end with a line"
