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
