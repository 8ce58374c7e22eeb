#!/usr/bin/env bash
# scripts/check-reliability with a few signals: it passes with the program, and fails with one that loses something.
#
# usage: test_check_reliability.sh BUILD
set -euo pipefail
trainer=$(cd "$1" && pwd)/trainer
check=$(cd "$(dirname "$0")/../.." && pwd)/scripts/check-reliability
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && cat "$work/out" >&2 && exit 1; }

status=0
run() { status=0 && "$check" "$@" >"$work/out" 2>&1 || status=$?; }

run --kills=2 --terms=1 --seed=5 "$trainer"
[[ $status == 0 ]] || fail "exit code $status"
grep -q '^SIGKILL: 2 signals' "$work/out" && grep -q '^SIGTERM: 1 signals' "$work/out" || fail "counts"

# A program whose runs go on as other ones than they began.
printf '#!%s\n[[ $* != *--resume* ]] || set -- "$@" --set checkpoint.keep=4\nexec "%s" "$@"\n' "$BASH" "$trainer" >"$work/trainer"
chmod +x "$work/trainer"
run --kills=1 --terms=0 --seed=5 "$work/trainer"
[[ $status == 1 ]] || fail "another config: exit code $status"
grep -q 'other bytes: [1-9]' "$work/out" || fail "another config is not counted"

run --klls=1
[[ $status == 2 ]] || fail "a wrong argument: exit code $status"
