"""Sessions as documents: out, in again, and what is wrong with a damaged one is named by its place."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.documents import carried, export_document, parse_document
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, InvalidMessage, JidokaError
from jidoka.core.state import SessionState
from tests.unit.core.test_state import at, journal, said, updated

SESSION = "session_1"

JOURNAL = journal(
    said("hello", metadata={"tags": ["a"]}),
    ("turn_started", {"turn_id": "t", "content": "?", "model": "echo"}),
    said("Zürich 🦔", turn_id="t"),
    ("turn_completed", {"turn_id": "t", "message_seq": 5, "usage": {}}),
    ("file_added", {"path": "a.py"}),
    ("file_added", {"path": "b.py"}),
    ("file_removed", {"path": "a.py"}),
    updated(part="file_index", path="b.py", metadata={"lines": 3}),
    updated(part="working_context", op="put", key="goal", value=[1, {"x": None}]),
    updated(part="metadata", patch={"b": 2}, version=2),
    updated(part="working_context", op="put", key="gone", value=1),
    updated(part="working_context", op="delete", key="gone"),
)


def document() -> dict[str, Any]:
    return export_document(SessionState.of(SESSION, JOURNAL), JOURNAL)


def reborn(parsed: Any) -> SessionState:
    drafts = [("session_created", parsed.data), *parsed.drafts]
    entries = [Entry(seq, type, at(99), data, None, 1) for seq, (type, data) in enumerate(drafts, start=1)]
    return SessionState.of("session_2", entries)


# --- our own ------------------------------------------------------------------------------------


def test_an_export_is_plain_json() -> None:
    exported = document()

    assert json.loads(json.dumps(exported, allow_nan=False)) == exported
    assert (exported["format"], exported["version"], exported["session_id"]) == ("jidoka.session", 1, SESSION)
    assert [entry["seq"] for entry in exported["entries"]] == list(range(1, len(JOURNAL) + 1))


def test_an_export_is_the_callers_own() -> None:
    exported = document()

    exported["entries"][2]["data"]["metadata"]["tags"].append("b")

    assert JOURNAL[2].data["metadata"]["tags"] == ["a"]


@pytest.mark.parametrize("form", [lambda d: d, json.dumps, lambda d: json.dumps(d).encode()])
def test_what_was_exported_can_be_imported(form: Any) -> None:
    parsed = parse_document(form(document()))
    before, after = SessionState.of(SESSION, JOURNAL), reborn(parsed)

    assert parsed.session_id == SESSION
    assert [(m.id, m.role, m.content, m.at, m.metadata) for m in after.messages] == [
        (m.id, m.role, m.content, m.at, m.metadata) for m in before.messages
    ]
    assert [file.path for file in after.files] == ["b.py"]
    assert set(after.file_index) == {"b.py"}
    assert after.working == before.working
    assert (after.metadata, after.owner, after.llm_config, after.version) == (
        before.metadata,
        "ada",
        {"model": "echo"},
        1,
    )
    assert parsed.data["imported"] == {"session_id": SESSION, "seq": len(JOURNAL)}


def test_exporting_what_was_imported_loses_nothing() -> None:
    once = reborn(parse_document(document()))
    drafts = parse_document(document()).drafts

    entries = journal(*drafts)
    again = reborn(parse_document(export_document(SessionState.of(SESSION, entries), entries)))

    assert [(m.content, m.at) for m in again.messages] == [(m.content, m.at) for m in once.messages]


def test_a_fork_carries_what_was_said_and_kept_and_not_the_lives() -> None:
    types = [type for type, _ in carried(JOURNAL)]

    assert types == [
        *("conversation_added", "conversation_added", "file_added", "file_added", "file_removed"),
        *("context_updated", "context_updated", "context_updated", "context_updated"),
    ]
    assert all(data["at"] == at(seq).isoformat() for (_, data), seq in zip(carried(JOURNAL[:5]), (3, 5), strict=True))


def test_a_time_that_was_carried_once_is_carried_again() -> None:
    again = [Entry(3, type, at(500), data, None, 1) for type, data in carried(JOURNAL[:3])]

    assert [data["at"] for _, data in carried(again)] == [at(3).isoformat()]


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The document with one thing in it changed, or taken out (...)."""
    damaged = copy.deepcopy(document())
    place: Any = damaged
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return damaged


