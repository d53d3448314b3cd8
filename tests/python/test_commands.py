"""Commands behave as if they were typed at the prompt of `pwsh`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from virtualshell import ExecutionError, SessionLostError, Shell


def test_a_command_gives_its_output_and_how_it_ended(shell: Shell) -> None:
    result = shell.run("1+1")
    assert (result.out, result.err, result.success, result.exit_code) == ("2\n", "", True, 0)
    assert result.status == "done"
    assert 0 < result.execution_time < 10


def test_the_empty_command_is_a_success(shell: Shell) -> None:
    assert [(r.out, r.success) for r in shell.run(["", "  \n", "# a comment"])] == [("", True)] * 3


def test_variables_functions_and_location_stay(shell: Shell, tmp_path: Path) -> None:
    shell.run(f"$kept = 5; function Get-Kept {{ $kept * 2 }}; Push-Location '{tmp_path}'")
    assert shell.run("Get-Kept; (Get-Location).Path").out == f"10\n{tmp_path}\n"
    shell.run("Pop-Location")


@pytest.mark.parametrize("word", ["break", "continue", "return", "return 7", "break nowhere"])
def test_control_flow_outside_of_a_loop_ends_the_command_only(shell: Shell, word: str) -> None:
    result = shell.run(f"'before'; {word}; 'after'")
    assert result.out.startswith("before\n")
    assert "after" not in result.out
    assert shell.run("'still here'").out == "still here\n"


def test_break_in_a_loop_ends_the_loop(shell: Shell) -> None:
    assert (
        shell.run("foreach ($i in 1..5) { if ($i -eq 3) { break }; $i }; 'end'").out
        == "1\n2\nend\n"
    )


def test_exit_ends_the_session_and_reports_its_code(own_shell: Shell) -> None:
    result = own_shell.run("'before'; exit 3; 'after'")
    assert (result.status, result.exit_code, result.success) == ("exited", 3, False)
    assert result.out == "before\n"
    assert not own_shell.is_running
    with pytest.raises(SessionLostError, match=r"exit.*3.*start\(\)"):
        own_shell.run("1")
    assert own_shell.start().run("2").out == "2\n"


def test_exit_within_a_function_ends_the_session_too(own_shell: Shell) -> None:
    assert own_shell.run("function Quit { exit 4 }; & { Quit }").exit_code == 4
    assert not own_shell.is_running


def test_a_new_session_begins_by_itself_where_that_is_wanted() -> None:
    with Shell(auto_restart=True, initial_commands="$new = 'yes'") as shell:
        first = shell.pid
        assert shell.run("$new = 'no'; exit").exit_code == 0
        assert shell.run("$new").out == "yes\n"
        assert shell.pid != first


def test_throw_fails_the_command_and_keeps_what_came_before(shell: Shell) -> None:
    result = shell.run("'kept'; throw 'boom'; 'not reached'")
    assert (result.success, result.exit_code, result.out) == (False, 1, "kept\n")
    assert "boom" in result.err


def test_write_error_goes_to_err_and_the_command_goes_on(shell: Shell) -> None:
    result = shell.run("Write-Error 'oh no'; 'after'")
    assert result.out == "after\n"
    assert "oh no" in result.err
    assert result.success
    assert not shell.run("Write-Error 'oh no'").success


def test_an_unknown_command_does_not_end_what_follows(shell: Shell) -> None:
    result = shell.run("nosuch-command; 'after'")
    assert result.out == "after\n"
    assert "nosuch-command" in result.err


def test_error_action_preference_stop_ends_the_command(shell: Shell) -> None:
    result = shell.run("$ErrorActionPreference = 'Stop'; Get-Item /nosuch; 'after'")
    shell.run("$ErrorActionPreference = 'Continue'")
    assert (result.success, result.out) == (False, "")
    assert "/nosuch" in result.err


def test_trap_sees_the_error(shell: Shell) -> None:
    result = shell.run("trap { \"trapped $_\"; continue }; throw 'x'; 'after'")
    assert result.out == "trapped x\nafter\n"


def test_try_catch_finally(shell: Shell) -> None:
    assert (
        shell.run("try { throw 'x' } catch { 'caught' } finally { 'finally' }").out
        == "caught\nfinally\n"
    )


def test_classes_and_enums_stay_defined(shell: Shell) -> None:
    shell.run(
        "class Point { [int]$X; Point([int]$x) { $this.X = $x } }; enum Colour { Red; Green }"
    )
    assert shell.run("[Point]::new(4).X; [Colour]1").out == "4\nGreen\n"


def test_using_namespace(shell: Shell) -> None:
    assert (
        shell.run("using namespace System.Text\n[StringBuilder]::new('built').ToString()").out
        == "built\n"
    )


def test_here_strings(shell: Shell) -> None:
    assert shell.run("@'\nfirst $x\nsecond\n'@").out == "first $x\nsecond\n"
    assert shell.run('$x = 5\n@"\nvalue $x\n"@').out == "value 5\n"


@pytest.mark.parametrize("text", ["if (", "1 +", '"open', "@'\nopen", "{", "foreach ($i in"])
def test_incomplete_input_is_a_parse_error(shell: Shell, text: str) -> None:
    result = shell.run(text)
    assert (result.success, result.exit_code, result.out) == (False, 1, "")
    assert result.err.strip()


def test_characters_of_every_plane_go_there_and_back(shell: Shell) -> None:
    text = "aé€中𝄞👩‍👩‍👧\u202e"
    assert shell.run(f"'{text}'").out == text + "\n"
    assert shell.run(f"'{text}'.Length").out == f"{len(text.encode('utf-16-le')) // 2}\n"


def test_half_a_surrogate_pair_is_refused_at_the_call(shell: Shell) -> None:
    with pytest.raises(ValueError):
        shell.run("'\ud800'")
    assert shell.run("1").success


def test_ten_megabytes_of_command_text(shell: Shell) -> None:
    text = "x" * 10_000_000
    assert shell.run(f"$long = '{text}'; $long.Length").out == "10000000\n"


def test_two_hundred_megabytes_of_output(shell: Shell) -> None:
    result = shell.run("'0123456789' * 20MB", timeout=60)
    assert result.success
    assert len(result.out) == 10 * 20 * 2**20 + 1
    assert result.out.startswith("01234") and result.out.endswith("6789\n")


def test_many_lines_of_output(shell: Shell) -> None:
    assert shell.run("1..100000").out == "".join(f"{i}\n" for i in range(1, 100001))


def test_exit_code_and_success_after_native_commands(shell: Shell) -> None:
    result = shell.run("/bin/sh -c 'exit 7'")
    assert (result.success, result.exit_code) == (False, 7)
    assert shell.run("$?; $LASTEXITCODE").out == "False\n7\n"
    result = shell.run("/bin/true")
    assert (result.success, result.exit_code) == (True, 0)
    assert shell.run("$?; $LASTEXITCODE").out == "True\n0\n"


def test_question_mark_variable_is_that_of_the_command_before(shell: Shell) -> None:
    shell.run("Get-Item /nosuch")
    assert shell.run("$?").out == "False\n"
    assert shell.run("$?").out == "True\n"


def test_error_variable_has_the_last_error_first(shell: Shell) -> None:
    shell.run("$Error.Clear(); Get-Item /nosuch1; Get-Item /nosuch2")
    assert shell.run("$Error.Count; $Error[0].TargetObject").out == "2\n/nosuch2\n"


def test_a_native_command_that_reads_stdin_sees_its_end_at_once(shell: Shell) -> None:
    result = shell.run("/bin/cat; 'after'", timeout=20)
    assert result.out == "after\n"


def test_native_commands_take_input_from_the_pipeline(shell: Shell) -> None:
    assert shell.run("'b','a' | /usr/bin/sort").out == "a\nb\n"


@pytest.mark.parametrize(
    "command",
    [
        "Read-Host 'name?'",
        "Get-Credential",
        "Remove-Item /nosuch -Confirm",
        "function f { param([Parameter(Mandatory)]$p) }; f",
    ],
)
def test_a_prompt_is_an_error_and_does_not_hang(shell: Shell, command: str) -> None:
    result = shell.run(command, timeout=20)
    assert not result.success
    assert result.err.strip()


def test_a_list_of_commands_gives_a_list_of_results(shell: Shell) -> None:
    results = shell.run(["$a = 1", "throw 'x'", "$a"])
    assert [r.success for r in results] == [True, False, True]
    assert results[2].out == "1\n"
    assert shell.run([]) == []


def test_local_scope_leaves_no_variables_and_is_faster(shell: Shell) -> None:
    loop = "$n = 0; for ($i = 0; $i -lt 300000; $i++) { $n += $i }; $n"
    local = shell.run(loop, local_scope=True)
    assert local.out == "44999850000\n"
    assert shell.run("$null -eq (Get-Variable n -ErrorAction Ignore)").out == "True\n"
    top = shell.run(loop)
    assert top.out == local.out
    assert local.execution_time < top.execution_time


def test_raise_on_error_raises_with_the_result(shell: Shell) -> None:
    with pytest.raises(ExecutionError, match="boom") as caught:
        shell.run("'kept'; throw 'boom'", raise_on_error=True)
    assert caught.value.result is not None
    assert caught.value.result.out == "kept\n"
    assert isinstance(caught.value, RuntimeError)
    assert shell.run("'fine'", raise_on_error=True).success


def test_timeouts_without_limit(shell: Shell) -> None:
    assert shell.run("1", timeout=math.inf).success
    assert shell.run("1", timeout=10**400).success


def test_initial_commands_run_at_every_start() -> None:
    shell = Shell(initial_commands=["$greeting = 'hello'", "function Say { $greeting }"])
    for _ in range(2):
        with shell:
            assert shell.run("Say").out == "hello\n"


def test_a_failing_initial_command_fails_the_start() -> None:
    shell = Shell(initial_commands=["1", "throw 'not today'", "2"])
    with pytest.raises(ExecutionError, match="initial command.*not today"):
        shell.start()
    assert not shell.is_running


def test_environment_is_added_to_and_removed_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZCB_TEST_KEPT", "kept")
    monkeypatch.setenv("ZCB_TEST_GONE", "gone")
    with Shell(environment={"ZCB_TEST_NEW": "né=w\n", "ZCB_TEST_GONE": None}) as shell:
        assert (
            shell.run("$env:ZCB_TEST_KEPT; $env:ZCB_TEST_NEW; $null -eq $env:ZCB_TEST_GONE").out
            == "kept\nné=w\n\nTrue\n"
        )


def test_working_directory(tmp_path: Path) -> None:
    with Shell(working_directory=tmp_path) as shell:
        assert (
            shell.run("(Get-Location).Path; [Environment]::CurrentDirectory").out
            == f"{tmp_path}\n" * 2
        )


def test_strip_results() -> None:
    with Shell(strip_results=True) as shell:
        assert shell.run("''; 'x'; ''").out == "x"
        assert shell.run_async("'y'").result().out == "y"


def test_nothing_of_ours_is_in_the_environment_of_the_session(shell: Shell) -> None:
    assert (
        shell.run(
            "Get-ChildItem env: | Where-Object Name -match 'zcb|virtualshell' | ForEach-Object Name"
        ).out
        == ""
    )
    assert "zcb" not in shell.run("/usr/bin/env").out.lower().replace("zcb_test_module", "")


def test_programs_that_are_started_inherit_no_descriptors(shell: Shell) -> None:
    assert shell.run("/bin/ls /proc/self/fd").out.split() == ["0", "1", "2", "3"]  # 3 is ls's own


def test_identity(shell: Shell) -> None:
    assert shell.run("$PID").out == f"{shell.pid}\n"
    assert shell.run("$PSVersionTable.PSVersion.ToString()").out == f"{shell.version}\n"
    assert shell.powershell_path is not None and Path(shell.powershell_path).name == "pwsh"
    assert str(shell.pid) in repr(shell)


def test_ping_answers_even_while_a_command_runs(shell: Shell, gate) -> None:
    future = shell.run_async(gate.pass_command)
    assert 0 < shell.ping(10) < 10
    assert not future.done()
    gate.wait()
    assert future.result(20).success
