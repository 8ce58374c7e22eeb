#!/usr/bin/env bash
# scripts/fetch-cifar10 against an archive of ours on this disk (file://): whole, resumed, corrupt, out of reach.
set -euo pipefail
fetch=$(cd "$(dirname "$0")/../.." && pwd)/scripts/fetch-cifar10
command -v curl >/dev/null || { echo "skipped: no curl" && exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }

# Batches of the right size, of zeros but for a first byte of their own.
mkdir "$work/cifar-10-batches-bin"
for i in 1 2 3 4 5 t; do
    name=data_batch_$i.bin
    [[ $i == t ]] && name=test_batch.bin
    echo "$i" >"$work/cifar-10-batches-bin/$name"
    truncate -s 30730000 "$work/cifar-10-batches-bin/$name"
done
echo airplane >"$work/cifar-10-batches-bin/batches.meta.txt"
tar -cf - -C "$work" cifar-10-batches-bin | gzip -1 >"$work/archive.tar.gz"
TRAINER_CIFAR10_SHA256=$(sha256sum <"$work/archive.tar.gz" | cut -d ' ' -f 1)
TRAINER_CIFAR10_SIZE=$(stat -c %s "$work/archive.tar.gz")
TRAINER_CIFAR10_URL=file://$work/archive.tar.gz
export TRAINER_CIFAR10_SHA256 TRAINER_CIFAR10_SIZE TRAINER_CIFAR10_URL

check_fetched() { # $1: the data folder
    diff -r "$work/cifar-10-batches-bin" "$1/cifar-10-batches-bin" || fail "$1: the batches differ"
    [[ $(ls -A "$1") == cifar-10-batches-bin ]] || fail "$1 holds more than the batches: $(ls -A "$1")"
}
check_refused() { # $1: the data folder, $2: a piece of the one line expected on stderr
    local status=0
    "$fetch" "$1" >/dev/null 2>"$work/stderr" || status=$?
    [[ $status == 1 ]] || fail "expected exit code 1, got $status"
    [[ $(wc -l <"$work/stderr") == 1 ]] || fail "expected one line, got: $(cat "$work/stderr")"
    grep -qF -e "$2" "$work/stderr" || fail "expected '$2' in: $(cat "$work/stderr")"
    [[ ! -e $1/cifar-10-batches-bin/test_batch.bin ]] || fail "$1 holds batches all the same"
}

echo "whole archive, then a second run that needs no network"
"$fetch" "$work/whole" >/dev/null
check_fetched "$work/whole"
TRAINER_CIFAR10_URL=file://$work/nowhere "$fetch" "$work/whole" >/dev/null
check_fetched "$work/whole"

echo "download that broke off: only the rest is fetched"
mkdir "$work/resumed"
head -c 1000 "$work/archive.tar.gz" >"$work/resumed/cifar-10-binary.tar.gz.part"
"$fetch" "$work/resumed" >"$work/stdout"
grep -q 'going on after 1000 bytes' "$work/stdout" || fail "did not resume"
check_fetched "$work/resumed"

echo "archive out of reach: says how to use a copy, and keeps what it has"
mkdir "$work/offline"
head -c 1000 "$work/archive.tar.gz" >"$work/offline/cifar-10-binary.tar.gz.part"
TRAINER_CIFAR10_URL=file://$work/nowhere check_refused "$work/offline" '--set data.path=DIR'
[[ $(stat -c %s "$work/offline/cifar-10-binary.tar.gz.part") == 1000 ]] || fail "the part was lost"

echo "corrupt archives, same size and shorter: removed"
{ head -c 5000 "$work/archive.tar.gz" && printf x && tail -c +5002 "$work/archive.tar.gz"; } >"$work/corrupt.tar.gz"
TRAINER_CIFAR10_URL=file://$work/corrupt.tar.gz check_refused "$work/corrupt" 'SHA-256'
[[ -z $(ls -A "$work/corrupt") ]] || fail "a corrupt archive stayed"
head -c 5000 "$work/archive.tar.gz" >"$work/short.tar.gz"
TRAINER_CIFAR10_URL=file://$work/short.tar.gz check_refused "$work/short" 'SHA-256'
[[ -z $(ls -A "$work/short") ]] || fail "a short archive stayed"

echo "folder that is there but incomplete: left as it is"
mkdir -p "$work/incomplete/cifar-10-batches-bin"
check_refused "$work/incomplete" 'data_batch_1.bin is not 30730000 bytes'
