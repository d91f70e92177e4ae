"""The files of seed 001: what a session begins with that comes out of one, and how a session becomes one."""

import json
from datetime import timedelta
from typing import Any

import pytest

from jidoka.core.documents import parse_document
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.seals import sealed
from jidoka.core.seed_documents import seed_001_document
from jidoka.core.state import SessionState
from tests.unit.core.test_state import NOON, at, journal, said, updated

SESSION = "session_1"


def reborn(parsed: Any) -> SessionState:
    drafts = [("session_created", parsed.data), *parsed.drafts]
    entries = [Entry(seq, type, at(99), data, None, 1) for seq, (type, data) in enumerate(drafts, start=1)]
    return SessionState.of("session_2", entries)


def talk(session: SessionState) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in session.messages]


# --- in -----------------------------------------------------------------------------------------


def seed_001(**more: Any) -> dict[str, Any]:
    return {
        "session_id": "k8s-monitor-default",
        "conversation_history": [
            {"role": "system", "content": "You watch a cluster."},
            {"role": "user", "content": "Cycle 1 🦔"},
            {"role": "assistant", "content": [{"type": "text", "text": "All"}, {"type": "text", "text": "well"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "3"}]},
        ],
        "metadata": {"cycle_count": 3, "anything": {"else": [1]}},
        "saved_at": "2025-01-24T10:00:00+00:00",
        **more,
    }


@pytest.mark.parametrize("form", [lambda d: d, json.dumps])
def test_a_file_of_seed_001_can_be_imported(form: Any) -> None:
    parsed = parse_document(form(seed_001()))
    session = reborn(parsed)

    assert parsed.session_id == "k8s-monitor-default"
    assert session.metadata == {"cycle_count": 3, "anything": {"else": [1]}}
    assert [(m.role, m.content) for m in session.messages][:3] == [
        ("system", "You watch a cluster."),
        ("user", "Cycle 1 🦔"),
        ("assistant", "All\nwell"),
    ]
    assert json.loads(session.messages[3].content)[0]["tool_use_id"] == "x"
    assert session.messages[2].metadata["content_blocks"][1] == {"type": "text", "text": "well"}
    assert parsed.data["imported"]["saved_at"] == "2025-01-24T10:00:00+00:00"


