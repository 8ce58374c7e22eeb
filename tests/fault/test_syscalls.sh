#!/usr/bin/env bash
# Makes every system call of a small run that concerns its files or its output fail once.
# usage: test_syscalls.sh PROGRAM
# Exit code 77: strace is not there, or may not trace here.
source "$(dirname "$0")/common.bash"
command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null || {
    echo "skipped: strace is not there, or may not trace here"
    exit 77
}

# call=error. unlink is not in the list: where it fails, a part must stay.
faults=(openat=EACCES openat=EMFILE read=EIO write=ENOSPC write=EDQUOT fsync=EIO rename=EIO close=EIO mkdir=ENOSPC
    flock=ENOLCK ftruncate=EIO pread64=EIO newfstatat=EIO fstat=EIO)

run() { # run [option of strace...]: fills code
    rm -rf out
    code=0
    # shellcheck disable=SC2086 # the case is a list of words
    PATH=$PATH_WITHOUT_GNUPLOT timeout 60 "$strace" -f -y -o trace "$@" "$program" ${cases[$name]} >stdout 2>stderr ||
        code=$?
}
strace=$(command -v strace)
timeout=$(command -v timeout)
timeout() { "$timeout" "$@"; }

# ours CALL: prints the ordinals, in their thread, of the calls that name a file of the case or an output.
ours() {
    awk -v call="$1" -v work="$work" '
        index($0, " " call "(") == 0 { next }
        { n[$1]++ }
        index($0, work) || /\("?(out|data|train\.ini|sweep\.ini)/ || / (write)\(1</ { if (!($0 ~ /stderr>/)) print n[$1] }
    ' trace | sort -nu
}

for name in "${!cases[@]}"; do
    what="$name"
    run -e trace=openat,read,write,fsync,rename,close,mkdir,flock,ftruncate,pread64,newfstatat,fstat
    [[ $code == 0 ]] || fail "$name without a fault: $(<stderr)"
    rm -rf good && mv out good && mv trace whole
    count=0 ended=0
    for fault in "${faults[@]}"; do
        call=${fault%=*}
        cp whole trace
        for at in $(ours "$call"); do
            what="$name, $call number $at: ${fault#*=}"
            run -e trace="$call" -e inject="$call:error=${fault#*=}:when=$at"
            # Each thread counts its own calls, so a call of a worker can be one of the loader in the first thread.
            ! grep -q 'error while loading shared libraries' stderr || continue
            # When a worker does all trials, the first thread's call of that number may write the line about its error.
            ! grep -q ' write(2<.*(INJECTED)' trace || continue
            check_end "$code"
            check_tables
            count=$((count + 1))
            [[ $code == 0 ]] || ended=$((ended + 1))
        done
    done
    ((ended > 15)) || fail "$name: only $ended of $count faults had a consequence"
    echo "$name: $count calls failed, $ended runs ended with a line, the others did without"
done
