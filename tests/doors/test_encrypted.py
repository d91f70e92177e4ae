"""Encrypted stores on the command line: keys are rotated, and backups stay encrypted."""

import json
import signal
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.doors.commands import PROGRAM, Ended, environment, jidoka, on_a_terminal, run_program
from tests.doors.stores import fill
from tests.doors.writers import writing_to

OLD, NEW = (b64encode(key * 32).decode() for key in (b"o", b"n"))
KEYS = {"OLD_KEY": OLD, "NEW_KEY": NEW, "BOTH_KEYS": f"{NEW}\n{OLD}"}
IDS = tuple(f"session_{number:03}" for number in range(250))
# Of what `fill` and the other process have written.
SECRETS = {"session_a/0", "owner-0", "message 1"}

# Runs a command that gets a signal in the middle of the second page of its rotation.
_STOPPED = """
import os, sys, anyio
from jidoka.__main__ import main
from jidoka.adapters.sqlite import SQLiteStore

number, rotate = int(sys.argv.pop()), SQLiteStore.rotate

async def stopped(store, *, after, limit):
    if after:
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()
    return await rotate(store, after=after, limit=limit)

SQLiteStore.rotate = stopped
main()
"""


@pytest.fixture(autouse=True)
def in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jidoka.db"


def encrypted(path: Path, keys: str) -> str:
    return f"sqlite:///{path}?key=env:{keys}"


def said_by(ended: Ended) -> Any:
    return json.loads(ended.stdout)


def opens_with(path: Path, keys: str) -> bool:
    """Whether everything can be read with them."""
    return jidoka("verify", encrypted(path, keys)).status == 0


# --- rotate -----------------------------------------------------------------------------------------


def test_after_a_rotation_the_old_key_can_be_taken_away(path: Path) -> None:
    fill(path, query="?key=env:OLD_KEY")
    assert not opens_with(path, "NEW_KEY")

    ended = run_program("rotate", encrypted(path, "BOTH_KEYS"))

    assert ended == (0, "3 sessions: wrapped with the newest master key\n", "")
    assert opens_with(path, "NEW_KEY")
    assert not opens_with(path, "OLD_KEY")
    assert said_by(jidoka("rotate", encrypted(path, "NEW_KEY"), "--json")) == {"sessions": 3}


def test_without_a_rotation_the_old_key_is_needed(path: Path) -> None:
    fill(path, query="?key=env:OLD_KEY")

    # A writer that has both wraps nothing anew but what is new.
    jidoka("sessions", "terminate", "session_a", "--store", encrypted(path, "BOTH_KEYS"))

    assert not opens_with(path, "NEW_KEY")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_rotation_that_was_stopped_is_run_again(path: Path, number: signal.Signals, status: int) -> None:
    fill(path, IDS, messages=0, query="?key=env:OLD_KEY")
    url = encrypted(path, "BOTH_KEYS")

    command = [PROGRAM[0], "-c", _STOPPED, "rotate", url, str(int(number))]
    stopped = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=20, check=False)

    assert stopped.returncode == status
    assert "Traceback" not in stopped.stderr
    assert opens_with(path, "BOTH_KEYS")
    assert not opens_with(path, "NEW_KEY")
    assert said_by(jidoka("rotate", url, "--json")) == {"sessions": 250}
    assert opens_with(path, "NEW_KEY")


def test_somebody_who_looks_sees_how_far_it_is(path: Path) -> None:
    fill(path, query="?key=env:OLD_KEY")

    with on_a_terminal(*PROGRAM, "rotate", encrypted(path, "BOTH_KEYS")) as terminal:
        assert terminal.wait_ended() == 0

    assert "keys wrapped anew" in terminal.shown
    assert "3/3" in terminal.shown


@pytest.mark.parametrize("place", ["memory://", "plain.db"])
def test_a_store_that_is_not_encrypted_has_no_keys_to_rotate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "plain.db")

    assert jidoka("rotate", place) == (2, "", "jidoka: the store is not encrypted: there are no keys to rotate\n")
    assert jidoka("verify", "plain.db").status == 0


