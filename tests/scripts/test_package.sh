#!/usr/bin/env bash
# The Debian packages that CPack makes, unpacked (not installed) and used from there.
#
# usage: test_package.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
for program in cpack dpkg-deb dpkg-shlibdeps; do
    command -v $program >/dev/null || { echo "skipped: $program is not installed" && exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

echo "made"
cpack --config "$build/CPackConfig.cmake" -B "$work/made" >"$work/log" 2>&1 || fail "cpack: $(cat "$work/log")"
program=$(echo "$work"/made/trainer_*.deb) development=$(echo "$work"/made/trainer-dev_*.deb)
[[ -e $program && -e $development ]] || fail "packages: $(ls "$work/made")"

echo "what they need was found in the program"
depends=$(dpkg-deb -f "$program" Depends)
[[ $depends == *libc6* && $depends == *libinih1* && $depends == *zlib1g* ]] || fail "Depends: $depends"
[[ $(dpkg-deb -f "$development" Depends) == *libinih-dev* ]] || fail "Depends: $(dpkg-deb -f "$development" Depends)"

if [[ -e $build/trainer_mpi.so ]]; then
    echo "MPI is needed by a package of its own"
    mpi=$(echo "$work"/made/trainer-mpi_*.deb)
    [[ -e $mpi ]] || fail "packages: $(ls "$work/made")"
    [[ $depends != *mpi* ]] || fail "Depends: $depends"
    depends=$(dpkg-deb -f "$mpi" Depends)
    [[ $depends == *libopenmpi* && $depends == *"trainer (= "* ]] || fail "Depends: $depends"
    dpkg-deb -x "$mpi" "$work/root"
    [[ -e $work/root/usr/lib/trainer/trainer_mpi.so ]] || fail "no module: $(dpkg-deb -c "$mpi")"
fi

echo "unpacked, the program runs"
dpkg-deb -x "$program" "$work/root" && dpkg-deb -x "$development" "$work/root"
[[ $("$work/root/usr/bin/trainer" --version) == "trainer $(dpkg-deb -f "$program" Version)" ]] || fail "version"
for file in bin/trainer share/man/man1/trainer.1 share/man/man5/trainer-config.5 share/doc/trainer/copyright \
    share/bash-completion/completions/trainer share/zsh/vendor-completions/_trainer share/trainer/configs/mlp.ini \
    include/trainer/run.h; do
    [[ -e $work/root/usr/$file ]] || fail "$file is in neither package: $(dpkg-deb -c "$program")"
done
"$work/root/usr/bin/trainer" config "$work/root/usr/share/trainer/configs/mlp.ini" | grep -q '^max_steps' || fail "config"
[[ ! -e $build/trainer_mpi.so ]] || "$work/root/usr/bin/trainer" doctor | grep -q 'MPI  *Open MPI' ||
    fail "the unpacked program does not find MPI: $("$work/root/usr/bin/trainer" doctor)"
