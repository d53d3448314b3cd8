#!/bin/bash
# Lay out PowerShell for Windows, with the .NET that it needs, below build/windows/engine: the NuGet package of
# PowerShell that `make setup` brings holds its Windows build, and .NET's own runtime packages hold the rest.
# Run again, it only looks. usage: engine.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

runtime=10.0.14 # what pwsh.runtimeconfig.json asks for, or later of the same line
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
engine=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' .config/dotnet-tools.json)
target=build/windows/engine
stamp=$target/$engine-$runtime
[[ -e $stamp ]] && exit

fetch_runtimes() {
    local project=build/windows/runtimes
    mkdir -p "$project"
    cat >"$project/runtimes.csproj" <<EOF
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <TargetFramework>net10.0</TargetFramework>
    <BaseIntermediateOutputPath>obj/</BaseIntermediateOutputPath>
  </PropertyGroup>
  <ItemGroup>
    <PackageDownload Include="Microsoft.NETCore.App.Runtime.win-x64" Version="[$runtime]" />
    <PackageDownload Include="Microsoft.WindowsDesktop.App.Runtime.win-x64" Version="[$runtime]" />
  </ItemGroup>
</Project>
EOF
    dotnet restore --verbosity quiet "$project/runtimes.csproj"
}

# A framework as `dotnet` lays it out; what the package calls native stands beside the assemblies.
lay_out_framework() { # FRAMEWORK
    local package folder=$target/dotnet/shared/$1/$runtime
    package=$packages/${1,,}.runtime.win-x64/$runtime/runtimes/win-x64
    mkdir -p "$folder"
    cp "$package"/native/* "$package"/lib/net10.0/*.{dll,json} "$folder"
}

echo "engine: laying out PowerShell $engine for Windows, with .NET $runtime"
fetch_runtimes
rm -rf "$target"
lay_out_framework Microsoft.NETCore.App
lay_out_framework Microsoft.WindowsDesktop.App
mkdir -p "$target/dotnet/host/fxr/$runtime"
mv "$target/dotnet/shared/Microsoft.NETCore.App/$runtime/hostfxr.dll" "$target/dotnet/host/fxr/$runtime"
cp -r "$packages/powershell/$engine/tools/net10.0/any/win" "$target/pwsh"
touch "$stamp"
