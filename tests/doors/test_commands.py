"""The command line as a whole: what it says of itself, and where it says what."""

import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.doors.commands import PROGRAM, jidoka, on_a_terminal, run_program

SCRIPT = Path(PROGRAM[0]).with_name("jidoka")


def test_it_says_its_version() -> None:
    assert jidoka("--version") == (0, f"jidoka {version('jidoka')}\n", "")


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed")
def test_the_script_and_the_module_are_the_same_program() -> None:
    with on_a_terminal(str(SCRIPT), "--version") as terminal:
        assert terminal.wait_ended() == 0

    assert terminal.shown.strip() == run_program("--version").stdout.strip() == f"jidoka {version('jidoka')}"


@pytest.mark.parametrize("command", ["chat", "demo", "replay", "verify", "backup", "restore"])
def test_help_lists_every_command(command: str) -> None:
    assert command in jidoka("--help").stdout
    assert "--json" in run_program(command, "--help", env={"COLUMNS": "200"}).stdout


@pytest.mark.parametrize("command", ["list", "show", "tail", "export", "import", "terminate"])
def test_help_lists_what_can_be_done_with_sessions(command: str) -> None:
    assert command in jidoka("sessions", "--help").stdout
    said = run_program("sessions", command, "--help", env={"COLUMNS": "200"}).stdout
    assert "--json" in said
    assert "JIDOKA_STORE" in said


def test_help_of_replay_names_its_options() -> None:
    said = run_program("replay", "--help", env={"COLUMNS": "200"}).stdout

    assert all(option in said for option in ("--kill-rate", "--seed", "--store", "--resume", "--json"))


@pytest.mark.parametrize(
    "args", [["dance"], ["--frobnicate"], ["replay"], ["demo", "--seed", "many"], ["demo", "--pace", "nan"]]
)
def test_what_it_does_not_know_is_bad_input(args: list[str]) -> None:
    ended = jidoka(*args)

    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr != ""


def test_a_setting_that_cannot_be_right_is_bad_input() -> None:
    ended = run_program("demo", env={"JIDOKA_MAX_SESSIONS": "many"})

    assert ended.status == 2
    assert "JIDOKA_MAX_SESSIONS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_setting_of_seed_001_is_named_as_it_was_said() -> None:
    ended = run_program("demo", env={"MAX_CONTEXT_TOKENS": "many"})

    assert ended.status == 2
    assert ended.stderr.startswith("jidoka: settings: MAX_CONTEXT_TOKENS: ")


def test_a_setting_that_is_too_small_is_said_in_one_line() -> None:
    ended = run_program("demo", "--json", env={"JIDOKA_MAX_SESSIONS": "3"})

    assert ended.status == 2
    assert ended.stderr == "jidoka: 3 of 3 sessions are running\n"


@pytest.mark.parametrize("command", ["demo", "demo --json"])
def test_a_reader_that_goes_away_ends_it_quietly(command: str) -> None:
    program = shlex.join(PROGRAM)

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{program} {command} | true"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["demo"], ["demo", "--json"]])
def test_output_that_cannot_be_written_is_said_in_one_line(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20, check=False
        )

    assert (done.returncode, done.stderr) == (1, "jidoka: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_file_that_is_closed_is_nothing_and_nothing_else(closed: str) -> None:
    program = shlex.join(PROGRAM)

    done = subprocess.run(
        ["sh", "-c", f"{program} demo --json {closed}"], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "" or '"lost": 0' in done.stdout
