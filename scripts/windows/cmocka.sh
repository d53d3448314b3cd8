#!/bin/bash
# Build cmocka for Windows, from Debian's source package, into build/windows/cmocka.
# Run again, it only looks. usage: cmocka.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/build/windows/cmocka
[[ -e $target/lib/pkgconfig/cmocka.pc ]] && exit

# The machine's own package sources with their source halves, in lists of their own: the system's stay as they are.
work=$PWD/build/windows/cmocka-source
rm -rf "$work" "$target"
mkdir -p "$work"/{sources,lists/partial,cache/archives/partial}
for list in /etc/apt/sources.list.d/*.sources; do
    [[ ! -e $list ]] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/sources/${list##*/}"
done
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ ! -e $list ]] || sed -n 's/^deb /deb-src /p' "$list" >"$work/sources/${list##*/}"
done
apt=(apt-get -qq
    -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$work/sources"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
echo 'cmocka: building it for Windows'
"${apt[@]}" update
(cd "$work" && "${apt[@]}" source --download-only cmocka >/dev/null)
tar -xf "$work"/cmocka_*.orig.tar.?z -C "$work" --strip-components=1

# One source file; its CMake would want CMake, and finds what is known here.
mkdir -p "$target"/{include,lib/pkgconfig}
x86_64-w64-mingw32-gcc-win32 -std=gnu99 -O2 -g -c "$work/src/cmocka.c" -o "$work/cmocka.o" -I"$work/include" \
    -D__USE_MINGW_ANSI_STDIO=1 -DHAVE_GCC_THREAD_LOCAL_STORAGE -DHAVE_INTTYPES_H -DHAVE_MALLOC_H \
    -DHAVE_SIGNAL_H -DHAVE_STRINGS_H -DHAVE_STRUCT_TIMESPEC
x86_64-w64-mingw32-ar rcs "$target/lib/libcmocka.a" "$work/cmocka.o"
cp "$work"/include/cmocka*.h "$target/include"
version=$(sed -n 's/^project(cmocka VERSION \([0-9.]*\) .*/\1/p' "$work/CMakeLists.txt")
cat >"$target/lib/pkgconfig/cmocka.pc" <<EOF
Name: cmocka
Description: unit testing for C
Version: $version
Cflags: -I$target/include
Libs: -L$target/lib -lcmocka
EOF
rm -rf "$work"
