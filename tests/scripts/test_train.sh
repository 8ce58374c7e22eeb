#!/usr/bin/env bash
# scripts/train with stand-ins for what it calls: what it installs and runs for a config, and what it says where CIFAR-10 is
# missing.
# shellcheck disable=SC2016 # what the stand-ins run is expanded when they run
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

mkdir "$work/scripts" "$work/build" "$work/configs"
cp "$source/scripts/train" "$work/scripts/"
for program in scripts/setup scripts/build scripts/fetch-cifar10 build/trainer; do
    printf '#!/usr/bin/env bash\necho "${0##*/} $*" >>"$CALLS"\n' >"$work/$program"
    chmod +x "$work/$program"
done
export CALLS=$work/calls
unset TRAINER_BUILD

run() { # run EXPECTED_STATUS [argument of train...]: fills calls and stderr
    : >"$CALLS"
    local status=0
    (cd "$work" && scripts/train "${@:2}" </dev/null >/dev/null 2>stderr) || status=$?
    [[ $status == "$1" ]] || fail "expected exit code $1, got $status: $(cat "$work/stderr")"
}
check_calls() { diff <(printf '%s' "$1") <(sed 's/ *$//' "$CALLS") || fail "calls differ (<expected, >found)"; }
check_message() {
    [[ $(wc -l <"$work/stderr") == 1 && $(<"$work/stderr") == *"$1"* ]] || fail "message: $(<"$work/stderr")"
}

echo "data set that is a package: installed, and the arguments passed on"
printf '[experiment]\npath = no\n[data]\r\ndataset = idx ; c\r\npath = /usr/share/datasets/fashion-mnist  # c\r\n[train]\n' \
    >"$work/configs/fashion.ini"
run 0 configs/fashion.ini --set train.max_steps=3 --out 'a b'
check_calls $'setup --data=fashion-mnist\nbuild trainer\ntrainer configs/fashion.ini --set train.max_steps=3 --out a b\n'

echo "CIFAR-10, the default, missing: one line, nothing built"
printf '[train]\nmax_steps = 1\n' >"$work/configs/default.ini"
run 1 configs/default.ini
check_calls ''
check_message 'CIFAR-10 is not in data/cifar-10-batches-bin: run ./scripts/fetch-cifar10, or'
run 1 configs/fashion.ini --set data.dataset=cifar10 --set=data.path=/nowhere
check_message 'CIFAR-10 is not in /nowhere: '

echo "CIFAR-10 there: trained, from any folder"
mkdir -p "$work/data/cifar-10-batches-bin"
touch "$work/data/cifar-10-batches-bin/data_batch_1.bin"
run 0 configs/default.ini
check_calls $'setup\nbuild trainer\ntrainer configs/default.ini\n'
(cd "$work/configs" && CALLS=$work/elsewhere ../scripts/train default.ini </dev/null)
grep -qx "trainer $work/configs/default.ini *" "$work/elsewhere" || fail "from another folder: $(cat "$work/elsewhere")"
run 0 configs/default.ini --set data.path=data
run 0 configs/default.ini --set data.dataset=synthetic --set data.path=/nowhere

echo "no config: usage, or one line"
run 2 configs/nothing.ini
check_message "no config 'configs/nothing.ini'"
run 2
grep -q '^usage: scripts/train CONFIG' "$work/stderr" || fail "usage: $(cat "$work/stderr")"
