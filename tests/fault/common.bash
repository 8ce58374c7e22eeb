# The fault tests share the cases, each a small run of the program, and the checks that must hold after a fault in one.
# Sourced with $1 = the program.
set -euo pipefail
program=$(readlink -f "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
PATH_WITHOUT_GNUPLOT=/nowhere # its pictures take longer than all the rest; a missing gnuplot is a warning

fail() { echo "FAILED: $*" >&2 && exit 1; }

cat >train.ini <<'EOF'
[data]
dataset = idx
path = data
[model]
hidden = 5
batchnorm = custom
dropout = 0.1
[optimizer]
name = adam
[train]
max_steps = 4
eval_freq = 2
batch_size = 2
[backend]
device = cpu
threads = 1
EOF
cat >sweep.ini <<'EOF'
[data]
dataset = synthetic
synthetic_train = 20
synthetic_test = 10
synthetic_classes = 2
synthetic_size = 3
[train]
max_steps = 2
batch_size = 4
[backend]
device = cpu
[sweep]
model.hidden = 7 | 19
rank_by = test
jobs = 2
EOF
bytes() { printf "$(printf '\\x%02x' "$@")"; }
mkdir data
{ bytes 0 0 8 3 0 0 0 4 0 0 0 2 0 0 0 2 && bytes {1..16}; } | gzip >data/train-images-idx3-ubyte.gz
{ bytes 0 0 8 1 0 0 0 4 && bytes 0 1 2 1; } | gzip >data/train-labels-idx1-ubyte.gz
{ bytes 0 0 8 3 0 0 0 2 0 0 0 2 0 0 0 2 && bytes {1..8}; } >data/t10k-images-idx3-ubyte
{ bytes 0 0 8 1 0 0 0 2 && bytes 2 0; } >data/t10k-labels-idx1-ubyte

declare -A cases=([train]="train train.ini --out out" [sweep]="sweep sweep.ini --out out")

# check_end CODE: checks out, stdout and stderr after a run with a fault.
check_end() {
    local code=$1 lines last
    lines=$(wc -l <stderr)
    last=$(tail -1 stderr)
    [[ $code == 0 || $code == 1 || $code == 2 ]] || fail "$what: exit code $code: $(<stderr)"
    if [[ $code == 0 ]]; then
        local known="trainer: no picture of |: this file system has no locks "
        [[ $lines == $(grep -cE "$known" stderr) ]] || fail "$what: success, and: $(<stderr)"
    else
        [[ $lines == 1 || ($lines == 2 && $(head -1 stderr) == "trainer: no picture of "*) ]] ||
            fail "$what: not one line: $(<stderr)"
        [[ $last == "trainer: "* && ${#last} -gt 20 ]] || fail "$what: not a clear line: $last"
    fi
    [[ ! -d out ]] || [[ -z $(find out -name '*.part*' -o -name '*.tmp*') ]] || fail "$what: left: $(find out)"
}

# Checks that every line of a table is whole: it begins like one of the run without a fault, and it ends.
check_tables() {
    local table
    for table in metrics.csv results.csv; do
        [[ -s out/$table ]] || continue
        [[ $(tail -c 1 out/$table | od -An -tx1) == " 0a" ]] || fail "$what: out/$table is cut off"
        sed 's/,[^,]*$//' out/$table | sort >found
        sed 's/,[^,]*$//' "good/$table" | sort | comm -13 - found >new
        [[ ! -s new ]] || fail "$what: out/$table has lines of its own: $(<new)"
    done
}
