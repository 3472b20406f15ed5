# Configuring and building a CMake preset. Source it after common.sh.

CCACHE_OPTIONS=()
if have ccache; then
    CCACHE_OPTIONS=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    export CCACHE_BASEDIR="$SLUICE_ROOT" CCACHE_NOHASHDIR=1
fi

# build_preset PRESET [target…]: configures when needed, then builds; quiet unless something is wrong.
build_preset() {
    local preset="$1"
    shift
    local dir="$SLUICE_ROOT/build/$preset"
    local -a targets=()
    [ -f "$SLUICE_ROOT/CMakePresets.json" ] || die "no CMakePresets.json in $SLUICE_ROOT"
    if [ ! -f "$dir/build.ninja" ]; then
        step "configuring $preset"
        (cd "$SLUICE_ROOT" && quietly cmake --preset "$preset" -G Ninja "${CCACHE_OPTIONS[@]}") || return 1
    fi
    if [ $# -gt 0 ]; then
        targets=(--target "$@")
    fi
    step "building $preset"
    (cd "$SLUICE_ROOT" && cmake --build "$dir" --parallel "$(jobs_count)" "${targets[@]}" -- --quiet)
}

# build_engine PRESET: the program, the plugins and the SDK library, without the tests.
build_engine() {
    local dir="$SLUICE_ROOT/build/$1"
    local -a targets
    [ -f "$dir/build.ninja" ] || build_preset "$1" bin/sluice || return 1
    # Configures again where the list of files changed, so that the list of targets is the true one.
    quietly ninja -C "$dir" --quiet build.ninja || return 1
    mapfile -t targets < <(ninja -C "$dir" -t targets all |
        sed -nE 's/^(bin\/sluice[^:]*|lib\/sluice\/plugins\/[^:]*\.so|[^:]*libsluice_[a-z]*\.a):.*/\1/p')
    build_preset "$1" "${targets[@]}"
}
