#!/bin/bash
# Meson has no globs: fail when a source file stands in no meson.build.
set -euo pipefail
cd "$(dirname "$0")/.."

unlisted=0
check() { # FOLDER PATTERN PREFIX: files of FOLDER, named in FOLDER's or its parent's meson.build
    local file name list
    for file in "$1"/$2; do
        [[ -e $file ]] || continue
        list=$1/meson.build
        [[ -e $list ]] || list=$(dirname "$1")/meson.build
        name=$(basename "$file")
        [[ -n $3 ]] && name=$(basename "${name#"$3"}" .c)
        grep -q "'\(.*/\)\?$name'" "$list" && continue
        echo "$file: not listed in $list" >&2
        unlisted=1
    done
}

for room in platform platform/posix platform/linux platform/windows channel protocol session agent; do
    check "src/$room" '*.c' ''
done
check python/native '*.c' ''
check python/virtualshell '*.py*' ''
check powershell/module '*.ps*' ''
for room in platform channel session agent; do
    check "tests/c/$room" 'test_*.c' test_
done
check tests/c/support '*.c' ''
check tests/c/fake_engine '*.c' ''
check tests/faults '*.c' ''
check fuzz 'fuzz_*.c' fuzz_
check examples/c '*.c' example-
exit $unlisted
