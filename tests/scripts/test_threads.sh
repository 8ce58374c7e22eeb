#!/usr/bin/env bash
# The program with several threads: the numbers of a run are those of one thread, to the last digit, and those of a sweep
# do not depend on its jobs, nor those of pictures on the cores that read them. Built with ThreadSanitizer
# (scripts/check-threads) it also finds what is not synchronised.
# usage: test_threads.sh BUILD
set -euo pipefail
program=$(readlink -f "$1/trainer")
hands=$(cd "$(dirname "$0")/../fixtures/sign-digits" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2 && exit 1; }
trainer() { PATH=/nowhere "$program" "$@" 2>stderr || fail "$*: exit code $?: $(tail -40 stderr)"; }

cat >net.ini <<'EOF'
[data]
dataset = synthetic
synthetic_train = 50
synthetic_test = 23
synthetic_classes = 5
synthetic_size = 9
validation_size = 7
[model]
kind = convnet
features = 6, M, 17, A
hidden = 19
batchnorm = custom
dropout = 0.1
[optimizer]
name = adam
learning_rate = 1e-3
[train]
max_steps = 6
batch_size = 16
eval_freq = 3
[backend]
device = cpu
EOF
{ sed '/^hidden/d' net.ini && printf '[sweep]\nmodel.hidden = 7 | 19 | 7, 19\nmodel.activation = relu | elu\n'; } >sweep.ini

numbers() { sed 's/,[^,]*$//' "$1" | sort; } # without the seconds

for variation in "" "--set model.batchnorm=autodiff" "--set model.loss=separate --set backend.precision=fp64"; do
    for threads in 1 2 5; do
        # shellcheck disable=SC2086 # the variation is a list of words
        trainer net.ini --quiet --overwrite --out "run$threads" --set backend.threads=$threads $variation
        numbers "run$threads/metrics.csv" >"numbers$threads"
    done
    [[ $(wc -l <numbers1) == 3 ]] || fail "$variation: $(<numbers1)"
    cmp numbers1 numbers2 && cmp numbers1 numbers5 || fail "$variation: the number of threads changes the numbers"
done
echo "runs with 1, 2 and 5 threads: the same numbers"
cat >hands.ini <<EOF
[data]
dataset = folder
path = $hands
image_size = 9
[train]
max_steps = 6
batch_size = 16
eval_freq = 3
EOF
read_hands() { # with the command that the words before the program make
    PATH=/nowhere "$@" "$program" hands.ini --quiet --overwrite --out hands 2>stderr || fail "pictures: $(tail -40 stderr)"
    numbers hands/metrics.csv
}
if ldd "$program" | grep -q libjpeg; then
    core=$(taskset -pc $$ | sed 's/.*: \([0-9]*\).*/\1/')
    read_hands >all
    read_hands "$(command -v taskset)" -c "$core" >one
    cmp all one || fail "the number of cores changes the pictures"
    echo "pictures read by all cores and by one: the same numbers"
fi
for jobs in 1 4; do
    trainer sweep sweep.ini --quiet --out "sweep$jobs" --set sweep.jobs=$jobs
    numbers "sweep$jobs/results.csv" >"trials$jobs"
done
[[ $(wc -l <trials1) == 7 ]] || fail "$(<trials1)"
cmp trials1 trials4 || fail "the number of jobs changes the trials"
echo "sweeps with 1 and 4 jobs: the same numbers"
