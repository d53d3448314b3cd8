#!/bin/bash
# Explore every model in all its states: the right ones must be free of errors, and each variant that is
# broken on purpose must not be. Needs spin and a C compiler; leaves nothing behind. usage: check.sh
# How a variant fails: spin -a -DBROKEN_... wait.pml; cc -DSAFETY -o pan pan.c; ./pan; then the steps
# by spin -t -p -DBROKEN_... wait.pml
set -euo pipefail
models=$(cd "$(dirname "$0")" && pwd)

# What to expect, the model, and what defines the variant
list() {
    local model variant
    for model in wait standby blocks; do
        echo "right $model"
        for variant in $(grep -oE 'BROKEN_[A-Z_]+' "$models/$model.pml" | sort -u); do
            [[ $variant == BROKEN_ ]] || echo "broken $model -D$variant"
        done
    done
    echo "right standby -DWAITERS=1"
    echo "right standby -DEVENT_LOOP"
    echo "right standby -DLOOP_AND_STANDBY"
}

explore() { # MODEL DEFINE OPTIMIZATION: in the current folder
    spin -a ${2:+"$2"} "$models/$1.pml"
    gcc "$3" -w -DSAFETY -DCOLLAPSE -DMEMLIM=1500 -o pan pan.c
    ./pan -m1000000
}

is_right() {
    grep -q 'errors: 0' report && ! grep -qE 'MEMLIM|too small|not completed' report
}

check() { # EXPECTED MODEL [DEFINE]: one line of the table
    local folder verdict optimization=-O0
    folder=$(mktemp -d)
    # shellcheck disable=SC2064  # this folder
    trap "rm -rf '$folder'" EXIT
    cd "$folder"
    [[ $1 == broken ]] || optimization=-O1 # broken ones end soon
    explore "$2" "${3-}" $optimization >report 2>&1 || true
    if [[ $1 == right ]]; then
        is_right && verdict='no error' || verdict='FAILED: an error, or not everything was explored'
    else
        verdict=$(sed -n 's/^pan:1: \(.*\) (at depth.*/caught: \1/p' report | tr -s ' ')
        [[ -n $verdict ]] || verdict='FAILED: the fault was not found'
    fi
    printf '%-8s %-33s %9s  %s\n' "$2" "${3:--}" "$(awk '/states, stored/ { print $1 }' report)" \
        "$verdict"
    [[ $verdict != FAILED* ]] || {
        cat report >&2
        return 1
    }
}

if (($# > 0)); then
    check "$@"
    exit
fi
command -v spin >/dev/null || {
    echo 'models: spin is missing; Debian calls its package spin' >&2
    exit 2
}
printf '%-8s %-33s %9s  %s\n' model variant states verdict
list | xargs -P "$(nproc)" -L 1 "$0" | sort
