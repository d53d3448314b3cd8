#!/bin/bash
# Run tests/powershell: each *.tests.ps1 in an engine of its own. A script passes with exit code 0
# and is skipped with 77.
set -uo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' .config/dotnet-tools.json)
engine=$(compgen -G "${NUGET_PACKAGES:-$HOME/.nuget/packages}/powershell/$version/tools/net*/any/unix/pwsh")
export UseSharedCompilation=false # no compiler server may outlive the tests
passed=0 failed=0 skipped=0

for script in tests/powershell/*.tests.ps1; do
    [[ -e $script ]] || continue
    timeout 300 "$engine" -NoLogo -NoProfile -NonInteractive -File "$script" </dev/null
    case $? in
    0) passed=$((passed + 1)) && echo "ok      $script" ;;
    77) skipped=$((skipped + 1)) && echo "skipped $script" ;;
    *) failed=$((failed + 1)) && echo "FAILED  $script" ;;
    esac
done
echo "powershell: $passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
