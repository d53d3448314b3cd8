#!/bin/sh
# Compile the C# module for Meson, for one framework: assemblies out, nothing written to the source tree.
# usage: publish-module.sh DOTNET PROJECT FRAMEWORK WORK_DIR DEPFILE OUTPUT...
set -eu
dotnet=$1 project=$2 framework=$3 work=$4 depfile=$5 output=$6
shift 5
source=$(dirname "$project")

mkdir -p "$work"
work=$(cd "$work" && pwd)

# No build server may outlive the build, and MSBuild wants its folders with a trailing slash.
"$dotnet" publish "$project" --framework "$framework" --configuration Release --output "$work/publish/" \
    --nologo --verbosity quiet -nodeReuse:false \
    -p:BaseOutputPath="$work/bin/" -p:BaseIntermediateOutputPath="$work/obj/" \
    -p:UseSharedCompilation=false
for file in "$@"; do
    cp "$work/publish/$(basename "$file")" "$file"
done

# The folders are dependencies too: a new or a deleted file changes their time.
{
    printf '%s:' "$output"
    find "$source" \( -type d -o -name '*.cs' -o -name '*.csproj' \) -exec printf ' %s' {} +
    echo
} >"$depfile"
