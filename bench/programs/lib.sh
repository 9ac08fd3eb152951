# shellcheck shell=bash
# Shell functions for the programs beside it. scripts/bench starts a program in an empty folder, with the amount of work as
# its last argument, and sets:
#   HM_LIBRARY          library to preload, empty for glibc's allocator
#   HM_MEASURE          bench/measure.c, built
#   HM_BENCH_REPORT     file for lines of "key value"; support/bench.h says which
#   HM_BENCH_CACHE      folder for inputs that are made once
set -eu -o pipefail
export LC_ALL=C.UTF-8 TZ=UTC

# measured_times COUNT COMMAND...: runs a command on the allocator under test, COUNT times, and reports what they took
# together. Several reports add up, but for the peak.
measured_times() {
    local count=$1 status=0 wall peak user system faults
    shift
    "$HM_MEASURE" ${HM_LIBRARY:+--preload "$HM_LIBRARY"} --repeat "$count" usage "$@" || status=$?
    read -r wall peak user system faults <usage
    printf '%s %s\n' seconds "$wall" peak_kib "$peak" user "$user" system "$system" minor_faults "$faults" >>"$HM_BENCH_REPORT"
    return "$status"
}

measured() {
    measured_times 1 "$@"
}

# prepared NAME COMMAND...: the path of a file or folder that COMMAND makes, when called with the path to make; made once, on
# glibc's allocator, outside of what is measured.
prepared() {
    local path=$HM_BENCH_CACHE/$1
    shift
    if [ ! -e "$path" ]; then
        rm -rf "$path.new"
        "$@" "$path.new"
        mv "$path.new" "$path"
    fi
    echo "$path"
}
