#!/bin/bash
# Compile and link Python's extension for Windows, without a Python for Windows: CPython's headers are this machine's,
# pyconfig.h is ours, and the import library is made of the names that the objects ask for. Each must be one that
# CPython exports (here, or below as one of Windows' own), and none of the compiler's warnings is allowed.
# usage: check.sh MESON_BUILD_FOLDER (which holds libzcb for Windows)
set -euo pipefail
cd "$(dirname "$0")/../../.."
build=$1
python=${PYTHON:-/usr/bin/python3}
compiler=x86_64-w64-mingw32-gcc-win32
work=build/windows/python

# Exported by pythonXY.dll alone: Include/internal/pycore_signal.h, or intrcheck.h before.
windows_names='_PyOS_SigintEvent'

include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
version=$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])')
rm -rf "$work"
mkdir -p "$work/include"
cp -r "$include"/. "$work/include"
cp tests/windows/python/pyconfig.h "$work/include"

objects=()
for source in python/native/*.c; do
    object=$work/$(basename "$source" .c).o
    "$compiler" -std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -D__USE_MINGW_ANSI_STDIO=1 -DZCB_STATIC \
        -fstack-protector-strong -Iinclude -isystem "$work/include" -c "$source" -o "$object"
    objects+=("$object")
done

x86_64-w64-mingw32-nm --undefined-only "${objects[@]}" |
    sed -n 's/^ *U \(__imp_\)\?\(_\?Py[A-Za-z_0-9]*\)$/\2/p' | sort -u >"$work/wanted"
{
    nm --dynamic --defined-only "$(readlink -f "$python")" | awk '{ print $3 }' | sed 's/@.*//'
    echo "$windows_names"
} | sort -u >"$work/exported"
unknown=$(comm -23 "$work/wanted" "$work/exported")
if [[ -n $unknown ]]; then
    printf 'check: CPython exports no %s\n' $unknown >&2
    exit 1
fi

{
    echo "LIBRARY python$version.dll"
    echo EXPORTS
    cat "$work/wanted"
} >"$work/python.def"
x86_64-w64-mingw32-dlltool --input-def "$work/python.def" --output-lib "$work/libpython$version.a"
"$compiler" -shared -static -fstack-protector-strong -o "$work/_native.pyd" "${objects[@]}" "$build/src/libzcb.a" \
    -L"$work" "-lpython$version" -lntdll -lbcrypt
x86_64-w64-mingw32-objdump -p "$work/_native.pyd" >"$work/headers"
grep -q "DLL Name: python$version.dll" "$work/headers"
grep -q 'PyInit__native' "$work/headers"
echo "check: _native.pyd compiles and links, with $(wc -l <"$work/wanted") names of CPython"
