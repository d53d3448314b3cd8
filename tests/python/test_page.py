"""What zero-copy-bridge.md shows, with a look at both ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from virtualshell import Shell
from virtualshell.zero_copy_bridge_shell import ZeroCopyBridge

MB = 2**20


def test_the_import_of_the_page_is_the_same_class() -> None:
    import virtualshell

    assert virtualshell.ZeroCopyBridge is ZeroCopyBridge


def test_setup_without_with() -> None:
    shell = Shell(timeout_seconds=60)
    shell.start()
    bridge = ZeroCopyBridge(
        shell, channel_name="my_data_channel", frame_mb=64, chunk_mb=4, scope="Local"
    )
    future = bridge.receive_to_powershell("$myData", timeout=30.0)
    bridge.send(b"Hello from Python" * 1000, timeout=30.0)
    result = future.result(timeout=30.0)
    assert result.success is True
    assert shell.run("$myData.Length").out == "17000\n"
    bridge.close()
    shell.stop()


def test_powershell_to_python(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$testData = [byte[]]::new(1048576)")
    future = bridge.send_from_powershell("$testData", timeout=30.0)
    data = bridge.receive(timeout=30.0, return_memoryview=True)
    result = future.result(timeout=30.0)
    assert result.success
    assert isinstance(data, memoryview) and len(data) == MB
    assert bytes(data) == bytes(MB)


def test_context_managers() -> None:
    with Shell(timeout_seconds=60) as shell:
        with ZeroCopyBridge(shell, channel_name="temp_channel") as bridge:
            future = bridge.receive_to_powershell("$data", timeout=10.0)
            bridge.send(b"test data", timeout=10.0)
            future.result()
            assert shell.run("[Text.Encoding]::ASCII.GetString($data)").out == "test data\n"
    assert bridge.closed and not shell.is_running


def test_a_file_goes_through(shell: Shell, bridge: ZeroCopyBridge, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    future = bridge.receive_to_powershell("$fileData", timeout=120.0)
    bridge.send(content, timeout=120.0)
    assert future.result().success
    shell.run(f"[IO.File]::WriteAllBytes('{tmp_path}/output.bin', $fileData)")
    assert (tmp_path / "output.bin").read_bytes() == content
    shell.run(f"$fileData = [IO.File]::ReadAllBytes('{tmp_path}/output.bin')")
    future = bridge.send_from_powershell("$fileData")
    assert bridge.receive() == content
    assert future.result().success


def test_objects_are_serialized_and_become_objects_again(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    shell.run(
        """
$myObject = [PSCustomObject]@{
    Name = 'Test'
    Values = 1..1000
    Data = @{Key='Value'}
}
"""
    )
    future = bridge.send_from_powershell("$myObject", timeout=30.0)
    serialized = bridge.receive(timeout=30.0)
    assert future.result().success
    future = bridge.receive_to_powershell("$deserializedData", timeout=30.0)
    bridge.send(serialized, timeout=30.0)
    assert future.result().success
    out = shell.run("$d = $deserializedData; $d.Name; $d.Values.Count; $d.Data.Key").out
    assert out == "Test\n1000\nValue\n"


def test_batches(shell: Shell, bridge: ZeroCopyBridge) -> None:
    for i, data in enumerate([b"data1" * 1000, b"data2" * 1000, b"data3" * 1000]):
        future = bridge.receive_to_powershell(f"$dataset{i}", timeout=10.0)
        bridge.send(data, timeout=10.0)
        future.result()
    result = shell.run(
        """
$results = @()
for ($i = 0; $i -lt 3; $i++) {
    $varName = "dataset$i"
    $data = Get-Variable -Name $varName -ValueOnly
    $results += $data.Length
}
$results -join ','
"""
    )
    assert result.out == "5000,5000,5000\n"


@pytest.mark.parametrize("chunk_mb", [2, 16, 32])
def test_chunk_sizes(shell: Shell, chunk_mb: int) -> None:
    content = os.urandom(34_000_000)
    bridge = ZeroCopyBridge(shell, chunk_mb=chunk_mb)
    future = bridge.receive_to_powershell("$chunked", timeout=60)
    bridge.send(content, timeout=60)
    assert future.result(timeout=60).success
    sent = bridge.send_from_powershell("$chunked", timeout=60)
    assert bridge.receive(timeout=60) == content
    assert sent.result(timeout=60).success
    bridge.close()


def test_sends_that_nobody_receives_and_bridges_that_nobody_closes(shell: Shell) -> None:
    data = b"data" * 1000
    bridge = ZeroCopyBridge(shell, channel_name="main")
    for _ in range(100):
        bridge.send(data)
    for i in range(100):
        bridge = ZeroCopyBridge(shell, channel_name=f"temp_{i}")
        bridge.send(data)


def test_posted_first_small_and_large(shell: Shell, bridge: ZeroCopyBridge) -> None:
    sinks = [bridge.receive_to_powershell("$sink1"), bridge.receive_to_powershell("$sink2")]
    bridge.send(b"s" * 1000, timeout=5.0)
    bridge.send(bytes(110_000_000), timeout=120.0)
    assert all(future.result(timeout=60).success for future in sinks)
    assert shell.run('"$($sink1.Length) $($sink2.Length)"').out == "1000 110000000\n"
    shell.run("$sink1 = $sink2 = $null")


def test_sends_whose_futures_are_dropped(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$data = [byte[]]::new(1000000)")
    bridge.send_from_powershell("$data")
    shell.run("$data = 1..1000000")
    bridge.send_from_powershell("$data", timeout=60)
    assert bridge.receive(timeout=30) == bytes(1_000_000)
    assert b"<I32>1000000</I32>" in bridge.receive(timeout=60)


def test_the_error_handling_of_the_page(shell: Shell, bridge: ZeroCopyBridge) -> None:
    kinds = []
    for target, timeout in (("$data", 30.0), ("$PID", 30.0), ("$late", 0.05)):
        try:
            future = bridge.receive_to_powershell(target, timeout=timeout)
            if target != "$late":
                bridge.send(b"large data", timeout=30.0)
            result = future.result(timeout=30.0)
            kinds.append("arrived" if result.success else "not arrived")
        except TimeoutError:
            kinds.append("timeout")
        except RuntimeError:
            kinds.append("not arrived")
    assert kinds == ["arrived", "not arrived", "timeout"]
