# Shared by the scripts: paths, messages, the cache outside the tree. Source it; it runs nothing.

SLUICE_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
SLUICE_CACHE="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sluice-test"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    C_BOLD=$'\033[1m' C_DIM=$'\033[2m' C_RED=$'\033[31m' C_GREEN=$'\033[32m' C_BLUE=$'\033[36m' C_OFF=$'\033[0m'
else
    C_BOLD='' C_DIM='' C_RED='' C_GREEN='' C_BLUE='' C_OFF=''
fi

# A heading that says what starts now, with the seconds since the script began.
step() { printf '%s==>%s %s%s%s %s(%ss)%s\n' "$C_BLUE" "$C_OFF" "$C_BOLD" "$*" "$C_OFF" "$C_DIM" "$SECONDS" "$C_OFF"; }
note() { printf '    %s\n' "$*"; }
warn() { printf '%swarning:%s %s\n' "$C_RED" "$C_OFF" "$*" >&2; }
die() {
    printf '%serror:%s %s\n' "$C_RED" "$C_OFF" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command under an exclusive lock in the cache, so that two scripts never build the same thing.
with_lock() {
    local name="$1"
    shift
    mkdir -p "$SLUICE_CACHE"
    (
        flock 9
        "$@"
    ) 9>"$SLUICE_CACHE/$name.lock"
}

# Runs a command quietly; its output is shown only when it fails.
quietly() {
    local log rc=0
    log="$(mktemp)"
    "$@" >"$log" 2>&1 || rc=$?
    if [ "$rc" -ne 0 ]; then
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$rc"
}

jobs_count() { nproc 2>/dev/null || echo 2; }
