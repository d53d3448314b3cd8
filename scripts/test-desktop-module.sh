#!/bin/bash
# Run the tests of a session with the module's build for Windows PowerShell, loaded by PowerShell itself: the
# installed package is copied, and in the copy that build takes the other one's place.
# usage: test-desktop-module.sh PYTHON [PYTEST_ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift

copy=$PWD/build/desktop
rm -rf "$copy"
mkdir -p "$copy"
package=$("$python" -c 'import os, virtualshell; print(os.path.dirname(virtualshell.__file__))')
cp -r "$package" "$copy"
mv "$copy"/virtualshell/powershell/desktop/* "$copy/virtualshell/powershell"
rmdir "$copy/virtualshell/powershell/desktop"

export PYTHONPATH=$copy
# Left out: what looks for desktop/ itself, and C# that is compiled against .NET's Span, where this build has
# System.Memory's.
"$python" -m pytest --deselect tests/python/test_package.py::test_the_package_is_complete \
    --deselect tests/python/test_leases.py::test_a_span_reads_and_writes_the_same_memory "$@"
