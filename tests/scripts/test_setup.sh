#!/usr/bin/env bash
# scripts/setup as root, through sudo and without it, on a machine that exists only as a folder of stand-ins for its
# programs: what it would install, and that it asks for nothing where nothing is missing.
# shellcheck disable=SC2016 # what the stand-ins run is expanded when they run
set -euo pipefail
setup=$(cd "$(dirname "$0")/../.." && pwd)/scripts/setup
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

mkdir "$work/bin"
for program in bash cat env grep mktemp rm sed uname; do ln -s "$(command -v $program)" "$work/bin/"; done
stand_in() { # $1: a program's name; its lines come from stdin
    { echo '#!/usr/bin/env bash' && cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
stand_in dpkg-query <<<'for name in $INSTALLED; do echo "ii $name"; done'
stand_in apt-get <<<'printf "%s " "$@" | sed "s/ *-o [^ ]*//g; s/$/\n/" >>"$CALLS"; [[ $* != *"${BROKEN:-nothing}"* ]]'
stand_in apt-cache <<<'echo "  Depends: clang-14"'
stand_in id <<<'echo "$USER_ID"'
export CALLS=$work/calls

run() { # run USER_ID INSTALLED [argument of setup...]: fills calls, stdout, stderr and status
    : >"$CALLS"
    status=0
    PATH=$work/bin USER_ID=$1 INSTALLED=$2 "$setup" "${@:3}" >"$work/stdout" 2>"$work/stderr" || status=$?
}
check_calls() { diff <(printf '%s' "$1") <(sed 's/ *$//' "$CALLS") || fail "calls of apt-get differ (<expected, >found)"; }

build='gcc libc6-dev cmake ninja-build pkg-config libinih-dev libjansson-dev libssl-dev zlib1g-dev gnuplot-nox'
build+=' libprotobuf-c-dev protobuf-c-compiler libpng-dev libjpeg-dev libexif-dev libzip-dev'

echo "nothing missing: nothing asked for"
run 0 "$build" && check_calls ''
[[ $status == 0 && ! -s $work/stdout && ! -s $work/stderr ]] || fail "status $status: $(cat "$work/stdout" "$work/stderr")"

echo "as root: only what is missing"
run 0 "${build/libinih-dev /}"
check_calls $'-qq update\n-qq install --no-install-recommends libinih-dev\n'
run 0 "$build" --data=fashion-mnist
check_calls $'-qq update\n-qq install --no-install-recommends dataset-fashion-mnist\n'

echo "with --pytorch: what makes virtual environments"
run 0 "$build python3" --pytorch
check_calls $'-qq update\n-qq install --no-install-recommends python3-venv\n'

echo "with --tests: clang with the sanitizers of its version"
run 0 "$build g++ clang curl ca-certificates zsh strace dpkg-dev groff-base libopenmpi-dev openmpi-bin" --tests
check_calls $'-qq update\n-qq install --no-install-recommends libcriterion-dev libclang-rt-14-dev\n'

echo "an installation that fails: says so"
BROKEN=install run 0 ''
[[ $status == 1 ]] || fail "status $status"
grep -q '^setup: could not install gcc' "$work/stderr" || fail "message: $(cat "$work/stderr")"

echo "as a user without sudo: one line that names the packages"
run 1000 "${build/libinih-dev libjansson-dev libssl-dev zlib1g-dev /}"
check_calls ''
[[ $status == 1 && $(wc -l <"$work/stderr") == 1 ]] || fail "status $status: $(cat "$work/stderr")"
grep -q 'libinih-dev libjansson-dev libssl-dev zlib1g-dev$' "$work/stderr" || fail "message: $(cat "$work/stderr")"

echo "as a user with sudo: through it"
stand_in sudo <<<'echo "sudo" >>"$CALLS"; "$@"'
run 1000 "${build/libinih-dev /}"
check_calls $'sudo\n-qq update\nsudo\n-qq install --no-install-recommends libinih-dev\n'
