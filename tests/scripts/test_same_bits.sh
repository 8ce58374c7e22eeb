#!/usr/bin/env bash
# scripts/same-bits: a build has the bits of itself, and a difference is found in runs and in machine code.
#
# usage: test_same_bits.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
command -v python3 >/dev/null && command -v objdump >/dev/null || { echo "no Python 3 or no objdump" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

cat >"$work/net.ini" <<'EOF2'
[model]
hidden = 20
[train]
batch_size = 16
EOF2
same_bits() { "$source/scripts/same-bits" "$@" --config "$work/net.ini" --quick --jobs 2; }

same_bits "$build" "$build" >"$work/out" || fail "a build differs from itself: $(cat "$work/out")"
grep -q '^runs: 4 combinations, 0 differ$' "$work/out" || fail "unexpected: $(cat "$work/out")"

! same_bits "$build" "$build" --new optimizer.learning_rate=3e-3 >"$work/out" || fail "another learning rate was not found"
grep -q 'values differ, first: ' "$work/out" || fail "unexpected: $(cat "$work/out")"

kernel=CMakeFiles/cpu_f32_portable.dir/src/backend/cpu/cpu_pool.c.o
for name in one other; do
    mkdir -p "$work/$name/$(dirname $kernel)" && cp "$build/trainer" "$work/$name/"
done
cp "$build/$kernel" "$work/one/$kernel"
cp "$build/${kernel/f32/f64}" "$work/other/$kernel"
! same_bits "$work/one" "$work/other" --no-runs --code >"$work/out" || fail "other machine code was not found"
grep -q '^code: changed: f32_portable pool_rows$' "$work/out" || fail "unexpected: $(cat "$work/out")"
