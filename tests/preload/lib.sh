# Shell functions for the scripts in programs/. The runner sets:
#   HM_LIBRARY  library to preload, empty in the run on glibc     HM_STATS   where its processes report
#   HM_TESTS    this directory      HM_OUT  files put here are compared between the two runs, byte by byte
#   HM_SOURCE   copy of the project HM_SHARED  libhmalloc.so      HM_STRESS  1 for the long variant
# and puts `under` on PATH.
# The script's standard output is compared too; standard error is shown when something fails.
set -eu -o pipefail

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# The runner reads the reason from standard error.
skip() {
    echo "skip: $*" >&2
    exit 77
}

# run_to_file FILE COMMAND...: standard output into a file whose bytes are compared.
run_to_file() {
    local file=$1
    shift
    under "$@" >"$HM_OUT/$file"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for PID COMMAND...: until COMMAND succeeds; fails when the process ends first or after 20 seconds.
wait_for() {
    local pid=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || fail "process $pid ended before: $*"
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || fail "gave up waiting for: $*"
        sleep 0.1
    done
}

# mapped PID NAME: notes that the library is mapped into a running process, for those that may end without a report.
mapped() {
    [ -n "$HM_LIBRARY" ] || return 0
    local tries=0
    until grep -q "${HM_LIBRARY##*/}" "/proc/$1/maps" && [ "$(cat "/proc/$1/comm")" = "$2" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "${HM_LIBRARY##*/} is not mapped into process $1 ($2)"
        sleep 0.05
    done
    echo "$1" >>"$HM_STATS/mapped"
}

# stop PID SIGNAL: ends a server and waits for it; kills it after 20 seconds.
stop() {
    local tries=0
    kill -s "$2" "$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 200 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# build_c NAME [FLAGS...]: compiles NAME.c of this directory into the working directory, on glibc. No builtins: the compiler
# would drop pairs of malloc and free.
build_c() {
    local name=$1
    shift
    "${CC:-cc}" -std=gnu11 -O2 -g -Wall -Wextra -fno-builtin -pthread -o "$name" "$HM_TESTS/$name.c" "$@"
}

# text LINES [SEED]: the same pseudo-random words in every run.
text() {
    awk -v lines="$1" -v seed="${2:-1}" 'BEGIN {
        x = seed
        for (i = 0; i < lines; i++) {
            line = i
            for (j = 0; j < 8; j++) {
                x = (x * 16807) % 2147483647
                line = line " w" (x % (1 + x % 50000))
            }
            print line
        }
    }'
}
