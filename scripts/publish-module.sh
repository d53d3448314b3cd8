#!/bin/sh
# Compile the C# module for Meson: one assembly out, nothing written to the source tree.
# usage: publish-module.sh DOTNET PROJECT WORK_DIR OUTPUT DEPFILE
set -eu
dotnet=$1 project=$2 work=$3 output=$4 depfile=$5
source=$(dirname "$project")

mkdir -p "$work"
work=$(cd "$work" && pwd)

# No build server may outlive the build, and MSBuild wants its folders with a trailing slash.
"$dotnet" publish "$project" --configuration Release --output "$work/publish/" \
    --nologo --verbosity quiet -nodeReuse:false \
    -p:BaseOutputPath="$work/bin/" -p:BaseIntermediateOutputPath="$work/obj/" \
    -p:UseSharedCompilation=false
cp "$work/publish/$(basename "$output")" "$output"

# The folders are dependencies too: a new or a deleted file changes their time.
{
    printf '%s:' "$output"
    find "$source" \( -type d -o -name '*.cs' -o -name '*.csproj' \) -exec printf ' %s' {} +
    echo
} >"$depfile"