@pytest.mark.parametrize(
    ("path", "to", "place"),
    [
        (("entries",), ..., "entries"),
        (("entries",), [], "entries"),
        (("entries",), {}, "entries"),
        (("entries", 0), ..., "entry 1"),
        (("entries", 2), ..., "journal"),
        (("entries", 2), None, "entry 3"),
        (("entries", 2), 3, "entry 3"),
        (("entries", 2, "seq"), 7, "journal"),
        (("entries", 2, "seq"), "3", "entry 3"),
        (("entries", 2, "seq"), True, "entry 3"),
        (("entries", 2, "type"), "nonsense", "entry 3"),
        (("entries", 2, "type"), ..., "entry 3"),
        (("entries", 2, "type"), "session_created", "entry 3"),
        (("entries", 2, "at"), "noon", "entry 3"),
        (("entries", 2, "at"), "2030-01-01T12:00:00", "entry 3"),
        (("entries", 2, "at"), 5, "entry 3"),
        (("entries", 2, "data"), [], "entry 3"),
        (("entries", 2, "data", "role"), "alien", "entry 3"),
        (("entries", 2, "data", "role"), ..., "entry 3"),
        (("entries", 2, "data", "content"), "", "entry 3"),
        (("entries", 2, "data", "content"), 3, "entry 3"),
        (("entries", 2, "data", "content"), "a\0b", "entry 3"),
        (("entries", 2, "data", "id"), None, "entry 3"),
        (("entries", 2, "data", "metadata"), "x", "entry 3"),
        (("entries", 2, "data", "metadata"), {"a": float("nan")}, "entry 3"),
        (("entries", 2, "data", "at"), "yesterday", "entry 3"),
        (("entries", 6, "data", "path"), 3, "entry 7"),
        (("entries", 9, "data", "part"), "codebase", "entry 10"),
        (("entries", 9, "data", "metadata"), [1], "entry 10"),
        (("entries", 10, "data", "op"), "steal", "entry 11"),
        (("entries", 10, "data", "value"), ..., "entry 11"),
        (("entries", 10, "data", "key"), "", "entry 11"),
        (("entries", 11, "data", "version"), 0, "entry 12"),
        (("entries", 11, "data", "patch"), 3, "entry 12"),
        (("entries", 0, "data", "config"), {"max_files": -1}, "entry 1"),
        (("entries", 0, "data", "owner"), 3, "entry 1"),
        (("entries", 0, "data", "metadata"), [3], "entry 1"),
        (("entries", 1, "data", "status"), "asleep", "entry 2"),
    ],
)
def test_what_is_damaged_is_named_by_its_place(path: tuple[Any, ...], to: Any, place: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(changed(*path, to=to))

    assert caught.value.place == place


def test_a_newer_version_is_refused() -> None:
    for version in (2, 0, "1", None, ...):
        with pytest.raises(InvalidMessage) as caught:
            parse_document(changed("version", to=version))
        assert caught.value.field == "version"


@pytest.mark.parametrize("bad", [None, 3, [], [1], {}, {"format": "other"}, {"entries": []}, object()])
def test_what_is_no_document_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidMessage):
        parse_document(bad)


@pytest.mark.parametrize(
    "bad", ["", "{", '{"format": "jidoka.session", "version": 1, "entr', b"\xff\xfe", "[" * 100_000]
)
def test_what_is_no_json_is_damaged(bad: Any) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(bad)

    assert caught.value.place == "document"


def test_a_torn_document_is_never_taken_for_a_whole_one() -> None:
    text = json.dumps(document())

    for size in range(0, len(text), 7):
        with pytest.raises(JidokaError):
            parse_document(text[:size])


def test_the_longest_content_that_came_in_can_come_in_again() -> None:
    entries = journal(said("x" * 5_000_000), said("deep", metadata=_nested(60)))

    parsed = parse_document(export_document(SessionState.of(SESSION, entries), entries))

    assert len(parsed.drafts) == 2


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {}


def test_an_id_that_is_not_ours_is_left_to_the_importer() -> None:
    for id in ("../etc", "short", None, 3):
        assert parse_document(changed("session_id", to=id)).session_id is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda j: (
            st.lists(j, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "format",
                        "version",
                        "entries",
                        "seq",
                        "type",
                        "data",
                        "conversation_history",
                        "metadata",
                        "role",
                        "content",
                    ]
                ),
                j,
                max_size=4,
            )
        ),
        max_leaves=15,
    )
)
def test_no_json_fails_in_another_way(value: Any) -> None:
    try:
        parse_document(value)
    except (InvalidMessage, CorruptRecord):
        return
    assert "conversation_history" in value


# --- seed 001 -----------------------------------------------------------------------------------


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


def test_times_are_aware() -> None:
    assert reborn(parse_document(document())).messages[0].at == datetime(2030, 1, 1, 12, 0, 3, tzinfo=UTC)