def test_why_a_rotation_cannot_be_is_one_line(path: Path, tmp_path: Path) -> None:
    fill(path, query="?key=env:OLD_KEY")
    fill(tmp_path / "plain.db")

    for place, why in {
        f"sqlite:///{path}": "say which key",
        encrypted(path, "NEW_KEY"): "encrypted with another key",
        encrypted(path, "NO_SUCH_KEY"): "no environment variable",
        encrypted(tmp_path / "plain.db", "NEW_KEY"): "not encrypted",
        encrypted(tmp_path / "nowhere.db", "NEW_KEY"): "there is no",
    }.items():
        status, said, errors = jidoka("rotate", place)

        assert (status in {1, 2}, said, errors.count("\n")) == (True, "", 1)
        assert why in errors
        assert not any(key in errors for key in (OLD, NEW))


def test_a_file_that_another_process_writes_to_is_left_to_it(path: Path) -> None:
    url = fill(path, query="?key=env:OLD_KEY")

    with writing_to(url):
        ended = run_program("rotate", encrypted(path, "BOTH_KEYS"))

    assert ended.status == 1
    assert "open for writing in another process" in ended.stderr


# --- backup and restore -----------------------------------------------------------------------------


def in_the_clear(directory: Path) -> set[str]:
    """What of that which was said to the sessions can be read in any file."""
    files = [file.read_bytes() for file in directory.iterdir()]
    return {secret for secret in SECRETS if any(secret.encode() in file for file in files)}


def test_a_backup_and_the_store_that_is_made_of_it_stay_encrypted(path: Path, tmp_path: Path) -> None:
    url, copy, again = fill(path, query="?key=env:OLD_KEY"), tmp_path / "backup.db", tmp_path / "again.db"

    with writing_to(url):
        backed_up = run_program("backup", url, str(copy), "--json")
        found = in_the_clear(tmp_path)
    restored = run_program("restore", encrypted(copy, "OLD_KEY"), encrypted(again, "OLD_KEY"), "--json")

    assert (backed_up.status, restored.status) == (0, 0)
    assert found == in_the_clear(tmp_path) == set()
    assert {file.name for file in tmp_path.iterdir()} >= {"jidoka.db", "backup.db", "again.db"}
    for file in (copy, again):
        assert opens_with(file, "OLD_KEY")
        assert not opens_with(file, "NEW_KEY")
        assert jidoka("verify", str(file)).status == 1
    said = said_by(jidoka("sessions", "show", "session_a", "--store", encrypted(again, "OLD_KEY"), "--json"))
    assert all(message["content"].startswith("message ") for message in said["messages"])


def test_the_search_would_have_found_it(path: Path, tmp_path: Path) -> None:
    with writing_to(fill(path)):
        assert in_the_clear(tmp_path) == SECRETS


@pytest.mark.parametrize("query", ["", "?key=env:NEW_KEY"])
def test_a_backup_is_restored_with_its_key_and_no_other(path: Path, tmp_path: Path, query: str) -> None:
    copy, again = tmp_path / "backup.db", tmp_path / "again.db"
    jidoka("backup", fill(path, query="?key=env:OLD_KEY"), str(copy))

    ended = jidoka("restore", encrypted(copy, "OLD_KEY"), f"sqlite:///{again}{query}")

    assert ended.status in {1, 2}
    assert "encrypted" in ended.stderr
    assert not again.exists()


def test_a_store_is_encrypted_by_way_of_its_backup(path: Path, tmp_path: Path) -> None:
    copy, again = tmp_path / "backup.db", tmp_path / "new" / "again.db"
    jidoka("backup", fill(path), str(copy))

    ended = jidoka("restore", str(copy), encrypted(again, "NEW_KEY"))

    assert ended == (0, "3 sessions restored\n", "")
    assert in_the_clear(again.parent) == set()
    assert opens_with(again, "NEW_KEY")
