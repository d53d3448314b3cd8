#!/bin/bash
# Fail when a binary lacks what a compiler and a linker can do against exploits, or exports what is not
# public. usage: check-hardening.sh FILE... (libzcb.so, the extension module, executables)
set -euo pipefail

(($# > 0)) || {
    echo 'usage: check-hardening.sh FILE...' >&2
    exit 2
}
failed=0

fail() { # FILE WHAT
    printf '%s: %s\n' "$1" "$2" >&2
    failed=1
}

# Names of the dynamic symbols, without their versions
imported() {
    readelf --wide --dyn-syms "$1" |
        awk '$1 ~ /^[0-9]+:$/ && $7 == "UND" { sub(/@.*/, "", $8); print $8 }'
}
exported() {
    readelf --wide --dyn-syms "$1" |
        awk '$1 ~ /^[0-9]+:$/ && $7 != "UND" && $5 != "LOCAL" { sub(/@.*/, "", $8); print $8 }'
}

check_segments() {
    local segments
    segments=$(readelf --wide --segments "$1")
    grep -q GNU_RELRO <<<"$segments" || fail "$1" 'no RELRO: the linker was not given -z relro'
    grep -qE 'GNU_STACK .* RW +0x' <<<"$segments" ||
        fail "$1" 'its stack is executable, or nothing says that it is not'
    grep -qE 'LOAD .* (RWE|WE) ' <<<"$segments" && fail "$1" 'a segment is writable and executable'
    return 0
}

check_dynamic() {
    local dynamic
    dynamic=$(readelf --wide --dynamic "$1")
    grep -qE '\(FLAGS(_1)?\).*(BIND_NOW|NOW)' <<<"$dynamic" ||
        fail "$1" 'RELRO is not full: the linker was not given -z now'
    grep -qE '\((RPATH|RUNPATH)\)' <<<"$dynamic" && fail "$1" 'it has an RPATH or RUNPATH'
    grep -qE '\(TEXTREL\)|\(FLAGS\).*TEXTREL' <<<"$dynamic" &&
        fail "$1" 'it has text relocations (TEXTREL)'
    return 0
}

check_compiler() {
    local symbols
    symbols=$(imported "$1")
    grep -qx '__stack_chk_fail' <<<"$symbols" ||
        fail "$1" 'no stack protector: compiled without -fstack-protector-strong'
    grep -qE '^__[a-z]+_chk$' <<<"$symbols" ||
        fail "$1" 'nothing is fortified: compiled without -D_FORTIFY_SOURCE'
}

check_exports() { # FILE PREFIX
    local symbols others
    symbols=$(exported "$1")
    others=$(grep -v "^$2" <<<"$symbols" | xargs) || true
    [[ -z $others ]] || fail "$1" "it exports more than $2*: $others"
    grep -q "^$2" <<<"$symbols" || fail "$1" "it exports no $2*"
}

check() {
    local header
    header=$(readelf --wide --file-header "$1" 2>/dev/null) || {
        fail "$1" 'it is no ELF file'
        return
    }
    check_segments "$1"
    check_dynamic "$1"
    check_compiler "$1"
    case $(basename "$1") in
        libzcb.so*) check_exports "$1" zcb_ ;;
        *.so) check_exports "$1" PyInit_ ;;
        *) grep -qE 'Type: +DYN' <<<"$header" || fail "$1" 'it is not position-independent (PIE)' ;;
    esac
}

for file; do
    check "$file"
done
((failed)) || printf 'hardened: %s\n' "$@"
exit $failed
