"""`jidoka verify`, `backup` and `restore`: what is damaged is named, and copies are whole."""

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.doors.commands import PROGRAM, Ended, dialogues, jidoka, on_a_terminal, run_program, write_lines
from tests.doors.stores import everything, fill, look, lose_entries
from tests.doors.writers import writing_to


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jidoka.db"


@pytest.fixture
def url(path: Path) -> str:
    return fill(path)


@pytest.fixture
def writer(url: str) -> Generator["subprocess.Popen[str]"]:
    """Another process that writes to the store for as long as the test lasts."""
    with writing_to(url) as process:
        yield process


def said_by(ended: Ended) -> Any:
    return json.loads(ended.stdout)


# --- verify -----------------------------------------------------------------------------------------


def test_a_sound_store_is_verified(url: str) -> None:
    assert jidoka("verify", url) == (0, "3 sessions verified\n", "")
    assert said_by(jidoka("verify", url, "--json")) == {"sessions": 3, "damaged": []}


def test_a_path_is_a_store_too(path: Path, url: str) -> None:
    assert jidoka("verify", str(path)).stdout == "3 sessions verified\n"


def test_every_damaged_session_is_named_with_its_entries(path: Path, url: str) -> None:
    lose_entries(path, "session_a", 4, 5)
    lose_entries(path, "session_c", 7, 7)

    ended = jidoka("verify", url, "--json")
    damaged = [(bad["session_id"], bad["first_seq"], bad["last_seq"]) for bad in said_by(ended)["damaged"]]

    assert ended.status == 1
    assert damaged == [("session_a", 4, 5), ("session_c", 7, 7)]


def test_people_get_a_table_of_the_damage(path: Path, url: str) -> None:
    lose_entries(path, "session_a", 4, 5)
    lose_entries(path, "session_c", 7, 7)

    status, said, _ = jidoka("verify", url)

    assert status == 1
    assert "session_b" not in said
    lines = {line.split()[1]: line for line in said.splitlines() if "session_" in line}
    assert "4 to 5" in lines["session_a"]
    assert "missing" in lines["session_a"]
    assert " 7 " in lines["session_c"]


def test_a_flipped_bit_anywhere_in_the_file_is_damage(path: Path, url: str) -> None:
    raw = bytearray(path.read_bytes())
    for place in range(200, len(raw), 4_099):
        raw[place] ^= 0x10
        path.write_bytes(raw)
        ended = jidoka("verify", url, "--json")
        raw[place] ^= 0x10

        assert ended.status == 1, place
        assert said_by(ended)["damaged"], place
        assert "Traceback" not in ended.stderr
    path.write_bytes(raw)
    assert jidoka("verify", url).status == 0


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    place = tmp_path / "noise.db"
    place.write_bytes(b"what is this? " * 1_000)

    ended = jidoka("verify", str(place), "--json")

    assert ended.status == 1
    assert said_by(ended)["damaged"][0]["session_id"] is None


def test_a_store_is_verified_while_another_process_writes(url: str, writer: Any) -> None:
    assert run_program("verify", url) == (0, "3 sessions verified\n", "")


