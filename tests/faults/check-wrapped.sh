#!/bin/sh
# Fails for every function that libzcb calls and that is neither wrapped nor listed as one that cannot fail.
#
#     check-wrapped.sh OBJECT LIST
set -eu

unlisted=$(nm -u "$1" | awk -v list="$2" '
    BEGIN {
        while ((getline line < list) > 0)
            if (line !~ /^#/)
                listed[line] = 1
    }
    { sub(/@.*/, "", $NF) }
    $NF ~ /^__wrap_/ || $NF ~ /^__(asan|lsan|ubsan|tsan)_/ || $NF in listed { next }
    { print $NF }')
if [ -n "$unlisted" ]; then
    echo "neither wrapped in wrap.c nor listed in $2:" >&2
    echo "$unlisted" >&2
    exit 1
fi