def test_an_empty_history_is_fine() -> None:
    parsed = parse_document({"session_id": "s", "conversation_history": []})

    assert (parsed.session_id, parsed.drafts, parsed.data["metadata"]) == (None, (), {})


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ({"conversation_history": {}}, "conversation_history"),
        ({"conversation_history": None}, "conversation_history"),
        ({"conversation_history": [{"role": "user", "content": "ok"}, {"role": "user"}]}, "conversation_history[1]"),
        ({"conversation_history": ["text"]}, "conversation_history[0]"),
        ({"conversation_history": [None]}, "conversation_history[0]"),
        ({"conversation_history": [{"role": "alien", "content": "x"}]}, "conversation_history[0]"),
        ({"conversation_history": [{"role": "user", "content": ""}]}, "conversation_history[0]"),
        ({"conversation_history": [{"role": "user", "content": None}]}, "conversation_history[0]"),
        ({"conversation_history": [{"role": "user", "content": ["x"]}]}, "conversation_history[0]"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": float("inf")}}, "metadata"),
        ({"saved_at": {"a": float("nan")}}, "document"),
    ],
)
def test_a_damaged_file_of_seed_001_is_named_by_its_place(damage: dict[str, Any], place: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(seed_001(**damage))

    assert caught.value.place == place


def test_a_seal_is_looked_at_where_there_is_one() -> None:
    assert parse_document(sealed(seed_001())) == parse_document(seed_001())

    with pytest.raises(CorruptRecord) as caught:
        parse_document({**sealed(seed_001()), "saved_at": "2025-01-25T10:00:00+00:00"})
    assert caught.value.place == "sha256"


def monitor(**more: Any) -> dict[str, Any]:
    return {
        "session_id": "k8s-monitor-default",
        "cycle_count": 12,
        "messages": [{"role": "user", "content": "Cycle 12"}, {"role": "assistant", "content": "All well."}],
        "stats": {"cycles_completed": 12, "total_tokens_used": 4321},
        "saved_at": "2025-10-22T18:30:45+00:00",
        **more,
    }


def test_a_file_of_the_persistent_monitor_can_be_imported() -> None:
    parsed = parse_document(monitor())
    session = reborn(parsed)

    assert parsed.session_id == "k8s-monitor-default"
    assert talk(session) == [("user", "Cycle 12"), ("assistant", "All well.")]
    assert session.metadata == {"cycle_count": 12, "stats": {"cycles_completed": 12, "total_tokens_used": 4321}}
    assert session.cycles == 12


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ({"cycle_count": -1}, "cycle_count"),
        ({"cycle_count": "12"}, "cycle_count"),
        ({"messages": {}}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"stats": [1]}, "stats"),
    ],
)
def test_a_damaged_file_of_the_monitor_is_named_by_its_place(damage: dict[str, Any], place: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(monitor(**damage))

    assert caught.value.place == place


# --- out ----------------------------------------------------------------------------------------

TURN = ("turn_completed", {"turn_id": "t", "message_seq": 5, "usage": {}})


def test_a_session_becomes_a_file_of_seed_001() -> None:
    entries = journal(
        said("forgotten"), ("conversation_cleared", {}), said("hello 🦔"), TURN, ("file_added", {"path": "a"})
    )

    document = seed_001_document(SessionState.of(SESSION, entries), entries)

    assert document == {
        "session_id": SESSION,
        "conversation_history": [{"role": "user", "content": "hello 🦔"}],
        "metadata": {"a": 1, "cycle_count": 1},
        "saved_at": at(len(entries)).isoformat(),
    }
    assert json.loads(json.dumps(document)) == document


def test_the_time_of_saving_may_be_another() -> None:
    entries = journal()

    document = seed_001_document(SessionState.of(SESSION, entries), entries, saved_at=NOON + timedelta(days=1))

    assert document["saved_at"] == "2030-01-02T12:00:00+00:00"


def test_a_journal_that_does_not_reach_its_head_becomes_no_file() -> None:
    entries = journal(said("hello"), said("again"))

    with pytest.raises(CorruptRecord):
        seed_001_document(SessionState.of(SESSION, entries), entries[:-1])


def test_a_session_that_came_from_a_file_becomes_the_same_file() -> None:
    parsed = parse_document(seed_001())
    drafts = [("session_created", parsed.data), *parsed.drafts]
    entries = [Entry(seq, type, at(seq), data, None, 1) for seq, (type, data) in enumerate(drafts, start=1)]

    document = seed_001_document(SessionState.of("k8s-monitor-default", entries), entries, saved_at=NOON)

    assert document == seed_001(saved_at=NOON.isoformat())


@pytest.mark.parametrize("blocks", [[{"type": "text", "text": "other"}], [{}], "text", [3], {"type": "text"}, [None]])
def test_blocks_that_are_not_what_was_said_are_only_metadata(blocks: Any) -> None:
    entries = journal(said("hello", metadata={"content_blocks": blocks}))

    (message,) = seed_001_document(SessionState.of(SESSION, entries), entries)["conversation_history"]

    assert message == {"role": "user", "content": "hello"}


def test_a_file_goes_on_counting() -> None:
    parsed = parse_document(seed_001())
    entries = journal(TURN, updated(part="metadata", patch={"cycle_count": 7}, version=2), TURN)

    document = seed_001_document(SessionState.of(SESSION, entries), entries)

    assert reborn(parsed).cycles == 3
    assert document["metadata"]["cycle_count"] == reborn(parse_document(document)).cycles == 8