def test_looking_changes_nothing_of_a_store_whose_writer_stands_still(path: Path, url: str, writer: Any) -> None:
    writer.send_signal(signal.SIGSTOP)
    # All its threads, and not before.
    _, status = os.waitpid(writer.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    before = sorted((file.name, file.stat().st_size) for file in path.parent.iterdir())

    assert run_program("verify", url).status == 0
    assert sorted((file.name, file.stat().st_size) for file in path.parent.iterdir()) == before
    writer.send_signal(signal.SIGCONT)


def test_somebody_who_looks_sees_how_far_it_is(url: str) -> None:
    with on_a_terminal(*PROGRAM, "verify", url) as terminal:
        assert terminal.wait_ended() == 0

    assert "sessions verified" in terminal.shown
    assert "3/3" in terminal.shown


@pytest.mark.parametrize("place", ["nowhere.db", "sqlite:///nowhere.db", "abacus://", "sqlite://", ".", "nowhere.json"])
def test_what_is_no_store_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)

    status, said, errors = jidoka("verify", place)

    assert (status, said) == (2, "")
    assert errors.startswith("jidoka: ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "nowhere.db").exists()


# --- exported documents -----------------------------------------------------------------------------


@pytest.fixture
def document(url: str, tmp_path: Path) -> Path:
    place = tmp_path / "exported.json"
    assert jidoka("sessions", "export", "session_a", "--store", url, "-o", str(place)).status == 0
    return place


def test_an_exported_session_is_verified(document: Path) -> None:
    assert jidoka("verify", str(document)) == (0, "1 session verified\n", "")


def test_a_damaged_document_is_named_with_the_entry(document: Path) -> None:
    found = json.loads(document.read_text())
    del found["entries"][4]["data"]["content"]
    document.write_text(json.dumps(found))

    ended = jidoka("verify", str(document), "--json")
    (bad,) = said_by(ended)["damaged"]

    assert ended.status == 1
    assert (bad["session_id"], bad["first_seq"], bad["last_seq"]) == ("session_a", 5, 5)


def test_half_a_document_is_damage(document: Path) -> None:
    document.write_bytes(document.read_bytes()[:-100])

    ended = jidoka("verify", str(document))

    assert ended.status == 1
    assert "not JSON" in ended.stdout


def test_json_that_is_no_session_is_bad_input(tmp_path: Path) -> None:
    place = tmp_path / "other.json"
    place.write_text('{"some": "thing"}')

    assert jidoka("verify", str(place)).status == 2


# --- backup and restore -----------------------------------------------------------------------------


def test_a_backup_is_a_store_with_the_same_in_it(path: Path, url: str, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"

    assert jidoka("backup", url, str(copy)) == (0, "3 sessions backed up\n", "")

    assert look(copy, everything) == look(path, everything)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert jidoka("verify", str(copy)).status == 0


def test_a_backup_is_made_while_another_process_writes(url: str, writer: Any, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"

    ended = run_program("backup", url, str(copy), "--json")

    assert ended.status == 0
    assert said_by(ended) == {"sessions": 3, "damaged": [], "file": str(copy)}
    assert len(look(copy, lambda store: store.read("session_a"))) > 20


def test_a_backup_never_replaces_a_file(url: str, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    copy.write_text("precious")

    ended = jidoka("backup", url, str(copy))

    assert ended == (2, "", f"jidoka: there is a {copy} already\n")
    assert copy.read_text() == "precious"


def test_a_backup_of_a_damaged_store_is_made_and_named(path: Path, url: str, tmp_path: Path) -> None:
    lose_entries(path, "session_b", 3, 3)

    ended = jidoka("backup", url, str(tmp_path / "backup.db"), "--json")

    assert ended.status == 1
    assert [bad["session_id"] for bad in said_by(ended)["damaged"]] == ["session_b"]
    assert jidoka("sessions", "show", "session_a", "--store", str(tmp_path / "backup.db")).status == 0


def test_a_backup_is_restored_to_a_new_store(path: Path, url: str, tmp_path: Path) -> None:
    copy, again = tmp_path / "backup.db", tmp_path / "new" / "again.db"
    jidoka("backup", url, str(copy))

    assert jidoka("restore", str(copy), f"sqlite:///{again}") == (0, "3 sessions restored\n", "")

    assert look(again, everything) == look(path, everything)
    assert jidoka("sessions", "terminate", "session_a", "--store", str(again)).status == 0


def test_a_backup_is_restored_to_an_empty_store_but_not_into_one_with_sessions(
    path: Path, url: str, tmp_path: Path
) -> None:
    copy, again = tmp_path / "backup.db", tmp_path / "again.db"
    jidoka("backup", url, str(copy))
    fill(again, ids=())

    assert jidoka("restore", str(copy), str(again), "--json") == (0, '{"sessions": 3, "damaged": []}\n', "")
    refused = jidoka("restore", str(copy), str(again))

    assert refused.status == 2
    assert "has sessions already" in refused.stderr
    assert look(again, everything) == look(path, everything)


def test_a_damaged_backup_is_not_restored(path: Path, url: str, tmp_path: Path) -> None:
    copy, again = tmp_path / "backup.db", tmp_path / "again.db"
    jidoka("backup", url, str(copy))
    lose_entries(copy, "session_b", 3, 3)

    ended = jidoka("restore", str(copy), str(again))

    assert ended.status == 1
    assert "nothing was restored" in ended.stderr
    assert "session_b" in ended.stdout
    assert not again.exists()


def test_a_store_that_another_process_writes_to_is_not_restored_into(url: str, writer: Any, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    jidoka("backup", url, str(copy))

    ended = jidoka("restore", str(copy), url)

    assert ended.status == 1
    assert "open for writing in another process" in ended.stderr


def test_ctrl_c_ends_a_long_command_in_order(tmp_path: Path) -> None:
    recorded = write_lines(tmp_path / "recorded.jsonl", dialogues(2_000, length=2))
    with on_a_terminal(*PROGRAM, "replay", str(recorded), "--store", f"sqlite:///{tmp_path}/r.db") as terminal:
        terminal.wait_for("messages")
        terminal.press_ctrl_c()

        assert terminal.wait_ended() == 130

    assert "ended by SIGINT" in terminal.shown
    assert "Traceback" not in terminal.shown
