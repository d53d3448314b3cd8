#!/usr/bin/env python3
"""Commands and transfers beside each other in an event loop; one of them is given up."""

import asyncio

from virtualshell import Shell, ZeroCopyBridge


async def main() -> None:
    with Shell() as shell, ZeroCopyBridge(shell) as bridge:
        arrived = asyncio.wrap_future(bridge.receive_to_powershell("$data"))
        squares = [asyncio.wrap_future(shell.run_async(f"{n} * {n}")) for n in range(5)]
        bridge.send(b"sent meanwhile")
        print("squares:", [result.out.strip() for result in await asyncio.gather(*squares)])
        print("arrived:", (await arrived).success)
        try:
            await asyncio.wait_for(asyncio.wrap_future(shell.run_async("Start-Sleep 60")), 0.5)
        except asyncio.TimeoutError:
            print("given up and stopped; the session goes on:", shell.run("'yes'").out.strip())


asyncio.run(main())
