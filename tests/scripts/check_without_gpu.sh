#!/usr/bin/env bash
# A program built with CUDA, where no GPU can be seen: device = auto trains on the CPU and says why; device = cuda, and what
# only a GPU can do, is refused in one line with exit code 2.
#
# usage: check_without_gpu.sh TRAINER
set -euo pipefail
trainer=$1
export CUDA_VISIBLE_DEVICES=
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2 && exit 1; }

cat >"$work/tiny.ini" <<'INI'
[data]
dataset = synthetic
synthetic_train = 64
synthetic_test = 16
[model]
hidden = 8
[train]
max_steps = 4
batch_size = 16
eval_freq = 2
INI

run() { rm -rf "$work/out" && status=0 && "$trainer" train "$work/tiny.ini" --out "$work/out" "$@" >"$work/stdout" 2>"$work/stderr" || status=$?; }

run --set backend.device=auto
[[ $status == 0 ]] || fail "auto: exit code $status: $(cat "$work/stderr")"
grep -qE 'cpu.*\(.*(no NVIDIA driver|no CUDA device)' "$work/stdout" "$work/stderr" || fail "auto does not say why it takes the CPU"

refused() { # KEY VALUE...
    run "${@:2}"
    [[ $status == 2 ]] || fail "${*:2}: exit code $status"
    [[ $(wc -l <"$work/stderr") == 1 ]] || fail "${*:2}: not one line: $(cat "$work/stderr")"
    grep -q "$1" "$work/stderr" || fail "${*:2}: $(cat "$work/stderr")"
    cat "$work/stderr"
}
refused 'backend.device: no CUDA' --set backend.device=cuda
"$trainer" summary "$work/tiny.ini" --ops --set backend.device=cuda | grep -q 'launches move' || fail "summary --ops counts no launches"
refused 'backend.precision: tf32 needs a CUDA device' --set backend.precision=tf32
refused 'model.batchnorm: cudnn needs a CUDA device' --set model.batchnorm=cudnn
