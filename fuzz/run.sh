#!/bin/bash
# Run the fuzz targets, two at a time, each for so many seconds; what they find is a file below build/.
# usage: run.sh SECONDS [TARGET...]     (pair, stream, replies, commands, link, hostile_peer; all without a name)
# ZCB_FUZZ_BUILD: another build folder than build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
targets=("$@")
((${#targets[@]})) || targets=(pair stream replies commands link hostile_peer)
build=$(realpath -m "${ZCB_FUZZ_BUILD:-build/fuzz}")
found=$build/findings

[[ -e $build/build.ninja ]] || CC=clang meson setup "$build" -Dfuzz=true -Dpython=disabled \
    -Dpowershell=disabled -Dtests=disabled -Dexamples=false -Db_sanitize=address,undefined \
    -Db_lundef=false >/dev/null
ninja -C "$build" --quiet
rm -rf "$found"
mkdir -p "$found"

# The committed inputs are read, new ones go into the build folder.
run_target() {
    local name=$1 corpus=$build/corpus/$1
    cd "$found"
    if [[ $name == hostile_peer ]]; then
        "$build/fuzz/hostile_peer" "$seconds"
        ! grep -q 'ERROR: \|runtime error: ' hostile_peer.report.* 2>/dev/null # of the processes it started
        exit
    fi
    mkdir -p "$corpus"
    exec "$build/fuzz/fuzz_$name" "$corpus" "$OLDPWD/fuzz/corpus/$name" \
        -max_total_time="$seconds" -max_len=512 -len_control=20 -timeout=10 -malloc_limit_mb=0 -rss_limit_mb=4096 \
        -artifact_prefix="$found/$name." -print_final_stats=1
}

# Waits for one of them; a finding is reported, and the others go on.
failed=0
collect() {
    local pid status=0
    wait -n -p pid || status=$?
    local name=${names[$pid]}
    if ((status)); then
        failed=1
        printf 'fuzz: %s found something (%d): %s\n' "$name" "$status" "$found/$name.log"
        grep -h 'Test unit written\|^seed' "$found/$name.log" | tail -n 1 || true
        ls "$found/$name".* >&2
    else
        printf 'fuzz: %s: nothing found in %s s (%s)\n' "$name" "$seconds" \
            "$(sed -n 's/^stat::number_of_executed_units: */inputs: /p; s/ rounds$/ rounds/p' "$found/$name.log")"
    fi
}

declare -A names
running=0
for name in "${targets[@]}"; do
    if ((running == 2)); then
        collect
        running=1
    fi
    run_target "$name" >"$found/$name.log" 2>&1 &
    names[$!]=$name
    running=$((running + 1))
done
while ((running > 0)); do
    collect
    running=$((running - 1))
done
exit "$failed"
