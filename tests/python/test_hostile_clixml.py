"""CliXml that no PowerShell wrote: an error that says so, or some object, and the session goes on."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtualshell import CliXml, Shell, TransferError, ZeroCopyBridge

WAIT_S = 60.0
HEAD = b'<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
DEEP = 20_000
EXAMPLES = int(os.environ.get("ZCB_EXAMPLES", "300"))
SAMPLE = """
[pscustomobject]@{
    Text = 'a_x000A_b'; Number = 1.5; When = Get-Date 0; Who = [guid]::Empty; Version = [version]'1.2'
    Bytes = [byte[]](1, 2, 3); List = 1, 'two', $null; Table = @{ a = 1; b = @{ c = [uri]'http://x' } }
    Secret = ConvertTo-SecureString 'x' -AsPlainText -Force; Block = { 1 }; Error = $Error[0]
    Process = Get-Process -Id $PID; Enum = [DayOfWeek]::Friday; Char = [char]'c'; Time = [timespan]1
}
"""


def deliver(shell: Shell, bridge: ZeroCopyBridge, clixml: bytes) -> str:
    """What PowerShell says: nothing when it made an object of it."""
    try:
        bridge.send(CliXml(clixml), "$hostile", timeout=WAIT_S)
    except TransferError as error:
        assert shell.run("6 * 7", timeout=WAIT_S).out.strip() == "42"
        return str(error)
    assert shell.run("6 * 7", timeout=WAIT_S).out.strip() == "42"
    return ""


@pytest.mark.parametrize(
    "clixml",
    [
        b"",
        b"no xml",
        b"\xff\xfe\x00",
        b"<",
        HEAD,
        HEAD + b"<I32>not a number</I32></Objs>",
        HEAD + b"<DT>yesterday</DT></Objs>",
        HEAD + b'<Obj RefId="0"><TNRef RefId="9"/></Obj></Objs>',
        HEAD + b'<Ref RefId="77"/></Objs>',
        b'<Objs Version="9.9" xmlns="http://schemas.microsoft.com/powershell/2004/04"></Objs>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + HEAD + b"<S>&b;</S></Objs>",
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + HEAD + b"<S>&f;</S></Objs>",
        HEAD + b'<Obj RefId="0"><LST>' * DEEP + b"</LST></Obj>" * DEEP + b"</Objs>",
    ],
    ids=lambda clixml: clixml[-30:].decode("ascii", "replace"),
)
def test_what_is_no_clixml_is_refused_in_words(
    shell: Shell, bridge: ZeroCopyBridge, clixml: bytes
) -> None:
    assert "not a serialized PowerShell object" in deliver(shell, bridge, clixml)


def test_a_typed_object_that_names_a_type_of_danger_stays_a_property_bag(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    named = (
        HEAD
        + b'<Obj RefId="0"><TN RefId="0"><T>System.Diagnostics.Process</T><T>System.Object</T></TN>'
        + b'<ToString>x</ToString><Props><S N="StartInfo">x</S></Props></Obj></Objs>'
    )
    assert deliver(shell, bridge, named) == ""
    assert shell.run("$hostile -is [Diagnostics.Process]").out.strip() == "False"


@pytest.fixture(scope="module")
def sample(shared_shell: Shell) -> bytes:
    """Of every kind of element."""
    shared_shell.run("Get-Item nosuch")
    with ZeroCopyBridge(shared_shell) as bridge:
        return bytes(bridge.receive(SAMPLE, timeout=WAIT_S))


def damaged(sample: bytes, changes: "list[tuple[int, int, bytes]]") -> bytes:
    """Some parts of it replaced by others."""
    data = bytearray(sample)
    for at, length, replacement in changes:
        begin = at % (len(data) + 1)
        data[begin : begin + length] = replacement
    return bytes(data)


fragments = st.sampled_from(
    [b"", b"<", b">", b"&#0;", b"&amp;", b"-1", b"99999999999999999999", b"NaN", b"\x00", b"\xc3", b'"']
    + [b'<Ref RefId="0"/>', b'<Obj RefId="0">', b"</Obj>", b"<Nil/>", b"<BA>!!</BA>", b"_x", b"<SS>0</SS>"]
)
changes = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), st.one_of(fragments, st.binary(max_size=8))),
    min_size=1,
    max_size=4,
)
relaxed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, suppress_health_check=relaxed)
@given(changes=changes)
def test_damaged_clixml_does_the_session_no_harm(
    shell: Shell, bridge: ZeroCopyBridge, sample: bytes, changes: "list[tuple[int, int, bytes]]"
) -> None:
    deliver(shell, bridge, damaged(sample, changes))


@pytest.mark.stress
@pytest.mark.timeout(900)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=relaxed)
@given(changes=changes)
def test_damaged_clixml_does_the_session_no_harm_many_times(
    shell: Shell, bridge: ZeroCopyBridge, sample: bytes, changes: "list[tuple[int, int, bytes]]"
) -> None:
    deliver(shell, bridge, damaged(sample, changes))
