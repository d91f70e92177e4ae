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
from jidoka.core.seals import SEAL, seal_of, sealed
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


# What may not be said of files that were seen in a workspace.
BAD_LOOKS: list[dict[str, Any]] = [
    {"files": [1], "gone": []},
    {"files": {}},
    {"files": {"": {}}, "gone": []},
    {"files": {"a": [1]}, "gone": []},
    {"files": {}, "gone": [3]},
]


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
        *((("entries", 9, "data"), {"part": "file_index", **bad}, "entry 10") for bad in BAD_LOOKS),
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
            parse_document(sealed(changed("version", to=version)))
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


def test_an_import_has_the_times_of_what_it_shows() -> None:
    before, after = SessionState.of(SESSION, JOURNAL), reborn(parse_document(document()))

    assert after.files == before.files
    assert after.file_index == before.file_index


def test_an_import_of_an_import_is_the_same_again() -> None:
    once = parse_document(document())
    entries = [
        Entry(seq, type, at(99 + seq), data, None, 1)
        for seq, (type, data) in enumerate([("session_created", once.data), *once.drafts], start=1)
    ]

    again = parse_document(export_document(SessionState.of(SESSION, entries), entries))

    assert again.drafts == once.drafts


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("last_seq", wrong) for wrong in (13, 0, None, "14")),
        *(("message_count", wrong) for wrong in (1, 3, ...)),
        ("version", 1),
        ("incarnation", 2),
        ("status", "idle"),
    ],
)
def test_counts_that_do_not_agree_are_damage(name: str, wrong: Any) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(sealed(changed("info", name, to=wrong)))

    assert caught.value.place == f"info.{name}"


def test_an_export_without_its_counts_is_damaged() -> None:
    for wrong in (..., None, [], "text"):
        with pytest.raises(CorruptRecord) as caught:
            parse_document(sealed(changed("info", to=wrong)))
        assert caught.value.place == "info"


def test_entries_that_are_there_twice_or_not_at_all_are_damage() -> None:
    entries = document()["entries"]

    for wrong in ([*entries[:4], *entries[3:]], [*entries[:4], *entries[5:]], [*entries, entries[-1]], entries[1:]):
        with pytest.raises(CorruptRecord):
            parse_document(sealed(changed("entries", to=wrong)))


def test_a_shorter_journal_is_not_taken_for_the_whole() -> None:
    for size in range(1, len(JOURNAL)):
        for seal in (sealed, dict[str, Any]):
            with pytest.raises(CorruptRecord):
                parse_document(seal(changed("entries", to=document()["entries"][:size])))


# --- the seal -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("entries", 2, "data", "content"), "hellp"),
        (("entries", 2, "data", "role"), "system"),
        (("entries", 2, "at"), "2030-01-01T12:00:04+00:00"),
        (("entries", 2, "key"), "k"),
        (("entries", 0, "data", "owner"), "eve"),
        (("session_id",), "session_2"),
        (("info", "owner"), "eve"),
        (("more",), 1),
        ((SEAL,), "0" * 64),
        ((SEAL,), None),
        ((SEAL,), ...),
    ],
)
def test_whatever_was_changed_is_noticed(path: tuple[Any, ...], to: Any) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(changed(*path, to=to))

    assert caught.value.place == SEAL


def test_a_document_may_be_written_in_another_way() -> None:
    exported = document()
    backwards = dict(reversed(exported.items()))

    for text in (json.dumps(exported, indent=4), json.dumps(backwards, ensure_ascii=False), json.dumps(exported)):
        assert parse_document(text) == parse_document(exported)


@pytest.mark.parametrize(
    ("ours", "theirs", "is_the_same"),
    [
        ("1.0", "1", True),
        ("-0.0", "0", True),
        ("1e3", "1000", True),
        ("1e+300", "1E300", True),
        ("0.5", "5e-1", True),
        ("9007199254740991.0", "9007199254740991", True),
        ("1.0", "2", False),
        ("1.5", "1", False),
        ("9007199254740993", "9007199254740992", False),
        ('"1.0"', '"1"', False),
        ('"1.0"', "1", False),
        ("true", "1", False),
    ],
)
def test_a_number_may_be_written_as_other_languages_write_it(ours: str, theirs: str, is_the_same: bool) -> None:
    one, other = ({"n": json.loads(text), "m": [{"n": json.loads(text)}]} for text in (ours, theirs))

    assert (seal_of(one) == seal_of(other)) is is_the_same


def test_a_damaged_version_is_not_a_newer_one() -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(changed("version", to=3))

    assert caught.value.place == SEAL


def test_what_json_cannot_say_cannot_be_sealed() -> None:
    for odd in (float("nan"), object(), {1: 2}, "[" * 3):
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(CorruptRecord):
            parse_document(changed("more", to=odd))
        with pytest.raises(CorruptRecord):
            parse_document(changed("more", to=loop))


def test_an_export_cut_off_anywhere_is_damaged() -> None:
    text = json.dumps(document()).encode()

    for size in range(len(text)):
        with pytest.raises(CorruptRecord):
            parse_document(text[:size])


def test_a_flipped_bit_is_noticed_or_changes_nothing() -> None:
    text = json.dumps(document()).encode()
    before = parse_document(text)

    # Every bit of every fifth byte.
    for bit in (8 * byte + bit for byte in range(0, len(text), 5) for bit in range(8)):
        flipped = bytearray(text)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert parse_document(bytes(flipped)) == before
        except CorruptRecord:
            continue


# --- cycles -------------------------------------------------------------------------------------

TURN = ("turn_completed", {"turn_id": "t", "message_seq": 1, "usage": {}})


def test_cycles_are_counted_on_after_an_import() -> None:
    entries = journal(TURN, TURN, updated(part="metadata", patch={"cycle_count": 40}, version=2), TURN)
    before = SessionState.of(SESSION, entries)

    after = reborn(parse_document(export_document(before, entries)))

    assert before.cycles == after.cycles == 41
    assert after.metadata["cycle_count"] == 40


def test_cycles_are_counted_on_after_an_import_of_an_import() -> None:
    entries = journal(TURN, TURN)
    parsed = parse_document(export_document(SessionState.of(SESSION, entries), entries))
    born = [Entry(1, "session_created", at(1), parsed.data, None, 1)]

    again = parse_document(export_document(SessionState.of(SESSION, born), born))

    assert reborn(again).cycles == 2


@pytest.mark.parametrize("count", [-1, "3", None, 10**12, True, 1.5])
def test_a_count_that_is_none_does_not_come_in(count: Any) -> None:
    with pytest.raises(CorruptRecord) as caught:
        parse_document(sealed(changed("entries", 0, "data", "cycles", to=count)))

    assert caught.value.place == "entry 1"


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {}


def test_an_id_that_is_not_ours_is_left_to_the_importer() -> None:
    for id in ("../etc", "short", None, 3):
        assert parse_document(sealed(changed("session_id", to=id))).session_id is None


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


def test_times_are_aware() -> None:
    assert reborn(parse_document(document())).messages[0].at == datetime(2030, 1, 1, 12, 0, 3, tzinfo=UTC)
