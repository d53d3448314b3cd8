"""Objects cross as CliXml and come back as objects; what can be their source and target."""

from __future__ import annotations

import pytest

from virtualshell import CliXml, Shell, ZeroCopyBridge


def test_an_object_comes_as_clixml_and_goes_back_as_an_object(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    shell.run("$object = [pscustomobject]@{Name='né\u20ac'; Values=1..3; Inner=@{Key='Value'}}")
    data = bridge.receive("$object")
    assert isinstance(data, CliXml) and isinstance(data, bytes)
    assert b"http://schemas.microsoft.com/powershell/2004/04" in data
    bridge.send(data, "$copy")
    out = shell.run("$copy.Name; $copy.Values -join ','; $copy.Inner.Key").out
    assert out == "né\u20ac\n1,2,3\nValue\n"


def test_a_view_of_an_object_goes_back_as_an_object(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$object = [pscustomobject]@{Name='viewed'}")
    view = bridge.receive("$object", return_memoryview=True)
    bridge.send(view, "$copy")
    assert shell.run("$copy.Name").out == "viewed\n"


def test_plain_bytes_are_never_taken_for_an_object(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$object = [pscustomobject]@{Name='x'}")
    text = bytes(bridge.receive("$object"))
    bridge.send(bytes(bytearray(text)), "$raw")
    assert shell.run("$raw.GetType().Name").out == "Byte[]\n"


OBJECTS = {
    "a string": ("'text'", "$o -ceq 'text'"),
    "a number": ("42", "$o -is [int] -and $o -eq 42"),
    "null": ("$null", "$null -eq $o"),
    "an empty array": ("@()", "$o.Count -eq 0"),
    "an array": ("1,'two',3.5", "$o.Count -eq 3 -and $o[1] -eq 'two'"),
    "int[]": ("[int[]](1..1000)", "($o -join ',') -eq ((1..1000) -join ',')"),
    "a hashtable": ("@{a=1}", "$o.a -eq 1"),
    "a date": ("[datetime]'2024-02-29'", "$o -is [datetime] -and $o.Day -eq 29"),
    "a process": ("(Get-Process -Id $PID)", "$o.Id -eq $PID"),
    "a pipeline": ("1..5 | Where-Object { $_ % 2 }", "($o -join ',') -eq '1,3,5'"),
    "a member": ("([pscustomobject]@{D='d'}).D", "$o -eq 'd'"),
    "a secure-looking control character": ('"a`0b`u{1}"', "$o.Length -eq 4"),
}


@pytest.mark.parametrize("expression, check", OBJECTS.values(), ids=OBJECTS.keys())
def test_any_expression_can_be_sent(
    shell: Shell, bridge: ZeroCopyBridge, expression: str, check: str
) -> None:
    data = bridge.receive(expression)
    bridge.send(data, "$o")
    assert shell.run(check).out == "True\n"


def test_depth_is_that_of_export_clixml_unless_it_is_set(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    shell.run("class Level { $Inner; Level($inner) { $this.Inner = $inner } }")
    shell.run("$deep = 'bottom'; foreach ($i in 1..6) { $deep = [Level]::new($deep) }")
    assert b"bottom" not in bridge.receive("$deep")
    assert b"bottom" in bridge.receive("$deep", depth=10)
    future = bridge.send_from_powershell("$deep", depth=10)
    assert b"bottom" in bridge.receive()
    assert future.result(20).success


TARGETS = [
    "$plain",
    "$global:scoped",
    "$script:scoped",
    "${braced name}",
    "$table.key",
    "$table['other']",
    "$list[1]",
    "[byte[]]$typed",
    "$object.Property",
]


@pytest.mark.parametrize("target", TARGETS)
def test_everything_that_can_be_assigned_to_is_a_target(
    shell: Shell, bridge: ZeroCopyBridge, target: str
) -> None:
    shell.run("$table = @{}; $list = @(0, 0, 0); $object = [pscustomobject]@{Property=0}")
    bridge.send(b"\x01\x02\x03", target)
    source = target.replace("[byte[]]", "")
    assert shell.run(f"{source}.GetType().Name; {source} -join ','").out == "Byte[]\n1,2,3\n"


def test_environment_variables_take_objects_as_text(shell: Shell, bridge: ZeroCopyBridge) -> None:
    bridge.send(bridge.receive("'some text'"), "$env:ZCB_TARGET")
    assert shell.run("$env:ZCB_TARGET").out == "some text\n"
    shell.run("Remove-Item env:ZCB_TARGET")
