#!/bin/bash
# Run every example as a user would and say which failed. The C ones are told where the PowerShell
# module is. usage: run-examples.sh PYTHON C_BUILD_DIR MODULE
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1 built=$2 module=$3
passed=0 failed=0

run() { # NAME COMMAND...
    local name=$1 log
    shift
    log=$(mktemp)
    if timeout 120 "$@" </dev/null >"$log" 2>&1; then
        passed=$((passed + 1)) && echo "ok      $name"
    else
        failed=$((failed + 1)) && echo "FAILED  $name (exit code $?)" && cat "$log"
    fi
    rm -f "$log"
}

for source in examples/*.py examples/python/*.py; do
    [[ -e $source ]] && run "$source" "$python" "$source"
done
for source in examples/c/*.c; do
    [[ -e $source ]] && run "$source" "$built/example-$(basename "$source" .c)" "$module"
done

echo "examples: $passed passed, $failed failed"
[[ $failed == 0 ]]
