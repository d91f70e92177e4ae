"""`jidoka replay --resume`: it goes on where a process was killed, and nothing is lost, doubled or moved."""

import json
from pathlib import Path

import pytest

from tests.crash.replay import kill_and_resume
from tests.doors.commands import dialogues, jidoka, write_lines
from tests.doors.stores import change

DIFFERENCES = ("lost", "duplicated", "out_of_order", "mixed")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "more",
    [(), ("--kill-rate", "0.05"), ("--kill-rate", "0.02", "--chaos", "0.1", "--tools")],
    ids=["", "actors are killed as well", "as turns"],
)
def test_a_replay_survives_its_processes(tmp_path: Path, more: tuple[str, ...]) -> None:
    recorded = write_lines(tmp_path / "recorded.jsonl", dialogues(300))
    store = f"sqlite:///{tmp_path / 'replay.db'}"

    outcome = kill_and_resume(recorded, store, kills=3, seed=7, within=0.6, more=more)

    assert outcome.is_clean
    assert [outcome.report[name] for name in DIFFERENCES] == [0, 0, 0, 0]
    assert (outcome.report["sessions"], outcome.report["messages"]) == (300, 1800)
    assert outcome.report["resumed"] > 0
    assert outcome.verified == {"sessions": 300, "damaged": []}


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    return str(write_lines(tmp_path / "recorded.jsonl", dialogues(10)))


def test_what_is_there_already_is_not_sent_again(tmp_path: Path, recorded: str) -> None:
    store = f"sqlite:///{tmp_path / 'replay.db'}"

    first = jidoka("replay", recorded, "--store", store, "--json")
    again = jidoka("replay", recorded, "--store", store, "--resume", "--json")

    assert (first.status, again.status) == (0, 0)
    reports = [json.loads(ended.stdout) for ended in (first, again)]
    assert [(report["resumed"], report["sent"]) for report in reports] == [(0, 60), (10, 0)]


def test_a_store_that_has_these_dialogues_is_refused_without_resume(tmp_path: Path, recorded: str) -> None:
    store = f"sqlite:///{tmp_path / 'replay.db'}"
    jidoka("replay", recorded, "--store", store)

    ended = jidoka("replay", recorded, "--store", store)

    assert (ended.status, ended.stdout) == (2, "")
    assert "--resume" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_other_dialogues_have_sessions_of_their_own(tmp_path: Path, recorded: str) -> None:
    store = f"sqlite:///{tmp_path / 'replay.db'}"
    jidoka("replay", recorded, "--store", store)
    others = str(write_lines(tmp_path / "others.jsonl", dialogues(9)))

    report = json.loads(jidoka("replay", others, "--store", store, "--json").stdout)

    assert (report["resumed"], report["sent"], report["lost"]) == (0, 54, 0)


def test_a_message_that_was_changed_meanwhile_is_found_out(tmp_path: Path, recorded: str) -> None:
    path = tmp_path / "replay.db"
    jidoka("replay", recorded, "--store", f"sqlite:///{path}")
    change(path, "delete from entries where session = 3 and seq = 5")

    ended = jidoka("replay", recorded, "--store", f"sqlite:///{path}", "--resume", "--json")

    assert ended.status == 1
    assert json.loads(ended.stdout)["lost"] == 6
