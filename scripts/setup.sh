#!/bin/bash
# Bring this machine what the project needs: system packages, the .NET SDK's word, the engine.
# Run again, it only looks (well under a second). usage: setup.sh [--lint | --bench | --stress | --windows]
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    build-essential meson ninja-build pkg-config libcmocka-dev
    python3 python3-dev python3-venv python3-pip python3-mesonpy
    python3-numpy python3-pytest python3-pytest-timeout python3-hypothesis python3-rich
)
lint_packages=(clang-format clang-tidy mypy)
bench_packages=(python3-zmq python3-matplotlib)
stress_packages=(clang libclang-rt-dev spin)
windows_packages=(gcc-mingw-w64-x86-64-win32 wine64)
case ${1-} in
    --lint) packages+=("${lint_packages[@]}") ;;
    --bench) packages+=("${bench_packages[@]}") ;;
    --stress) packages+=("${stress_packages[@]}") ;;
    --windows) packages+=("${windows_packages[@]}") ;;
esac

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

missing_packages() {
    local installed
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' \
        "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p') || true
    comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(sort -u <<<"$installed") | xargs
}

install_packages() {
    local missing sudo=()
    missing=$(missing_packages)
    [[ -z $missing ]] && return
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || die "please run: sudo apt-get install -y $missing"
        sudo=(sudo -n)
    fi
    say "installing $missing"
    "${sudo[@]}" apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

check_commands() {
    local command
    for command in cc meson ninja pkg-config; do
        command -v "$command" >/dev/null ||
            die "$command is missing, and this is no Debian: install what Debian calls ${packages[*]}"
    done
}

check_dotnet() {
    local version
    version=$(dotnet --version 2>/dev/null) ||
        die "the .NET SDK 10 or newer is missing: get it from https://dot.net/download, put 'dotnet' on PATH, run this again"
    ((${version%%.*} >= 10)) ||
        die "the .NET SDK on PATH is $version, 10 or newer is needed: get it from https://dot.net/download"
}

restore_engine() {
    local version folder=${NUGET_PACKAGES:-$HOME/.nuget/packages}
    version=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' .config/dotnet-tools.json)
    compgen -G "$folder/powershell/$version/tools/net*/any/unix/pwsh" >/dev/null && return
    say "fetching PowerShell $version"
    dotnet tool restore
}

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_packages
else
    check_commands
fi
check_dotnet
restore_engine
