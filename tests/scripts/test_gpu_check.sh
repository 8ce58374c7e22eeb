#!/usr/bin/env bash
# scripts/gpu-check without a GPU: its limits fit into the time that a machine is lent for; a dry run goes through every
# stage, with stand-ins for NVIDIA's programs and PyTorch; a machine without a GPU is told what it lacks.
#
# usage: test_gpu_check.sh BUILD
# shellcheck disable=SC2016 # what the stand-ins run is expanded when they run
set -euo pipefail
build=$(cd "$1" && pwd)
check=$(cd "$(dirname "$0")/../.." && pwd)/scripts/gpu-check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

echo "the limits of all stages fit into 28 minutes"
"$check" --limits >"$work/limits"
[[ $(wc -l <"$work/limits") -gt 8 ]] || fail "stages: $(cat "$work/limits")"
sum=$(awk '{ sum += $2 } END { print sum }' "$work/limits")
((sum > 0 && sum <= 28 * 60)) || fail "the limits are $sum s in sum"

mkdir "$work/bin"
stand_in() { { echo '#!/usr/bin/env bash' && cat; } >"$work/bin/$1" && chmod +x "$work/bin/$1"; }
export CALLS=$work/calls PATH=$work/bin:$PATH
stand_in nvidia-smi <<'SH'
case $* in
-L) echo 'GPU 0: NVIDIA Stand-In (UUID: GPU-0)' ;;
*compute_cap,clocks*) printf 'name, driver_version\nNVIDIA Stand-In, 580.82.07\n' ;;
*) echo 'NVIDIA Stand-In, 580.82.07' ;;
esac
SH
stand_in compute-sanitizer <<'SH'
[[ $1 != --version ]] || exit 0
echo "compute-sanitizer $*" >>"$CALLS"
while [[ $1 == --* ]]; do shift 2; done
"$@"
echo '========= ERROR SUMMARY: 0 errors'
SH
stand_in nsys <<'SH'
echo "nsys $*" >>"$CALLS"
if [[ $1 == profile ]]; then
    shift
    while [[ $1 == --* ]]; do shift; [[ $1 == */timeline-* ]] && shift; done
    exit
fi
cat <<'CSV'
Processing
Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name
60.0,1200000,400,3000.0,2500.0,1,2,3.0,"void conv<float, (int)2>(T1 *)"
30.0,400000,200,2000.0,2000.0,1,2,3.0,adam_kernel
10.0,99000,99,1000.0,1000.0,1,2,3.0,a candidate that lost
CSV
SH
# Open MPI leaves memory behind when a process ends, which is no finding where the program is built with a sanitizer.
if mpirun=$(command -v mpirun); then
    printf 'ASAN_OPTIONS=detect_leaks=0 exec "%s" "$@"\n' "$mpirun" | stand_in mpirun
fi
cat >"$work/python" <<'SH'
#!/usr/bin/env bash
[[ $1 == -c ]] && exit
echo "python ${*##*/}" >>"$CALLS"
while [[ $1 != --out ]]; do shift; done
printf '| config | precision | phase | batch | a | b | ratio | x |\n|---|\n| convnet | bf16 | training | 32 | 9 | 3 | 3.00 | eager |\n' |
    tee "$2"
SH
chmod +x "$work/python"

run() { # run STATUS [ARGUMENT...]: fills out; the report lies in $work/gpu
    local status=0
    TRAINER_TORCH_PYTHON=$work/python "$check" --folder "$work/gpu" "${@:2}" >"$work/out" 2>&1 || status=$?
    [[ $status == "$1" ]] || fail "exit code $status: $(cat "$work/out" "$work"/gpu/results/*.log)"
}
has() { grep -qF -- "$1" "$work/gpu/gpu-check.md" || fail "the report lacks '$1': $(cat "$work/gpu/gpu-check.md")"; }

echo "a dry run goes through every stage"
run 0 --dry-run "$build"
while read -r stage _; do
    [[ $stage == report ]] || grep -q "^$stage  *passed" "$work/out" || fail "$stage: $(cat "$work/out")"
done <"$work/limits"
has 'A dry run: nothing here is about a GPU.'
has '| machine | GPU | NVIDIA Stand-In, 580.82.07 |'
has '| tests | passed | 100% tests passed'
has '| timeline | mlp_numpy bf16, kernels of a step | 3 |'
has '| timeline | mlp_numpy bf16, kernels of a step together, us | 7.0 |'
has '| 5.00 | 2 | 2.50 | void conv<float, (int)2>(T1 *) |'
has '| memcheck | SOFTMAX | ERROR SUMMARY: 0 errors |'
has "| pytorch | convnet, times the images of PyTorch's best | 3.00 |"
! grep -q 'candidate that lost' "$work/gpu/gpu-check.md" || fail "the timeline has a kernel that is none of a step"
[[ $(grep -c '^| train | .* us a step | [0-9.]* |$' "$work/gpu/gpu-check.md") == 2 ]] || fail "train: $(grep '| train' "$work/gpu/gpu-check.md")"
has '| train | mlp_numpy bf16, one stream, evaluations of 128, us a step |'
has '| train | mlp_numpy bf16, one stream, evaluations of 128, images/s of an evaluation |'

echo "one rank and two end with the same bytes"
if [[ -e $build/trainer_mpi.so ]] && command -v mpirun >/dev/null; then
    run 0 --dry-run "$build" ranks
    has '| 1 | host | yes |'
    has '| 2 | host | yes |'
    has '| ranks | 2 rank(s), exchange = host, us a step |'
fi

echo "the sanitizer watches our kernels alone, and looks neither for leaks nor for memory that was not set"
[[ $(grep -o 'kns=' <<<"$(grep -m1 memcheck "$CALLS")" | wc -l) -gt 20 ]] || fail "filters: $(grep -m1 memcheck "$CALLS")"
! grep -qE 'initcheck|leak-check' "$CALLS" || fail "$(grep -E 'initcheck|leak-check' "$CALLS")"

echo "without nsys the program itself times its operations"
rm "$work/bin/nsys"
if ! command -v nsys >/dev/null; then
    run 0 --dry-run "$build" timeline
    has 'all operations'
    grep -qE '^\| timeline \| mlp_numpy fp32, operations of a step, us \| [0-9.]+ \|$' "$work/gpu/gpu-check.md" || fail "operations"
fi

echo "a stage that fails, or takes too long, is named and ends the check with 1"
stand_in compute-sanitizer <<<'echo "========= ERROR SUMMARY: 2 errors"; exit 99'
run 1 --dry-run "$build" memcheck machine
has '| memcheck | outcome | FAILED (99)'
grep -q '^machine  *passed' "$work/out" || fail "a stage after the one that fails: $(cat "$work/out")"
stand_in compute-sanitizer <<<'sleep 60'
run 1 --dry-run "$build" --limit 1 racecheck
has '| racecheck | outcome | stopped after 1 s'

echo "a machine without a GPU: skipped, with the reason"
stand_in nvidia-smi <<<'exit 9'
rm "$work/bin/compute-sanitizer"
run 0 --folder "$work/none" machine
grep -q '^machine  *skipped: there is no NVIDIA GPU' "$work/out" || fail "$(cat "$work/out")"
run 1 nonsense
grep -q "unknown stage 'nonsense'" "$work/out" || fail "$(cat "$work/out")"
