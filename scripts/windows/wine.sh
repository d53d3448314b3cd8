#!/bin/bash
# Run a Windows program under Wine, with its own Wine folder below build/windows: Meson's exe_wrapper.
# usage: wine.sh PROGRAM [ARGUMENT...]
#        wine.sh --end       end what runs there
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

export WINEPREFIX=$root/build/windows/prefix
export WINEDEBUG=${WINEDEBUG--all}
export WINEDLLOVERRIDES='mshtml=' # nothing to browse with; .NET needs mscoree, if only to load a library
export DISPLAY=
export DOTNET_EnableWriteXorExecute=0 # without it the runtime crashes in a finalizer
export DOTNET_ROOT=Z:${root//\//\\}\\build\\windows\\engine\\dotnet
# Debian keeps both out of PATH.
PATH=$PATH:/usr/lib/wine

if [[ $1 == --end ]]; then
    [[ ! -d $WINEPREFIX ]] || wineserver64 --kill || true
    exit
fi
mkdir -p "$WINEPREFIX"
exec wine64 "$@"
