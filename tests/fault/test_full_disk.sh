#!/usr/bin/env bash
# Small runs on disks of 1, 2, 3 ... pages, until one is large enough: real file systems in memory, really full.
# usage: test_full_disk.sh PROGRAM
# Exit code 77: file systems may not be mounted here.
source "$(dirname "$0")/common.bash"
space=(unshare --user --map-root-user --mount)
[[ $(id -u) != 0 ]] || space=(unshare --mount)
mkdir disk
command -v unshare >/dev/null && "${space[@]}" mount -t tmpfs -o size=4k none disk 2>/dev/null || {
    echo "skipped: file systems may not be mounted here"
    exit 77
}

# run BYTES: runs the case on a new disk and copies its files; fills code.
run() {
    rm -rf out
    code=0
    # shellcheck disable=SC2016,SC2086 # expanded by the shell inside; the case is a list of words
    "${space[@]}" bash -c 'mount -t tmpfs -o size='"$1"' none disk || exit 99
        program=$1 && shift
        PATH='"$PATH_WITHOUT_GNUPLOT"' "$program" "$@" >stdout 2>stderr
        code=$?
        [[ ! -d disk/out ]] || cp -r disk/out out
        exit $code' bash "$program" ${cases[$name]/--out out/--out disk/out} || code=$?
    [[ $code != 99 ]] || fail "mount"
}

for name in "${!cases[@]}"; do
    what="$name"
    run 64m
    [[ $code == 0 ]] || fail "$name on a disk that is large enough: $(<stderr)"
    rm -rf good && mv out good
    full=0
    for ((pages = 1; pages < 400; pages++)); do
        what="$name on $pages pages"
        run $((pages * 4096))
        check_end "$code"
        check_tables
        [[ $code != 0 ]] || break
        [[ $code == 1 && $(tail -1 stderr) == *"No space left on device"* ]] || fail "$what: $(<stderr)"
        full=$((full + 1))
    done
    ((code == 0 && full > 0)) || fail "$name: $full full disks, then exit code $code"
    echo "$name: $full full disks, each told with path and cause, nothing half-written left"
done
