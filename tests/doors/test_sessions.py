"""`jidoka sessions …`: what is in a store, beside whoever writes to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from jidoka.cli.screen import plain
from tests.doors.commands import PROGRAM, Ended, jidoka, on_a_terminal, run_program
from tests.doors.stores import IDS, everything, fill, look, lose_entries
from tests.doors.writers import writing_to


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jidoka.db"


@pytest.fixture
def url(path: Path) -> str:
    return fill(path)


def said_by(ended: Ended) -> Any:
    return json.loads(ended.stdout)


def listed(*args: str) -> list[str]:
    return [session["session_id"] for session in said_by(jidoka("sessions", "list", *args, "--json"))["sessions"]]


# --- list -------------------------------------------------------------------------------------------


def test_sessions_are_listed_in_order_of_arrival(url: str) -> None:
    status, said, errors = jidoka("sessions", "list", "--store", url)

    assert (status, errors) == (0, "")
    assert tuple(line.split()[0] for line in said.splitlines()[1:]) == IDS
    assert '{"number": 1, "name": "session_b"}' in said


def test_json_has_all_that_is_known(url: str) -> None:
    page = said_by(jidoka("sessions", "list", "--store", url, "--json"))

    assert page["next_cursor"] is None
    assert page["damaged"] == []
    first = page["sessions"][0]
    assert (first["session_id"], first["owner"], first["message_count"]) == ("session_a", "owner-0", 5)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--owner", "owner-1"], ["session_b"]),
        (["--metadata", "number=2"], ["session_c"]),
        (["--metadata", "name=session_a", "--metadata", "number=0"], ["session_a"]),
        (["--metadata", 'name="session_a"'], ["session_a"]),
        (["--metadata", "number=0", "--metadata", "name=session_b"], []),
        (["--status", "active"], list(IDS)),
        (["--status", "failed", "--status", "suspended"], []),
    ],
)
def test_sessions_are_filtered(url: str, filters: list[str], expected: list[str]) -> None:
    assert listed("--store", url, *filters) == expected


def test_pages_follow_on_from_each_other(url: str) -> None:
    first = said_by(jidoka("sessions", "list", "--store", url, "--limit", "2", "--json"))
    shown = jidoka("sessions", "list", "--store", url, "--limit", "2").stdout

    assert f"--cursor {first['next_cursor']}" in shown
    assert listed("--store", url, "--limit", "2", "--cursor", first["next_cursor"]) == ["session_c"]


def test_the_store_may_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIDOKA_STORE", url)

    assert listed() == list(IDS)


def test_without_a_word_it_is_the_file_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JIDOKA_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "jidoka.db", ids=("session_d",))

    assert listed() == ["session_d"]


def test_a_damaged_session_is_left_out_and_mentioned(path: Path, url: str) -> None:
    from tests.doors.stores import change

    change(path, "update sessions set seq = seq + 1 where id = 'session_b'")

    status, said, errors = jidoka("sessions", "list", "--store", url)

    assert status == 1
    assert "session_b" not in said
    assert "session_c" in said
    assert errors == "jidoka: 1 damaged: `jidoka verify` names them\n"


# --- show, tail, export -----------------------------------------------------------------------------


def test_a_session_is_shown_with_its_counts_and_last_messages(url: str) -> None:
    found = said_by(jidoka("sessions", "show", "session_a", "--store", url, "--messages", "2", "--json"))
    shown = jidoka("sessions", "show", "session_a", "--store", url, "--messages", "2").stdout

    assert found["info"]["last_seq"] == 7
    assert found["entries"] == {"session_created": 1, "session_status": 1, "conversation_added": 5}
    assert [message["content"] for message in found["messages"]] == ["session_a/3", "session_a/4"]
    assert "user: session_a/4" in shown
    assert "session_a/2" not in shown


def test_the_end_of_a_journal_is_printed_one_entry_to_a_line(url: str) -> None:
    lines = jidoka("sessions", "tail", "session_a", "--store", url, "--after", "5").stdout.splitlines()
    entries = [
        json.loads(line)
        for line in jidoka("sessions", "tail", "session_a", "--store", url, "--json")[1].split("\n")[:-1]
    ]

    assert [line.split()[0] for line in lines] == ["6", "7"]
    assert lines[1].endswith("user: session_a/4")
    assert [entry["seq"] for entry in entries] == list(range(1, 8))
    assert (entries[-1]["key"], entries[-1]["data"]["content"]) == ("key-4", "session_a/4")


def test_a_journal_is_followed_while_another_process_writes_it(url: str) -> None:
    with writing_to(url), on_a_terminal(*PROGRAM, "sessions", "tail", "session_a", "--store", url, "-f") as terminal:
        terminal.wait_for("message 60")
        terminal.press_ctrl_c()

        assert terminal.wait_ended() == 130

    assert "Traceback" not in terminal.shown
    assert "message 59" in terminal.shown


def test_following_ends_with_the_session(url: str) -> None:
    jidoka("sessions", "terminate", "session_a", "--store", url)

    ended = run_program("sessions", "tail", "session_a", "--store", url, "--follow", "--json")

    assert ended.status == 0
    assert json.loads(ended.stdout.splitlines()[-1])["type"] == "session_terminated"


def test_what_a_session_says_does_not_move_the_cursor() -> None:
    assert str(plain("a\x1b[31mb\r\nc [bold] \u202e")) == "a\\x1b[31mb\\r\\nc [bold] \\u202e"
    assert str(plain("x" * 20, most=5)) == "xxxx…"


def test_an_export_is_whole_private_and_replaces_what_was_there(url: str, tmp_path: Path) -> None:
    place = tmp_path / "exported.json"
    place.write_text("old")

    ended = jidoka("sessions", "export", "session_b", "--store", url, "-o", str(place), "--json")

    assert said_by(ended) == {"session_id": "session_b", "file": str(place), "entries": 7}
    assert json.loads(place.read_text()) == json.loads(jidoka("sessions", "export", "session_b", "--store", url).stdout)
    assert place.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_an_export_can_be_a_file_of_seed_001(url: str) -> None:
    found = said_by(jidoka("sessions", "export", "session_b", "--store", url, "--format", "seed001"))

    assert found.keys() == {"session_id", "conversation_history", "metadata", "saved_at"}
    assert found["conversation_history"][0] == {"role": "user", "content": "session_b/0"}


def test_a_file_that_cannot_be_written_is_said(url: str, tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "exported.json"

    ended = jidoka("sessions", "export", "session_b", "--store", url, "-o", str(place))

    assert ended == (1, "", f"jidoka: {place}: No such file or directory\n")


# --- import, terminate ------------------------------------------------------------------------------


def test_what_was_exported_is_imported(url: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{session_id}.json" for session_id in IDS[:2]]
    for session_id, file in zip(IDS, files, strict=False):
        jidoka("sessions", "export", session_id, "--store", url, "-o", str(file))
    again = f"sqlite:///{tmp_path / 'again.db'}"

    ended = jidoka("sessions", "import", *map(str, files), "--store", again, "--json")

    assert [one["session_id"] for one in said_by(ended)["imported"]] == list(IDS[:2])
    assert listed("--store", again) == list(IDS[:2])
    said = said_by(jidoka("sessions", "show", "session_b", "--store", again, "--json"))["messages"]
    assert [message["content"] for message in said] == [f"session_b/{turn}" for turn in range(5)]


def test_a_session_leaves_and_comes_back_as_a_file_of_seed_001(url: str, tmp_path: Path) -> None:
    file, again = tmp_path / "session_b.json", f"sqlite:///{tmp_path / 'again.db'}"

    exported = run_program(
        "sessions", "export", "session_b", "--store", url, "--format", "seed001", "-o", str(file), "--json"
    )
    imported = run_program("sessions", "import", str(file), "--store", again, "--json")
    shown = jidoka("sessions", "show", "session_b", "--store", again, "--json")

    assert said_by(exported) == {"session_id": "session_b", "file": str(file), "entries": 7}
    assert file.stat().st_mode & 0o777 == 0o600
    assert said_by(imported) == {"imported": [{"file": str(file), "session_id": "session_b"}]}
    found = said_by(shown)
    assert [(message["role"], message["content"]) for message in found["messages"]] == [
        ("user", f"session_b/{turn}") for turn in range(5)
    ]
    assert found["info"]["metadata"] == {"number": 1, "name": "session_b", "cycle_count": 0}
    assert jidoka("verify", again).status == 0


def test_a_file_that_seed_001_has_saved_itself_is_imported(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "grüße"}, {"role": "assistant", "content": [{"type": "text", "text": "hello"}]}]
    saved = {
        "session_id": "seed-session-1",
        "conversation_history": said,
        "metadata": {"cycle_count": 42},
        "saved_at": "2026-01-05T12:00:00",
    }
    file, store = tmp_path / "seed-session-1.json", f"sqlite:///{tmp_path / 'new.db'}"
    file.write_text(json.dumps(saved, indent=2, ensure_ascii=False), encoding="utf-8")

    ended = run_program("sessions", "import", str(file), "--store", store)
    back = said_by(jidoka("sessions", "export", "seed-session-1", "--store", store, "--format", "seed001"))

    assert (ended.status, ended.stderr) == (0, "")
    assert back["conversation_history"] == said
    assert back["metadata"]["cycle_count"] == 42


def test_an_id_that_is_taken_is_not_touched(url: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    jidoka("sessions", "export", "session_a", "--store", url, "-o", str(file))

    status, said, _ = jidoka("sessions", "import", str(file), "--store", url)

    assert status == 0
    assert said.startswith(f"{file} → session_")
    assert len(listed("--store", url)) == 4


def test_if_one_file_is_damaged_nothing_is_imported(url: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    jidoka("sessions", "export", "session_a", "--store", url, "-o", str(good))
    bad.write_bytes(good.read_bytes()[:-50])
    again = tmp_path / "again.db"

    ended = jidoka("sessions", "import", str(good), str(bad), "--store", str(again))

    assert ended.status == 1
    assert ended.stderr.startswith(f"jidoka: {bad}: document: not JSON: ")
    assert not again.exists()


def test_a_session_is_terminated_and_kept(url: str) -> None:
    ended = jidoka("sessions", "terminate", "session_a", "--store", url, "--reason", "enough")

    assert ended == (0, "session_a: terminated\n", "")
    assert listed("--store", url) == list(IDS[1:])
    assert listed("--store", url, "--status", "terminated") == ["session_a"]
    assert "enough" in jidoka("sessions", "tail", "session_a", "--store", url).stdout


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_session_is_purged_and_gone_even_a_damaged_one(path: Path, url: str, is_damaged: bool) -> None:
    if is_damaged:
        lose_entries(path, "session_b", 1, 3)

    ended = jidoka("sessions", "terminate", "session_b", "--store", url, "--purge", "--json")

    assert said_by(ended) == {"session_id": "session_b", "purged": True}
    assert jidoka("verify", url) == (0, "2 sessions verified\n", "")
    assert jidoka("sessions", "show", "session_b", "--store", url).status == 2


def test_a_store_that_another_process_writes_to_is_left_to_it(path: Path, url: str) -> None:
    with writing_to(url):
        ended = run_program("sessions", "terminate", "session_a", "--store", url)

        assert ended.status == 1
        assert ended.stderr.count("\n") == 1
        assert "open for writing in another process" in ended.stderr
        assert run_program("sessions", "show", "session_a", "--store", url).status == 0


# --- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["list", "--status", "sleepy"],
        ["list", "--limit", "0"],
        ["list", "--cursor", "nonsense"],
        ["list", "--metadata", "number"],
        ["list", "--metadata", "=1"],
        ["list", "--owner", ""],
        ["show", "short"],
        ["show", "../../etc/passwd"],
        ["show", "session_z"],
        ["tail", "session_z"],
        ["tail", "session_a", "--after=-1"],
        ["export", "session_z"],
        ["import", "nowhere.json"],
        ["terminate", "session_z"],
        ["terminate", "session_z", "--purge"],
        ["terminate", "session_a", "--reason", ""],
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(path: Path, url: str, args: list[str]) -> None:
    before = look(path, everything)

    status, said, errors = jidoka("sessions", *args, "--store", url)

    assert (status, said) == (2, "")
    assert errors.startswith("jidoka: ")
    assert errors.count("\n") == 1
    assert look(path, everything) == before


@pytest.mark.parametrize("command", ["list", "show", "tail", "export", "terminate"])
def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, command: str) -> None:
    place = tmp_path / "nowhere.db"

    ended = jidoka("sessions", command, *([] if command == "list" else ["session_a"]), "--store", str(place), "--json")

    assert ended.status == 2
    assert said_by(ended) == {"error": f"there is no {place}"}
    assert not place.exists()


@pytest.mark.parametrize("command", ["show", "tail", "export"])
def test_a_damaged_session_is_named(path: Path, url: str, command: str) -> None:
    lose_entries(path, "session_b", 3, 4)

    ended = jidoka("sessions", command, "session_b", "--store", url, "--json")

    assert ended.status == 1
    assert "session_b" in said_by(ended)["error"]
