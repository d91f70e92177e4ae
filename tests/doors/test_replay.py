"""`jidoka replay`: dialogues in, sessions out, and exit status 0 only if they are the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from jidoka.adapters.memory import MemoryStore
from jidoka.core.entries import Entry
from jidoka.core.errors import StoreUnavailable
from jidoka.core.heads import Head
from tests.doors.commands import PROGRAM, Ended, dialogue, dialogues, jidoka, on_a_terminal, run_program, write_lines

KEYS = {
    *("sessions", "messages", "kills", "restarts", "lost", "duplicated", "out_of_order", "mixed"),
    *("messages_per_second", "seconds"),
}
DIFFERENCES = ("lost", "duplicated", "out_of_order", "mixed")


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    return str(write_lines(tmp_path / "recorded.jsonl", dialogues(30)))


def report_of(ended: Ended) -> dict[str, Any]:
    return json.loads(ended.stdout)


# --- all is well ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["recorded.jsonl", "recorded.jsonl.gz"])
def test_every_dialogue_comes_out_as_it_went_in(tmp_path: Path, name: str) -> None:
    ended = jidoka("replay", str(write_lines(tmp_path / name, dialogues(20, length=4))), "--json")
    report = report_of(ended)

    assert (ended.status, ended.stderr) == (0, "")
    assert report.keys() >= KEYS
    assert (report["sessions"], report["messages"], report["kills"]) == (20, 80, 0)
    assert [report[name] for name in DIFFERENCES] == [0, 0, 0, 0]
    assert report["messages_per_second"] > 0
    assert report["seconds"] >= 0


def test_it_ends_with_a_table(recorded: str) -> None:
    status, said, errors = jidoka("replay", recorded, "--kill-rate", "0.1")

    assert (status, errors) == (0, "")
    for name in ("sessions", "messages", "kills", "restarts", "lost", "duplicated", "out of order", "mixed", "seconds"):
        assert name in said


def test_compressed_or_not_is_a_question_of_content_not_of_the_name(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "recorded.gz", dialogues(2))
    plain = path.rename(tmp_path / "recorded.jsonl")

    assert jidoka("replay", str(plain)).status == 0


def test_lines_may_be_blank_and_may_end_as_they_do_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_bytes("\ufeff".encode() + "\r\n\r\n".join(dialogues(3)).encode())

    assert report_of(jidoka("replay", str(path), "--json"))["sessions"] == 3


def test_text_of_every_kind_comes_back_as_it_was(tmp_path: Path) -> None:
    turns = [("user", text) for text in ("é 漢字 🙂", "a\nb\r\n\tc", "  ", "", "\u2028", '{"id": 1}', "x" * 100_000)]
    path = write_lines(tmp_path / "recorded.jsonl", [dialogue("all kinds", *turns)])

    assert jidoka("replay", str(path)).status == 0


def test_two_dialogues_of_one_name_are_two_sessions(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "recorded.jsonl", [dialogue(1, ("user", "a")), dialogue(1, ("user", "b"))])

    assert report_of(jidoka("replay", str(path), "--json"))["sessions"] == 2


# --- killing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill_rate", ["0.2", "1"])
def test_what_is_killed_comes_back_and_nothing_is_lost(recorded: str, kill_rate: str) -> None:
    ended = jidoka("replay", recorded, "--kill-rate", kill_rate, "--seed", "7", "--json")
    report = report_of(ended)

    assert ended.status == 0
    assert report["kills"] > 0
    assert report["restarts"] > 0
    assert [report[name] for name in DIFFERENCES] == [0, 0, 0, 0]
    assert sum(report["kills_by_victim"].values()) == report["kills"]
    assert all(report["kills_by_victim"].values())


def test_the_same_seed_kills_the_same_and_another_one_others(recorded: str) -> None:
    def kills(seed: str) -> dict[str, int]:
        ended = jidoka("replay", recorded, "--kill-rate", "0.3", "--seed", seed, "--json")
        return report_of(ended)["kills_by_victim"]

    assert kills("7") == kills("7")
    assert kills("7") != kills("8")


# --- as turns ---------------------------------------------------------------------------------------

FAULTS = ("repeated", "unfounded", "malformed", "astray")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/replay.db"])
def test_whatever_goes_wrong_with_turns_every_history_is_whole(recorded: str, tmp_path: Path, store: str) -> None:
    trouble = ("--kill-rate", "0.1", "--chaos", "0.3", "--tools", "--seed", "7")
    ended = jidoka("replay", recorded, "--store", store.format(tmp_path), *trouble, "--json")
    report = report_of(ended)

    assert ended.status == 0
    assert [report[name] for name in (*DIFFERENCES, *FAULTS)] == [0] * 8
    assert report["turns"] * 2 == report["messages"]
    assert report["asked"] > report["turns"]
    assert report["trouble"].keys() == {"none", "fails", "is_cut", "stalls", "is_left"}
    assert report["ends"].keys() >= {"TurnFailed", "TurnCancelled", "CallTimeout"}
    assert report["kills"] > 0
    assert report["tool_calls"] > report["tool_runs"] > 0


def test_as_turns_and_without_trouble_each_question_is_asked_once(tmp_path: Path) -> None:
    turns = [("system", "be brief"), ("user", "a"), ("user", "b"), ("assistant", ""), ("assistant", "c"), ("user", "d")]
    path = write_lines(tmp_path / "recorded.jsonl", [dialogue("all kinds", *turns)])

    report = report_of(jidoka("replay", str(path), "--turns", "--json"))

    assert [report[name] for name in (*DIFFERENCES, *FAULTS)] == [0] * 8
    assert (report["messages"], report["sent"], report["turns"], report["asked"]) == (6, 6, 1, 1)


def test_turns_have_a_table_of_their_own(recorded: str) -> None:
    said = jidoka("replay", recorded, "--tools").stdout

    assert "tool calls" in said
    assert "tool calls" not in jidoka("replay", recorded).stdout


@pytest.mark.parametrize("chaos", ["-0.1", "0.91", "nan"])
def test_chaos_has_a_measure(recorded: str, chaos: str) -> None:
    ended = jidoka("replay", recorded, "--chaos", chaos)

    assert ended.status == 2
    assert "--chaos" in ended.stderr


# --- something was lost -----------------------------------------------------------------------------


class Sabotage(MemoryStore):
    """Gives back journals in which the messages are not what they were."""

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        entries = await super().read(session_id, after=after, limit=limit)
        places = [place for place, entry in enumerate(entries) if entry.type == "conversation_added"]
        if len(places) < 2:
            return entries
        said = [entries[place].data["content"] for place in places]
        for place, content in zip(places, self.spoil(said), strict=True):
            entries[place] = entries[place]._replace(data={**entries[place].data, "content": content})
        return entries

    def spoil(self, said: list[str]) -> list[str]:
        raise NotImplementedError


class Swaps(Sabotage):
    def spoil(self, said: list[str]) -> list[str]:
        return [said[2], said[1], said[0], *said[3:]]


class Repeats(Sabotage):
    def spoil(self, said: list[str]) -> list[str]:
        return [*said[:2], said[0], *said[3:]]


class Mixes(Sabotage):
    def spoil(self, said: list[str]) -> list[str]:
        return ["from somewhere else", *said[1:]]


class Drops(MemoryStore):
    """Says that the first message is stored, and leaves it out of what it gives back."""

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        entries = await super().read(session_id, after=after, limit=limit)
        return [
            entry._replace(type="context_pruned", data={}) if entry.seq == entries[2].seq else entry
            for entry in entries
        ]


class Unavailable(MemoryStore):
    """Takes a few messages, then nothing."""

    left = 60

    async def append(self, session_id: str, entries: Any, *, expected_seq: int) -> Head:
        Unavailable.left -= 1
        if Unavailable.left < 0 and any(entry.type == "conversation_added" for entry in entries):
            raise StoreUnavailable("the disk has gone")
        return await super().append(session_id, entries, expected_seq=expected_seq)


@pytest.mark.parametrize(
    ("store", "differences"),
    [
        (Drops, {"lost": 30, "duplicated": 0, "out_of_order": 0, "mixed": 0}),
        (Repeats, {"lost": 30, "duplicated": 30, "out_of_order": 0, "mixed": 0}),
        (Swaps, {"lost": 0, "duplicated": 0, "out_of_order": 60, "mixed": 0}),
        (Mixes, {"lost": 30, "duplicated": 0, "out_of_order": 0, "mixed": 30}),
    ],
)
def test_a_store_that_does_not_keep_its_word_is_found_out(
    recorded: str, mocker: MockerFixture, store: type[MemoryStore], differences: dict[str, int]
) -> None:
    mocker.patch("jidoka.wiring.MemoryStore", store)

    ended = jidoka("replay", recorded, "--json")
    report = report_of(ended)

    assert ended.status == 1
    assert {name: report[name] for name in DIFFERENCES} == differences


def test_a_store_that_fails_under_way_is_a_loss_and_is_said(recorded: str, mocker: MockerFixture) -> None:
    mocker.patch("jidoka.wiring.MemoryStore", Unavailable)
    mocker.patch.object(Unavailable, "left", 60)

    ended = jidoka("replay", recorded, "--json")
    report = report_of(ended)

    assert ended.status == 1
    assert report["lost"] > 0
    assert "the disk has gone" in ended.stderr


# --- bad input --------------------------------------------------------------------------------------

BROKEN_LINES = {
    "no JSON": "{",
    "no object": "[1]",
    "no id": '{"turns": [["user", "a"]]}',
    "no turns": '{"id": "a"}',
    "an id that is none": '{"id": null, "turns": [["user", "a"]]}',
    "turns that are none": '{"id": "a", "turns": {"user": "a"}}',
    "no turn at all": '{"id": "a", "turns": []}',
    "half a turn": '{"id": "a", "turns": [["user"]]}',
    "a turn and a half": '{"id": "a", "turns": [["user", "a", "b"]]}',
    "a turn that is text": '{"id": "a", "turns": ["ab"]}',
    "an unknown role": '{"id": "a", "turns": [["wizard", "a"]]}',
    "a role that is none": '{"id": "a", "turns": [[["user"], "a"]]}',
    "text that is none": '{"id": "a", "turns": [["user", 1]]}',
    "no text": '{"id": "a", "turns": [["user", null]]}',
    "a NUL": '{"id": "a", "turns": [["user", "a\\u0000b"]]}',
    "half a character": '{"id": "a", "turns": [["user", "\\ud800"]]}',
    "too deep": '{"id": "a", "turns": ' + "[" * 100_000,
}


@pytest.mark.parametrize("line", BROKEN_LINES.values(), ids=BROKEN_LINES)
def test_a_broken_line_is_named_and_nothing_is_done(tmp_path: Path, mocker: MockerFixture, line: str) -> None:
    opened = mocker.spy(MemoryStore, "__init__")
    path = write_lines(tmp_path / "recorded.jsonl", [*dialogues(2), line, *dialogues(1)])

    status, said, errors = jidoka("replay", str(path))

    assert (status, said) == (2, "")
    assert errors.startswith(f"jidoka: {path}, line 3: ")
    assert errors.count("\n") == 1
    assert opened.call_count == 0


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_bytes(dialogues(1)[0].encode() + b'\n{"id": "\xff", "turns": []}\n')

    ended = jidoka("replay", str(path))

    assert ended.status == 2
    assert "line 2: " in ended.stderr


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.jsonl"

    assert jidoka("replay", str(path)) == (2, "", f"jidoka: {path}: No such file or directory\n")
    assert jidoka("replay", str(tmp_path)).status == 2


@pytest.mark.parametrize("content", [b"", b"\n \n"], ids=["empty", "blank"])
def test_a_file_without_a_dialogue_is_bad_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_bytes(content)

    assert jidoka("replay", str(path)) == (2, "", f"jidoka: {path}: there is no dialogue in it\n")


@pytest.mark.parametrize("damage", ["cut", "header", "body", "checksum", "tail"])
def test_a_broken_gzip_file_is_bad_input(tmp_path: Path, damage: str) -> None:
    path = write_lines(tmp_path / "recorded.jsonl.gz", dialogues(20))
    raw = path.read_bytes()
    middle = len(raw) // 2
    path.write_bytes(
        {
            "cut": raw[:-20],
            "header": raw[:5],
            "body": raw[:middle] + b"\xff\xff\xff\xff" + raw[middle + 4 :],
            "checksum": raw[:-8] + b"\0\0\0\0" + raw[-4:],
            "tail": raw + b"what is this",
        }[damage]
    )

    status, said, errors = jidoka("replay", str(path))

    assert (status, said) == (2, "")
    assert errors.startswith(f"jidoka: {path}: not a whole gzip file: ")


@pytest.mark.parametrize("kill_rate", ["-0.1", "1.1", "nan", "inf", "often"])
def test_a_kill_rate_is_a_chance(recorded: str, kill_rate: str) -> None:
    ended = jidoka("replay", recorded, f"--kill-rate={kill_rate}")

    assert (ended.status, ended.stdout) == (2, "")
    assert "--kill-rate" in ended.stderr


def test_a_store_that_nobody_knows_is_bad_input(recorded: str) -> None:
    ended = jidoka("replay", recorded, "--store", "abacus://")

    assert (ended.status, ended.stdout) == (2, "")
    assert "abacus://" in ended.stderr


# --- where what is said -----------------------------------------------------------------------------


def test_with_json_an_error_is_an_object_too(tmp_path: Path) -> None:
    ended = jidoka("replay", str(tmp_path / "nowhere"), "--json")

    assert ended.status == 2
    assert "No such file" in report_of(ended)["error"]
    assert "No such file" in ended.stderr


def test_json_of_the_program_is_one_line_on_stdout(recorded: str) -> None:
    ended = run_program("replay", recorded, "--kill-rate", "0.1", "--json")

    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.count("\n") == 1
    assert report_of(ended).keys() >= KEYS


def test_somebody_who_looks_sees_the_progress(recorded: str) -> None:
    with on_a_terminal(*PROGRAM, "replay", recorded) as terminal:
        status = terminal.wait_ended()

    assert status == 0
    assert "180/180" in terminal.shown


def test_nobody_looks_nobody_sees_it(recorded: str) -> None:
    ended = run_program("replay", recorded)

    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
