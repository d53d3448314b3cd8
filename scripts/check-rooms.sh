#!/bin/bash
# Fail when a file of src/ includes what its room must not know: a room beside it or above it. And when a header
# includes itself by way of others.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 - <<'PYTHON'
import re
import sys
from pathlib import Path

# A room may include itself and those that stand before it; agent and session stand side by side.
BELOW = {
    "platform": [],
    "channel": ["platform"],
    "protocol": ["platform", "channel"],
    "value": ["platform", "channel", "protocol"],
    "session": ["platform", "channel", "protocol", "value"],
    "agent": ["platform", "channel", "protocol", "value"],
}
# What the ends of a channel share is known in their room alone.
PRIVATE = {"channel/end.h", "channel/block.h", "channel/doorbell.h", "channel/frame.h", "channel/send_open.h"}
src = Path("src")
faults = []
includes = {}
for path in sorted(src.rglob("*.[ch]")):
    name = path.relative_to(src).as_posix()
    room = name.split("/")[0]
    includes[name] = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', text)
        if not match or match[1].startswith("zcb/"):
            continue
        local = (path.parent / match[1]).resolve()
        target = local.relative_to(src.resolve()).as_posix() if local.exists() else match[1]
        includes[name].append(target)
        other = target.split("/")[0]
        if other != room and other not in BELOW.get(room, []):
            faults.append(f"src/{name}:{line}: {room} must not know {other} ({target})")
        if other != room and target in PRIVATE:
            faults.append(f"src/{name}:{line}: {target} is for src/{other} alone")


def visit(name, path):
    if name in path:
        faults.append("a circle: " + " -> ".join([*path[path.index(name):], name]))
        return
    if name in done:
        return
    for target in includes.get(name, []):
        visit(target, [*path, name])
    done.add(name)


done = set()
for name in includes:
    visit(name, [])
print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
sys.exit(bool(faults))
PYTHON
