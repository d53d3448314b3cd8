#!/bin/bash
# Run the tests of a Windows build under Wine: all C tests, and the end-to-end test with both builds of the module.
# Nothing is left running. usage: test.sh MESON_BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
trap 'scripts/windows/wine.sh --end' EXIT

zcbi_windows_path() {
    printf 'Z:%s' "$(realpath "$1")"
}

export ZCB_TEST_ENGINE
ZCB_TEST_ENGINE=$(zcbi_windows_path build/windows/engine/pwsh/pwsh.exe)
for module in "$build/powershell/ZeroCopyBridge.dll" "$build/powershell/desktop/ZeroCopyBridge.dll"; do
    ZCB_TEST_MODULE=$(zcbi_windows_path "$module") \
        meson test --print-errorlogs -C "$build" ${suite:+--suite $suite}
    suite=endtoend # all that the module has a part in
done
