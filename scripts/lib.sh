# shellcheck shell=bash
# Shell functions for the scripts beside it; source it from the top of the project.
# Builds go to HM_BUILD_ROOT (default: build/).
HM_BUILD_ROOT=${HM_BUILD_ROOT:-$PWD/build}

# build NAME [MESON OPTIONS...]: configures $HM_BUILD_ROOT/NAME when it is new or the options have changed, and builds it.
build() {
    local dir=$HM_BUILD_ROOT/$1
    shift
    local options="CC=${CC:-} CFLAGS=${CFLAGS:-} $*"
    if [ ! -f "$dir/build.ninja" ] || [ "$options" != "$(cat "$dir/options" 2>/dev/null)" ]; then
        rm -rf "$dir"
        meson setup "$dir" . "$@" || return 1
        echo "$options" >"$dir/options"
    fi
    ninja -C "$dir"
}

# build_quietly NAME...: prints nothing but what the build said if it failed, to stderr.
build_quietly() {
    local log
    log=$(build "$@" 2>&1) || {
        echo "$log" >&2
        return 1
    }
}

# build_benchmarks NAME: builds the bench programs too, in a build that is there.
build_benchmarks() {
    local log
    log=$(ninja -C "$HM_BUILD_ROOT/$1" benchmarks 2>&1) || {
        echo "$log" >&2
        return 1
    }
}

# build_tested NAME [MESON OPTIONS...]: the same, with what all builds that are tested have in common.
build_tested() {
    build_quietly "$@" -Dwerror=true -Dtests=enabled
}
