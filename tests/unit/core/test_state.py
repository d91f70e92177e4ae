"""What a journal adds up to."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.core.heads import Head
from jidoka.core.merge import has_members, merged, same_json
from jidoka.core.state import SessionState, message_of
from jidoka.core.status import SessionStatus

SESSION = "session_1"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def at(seq: int) -> datetime:
    return NOON + timedelta(seconds=seq)


def journal(*drafts: tuple[str, dict[str, Any]], epoch: int = 1) -> list[Entry]:
    created = ("session_created", {"owner": "ada", "metadata": {"a": 1}, "llm_config": {"model": "echo"}, "config": {}})
    entries = [created, ("session_status", {"status": "active", "previous_status": "initializing"}), *drafts]
    return [Entry(seq, type, at(seq), data, None, epoch) for seq, (type, data) in enumerate(entries, start=1)]


def state(*drafts: tuple[str, dict[str, Any]]) -> SessionState:
    return SessionState.of(SESSION, journal(*drafts))


def said(content: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "conversation_added", {"id": f"m_{content[:9]}", "role": "user", "content": content, "metadata": {}, **more}


def updated(**data: Any) -> tuple[str, dict[str, Any]]:
    return "context_updated", data


# --- the head -----------------------------------------------------------------------------------


def test_a_new_session_is_as_it_was_created() -> None:
    head = state()

    assert (head.status, head.version, head.incarnation, head.seq, head.epoch) == (SessionStatus.ACTIVE, 1, 1, 2, 1)
    assert (head.owner, head.metadata, head.llm_config, head.config) == ("ada", {"a": 1}, {"model": "echo"}, {})
    assert (head.created_at, head.updated_at, head.last_activity_at) == (at(1), at(2), at(1))
    assert (head.message_count, head.characters, head.error, head.turn) == (0, 0, None, None)


def test_messages_are_counted_until_they_are_cleared() -> None:
    talk = state(said("hello"), said("wörld"))
    cleared = state(said("hello"), ("conversation_cleared", {}), said("again"))

    assert (talk.message_count, talk.characters) == (2, 10)
    assert (cleared.message_count, cleared.characters) == (1, 5)
    assert [message.content for message in cleared.messages] == ["again"]


def test_metadata_is_merged_and_has_a_version() -> None:
    head = state(
        updated(part="metadata", patch={"a": None, "b": {"c": 1}}, version=2),
        updated(part="metadata", patch={"b": {"d": 2}}, version=3),
    )

    assert (head.metadata, head.version) == ({"b": {"c": 1, "d": 2}}, 3)


def test_a_failure_is_remembered_until_a_new_incarnation_begins() -> None:
    failing = [
        ("session_status", {"status": "failed", "previous_status": "active"}),
        ("session_failed", {"error": "too many restarts"}),
    ]
    resumed = ("session_status", {"status": "active", "previous_status": "failed", "incarnation": 2})

    failed, again = state(*failing), state(*failing, resumed)

    assert (failed.status, failed.error, failed.incarnation) == (SessionStatus.FAILED, "too many restarts", 1)
    assert (again.status, again.error, again.incarnation) == (SessionStatus.ACTIVE, None, 2)


@pytest.mark.parametrize(("end", "cycles"), [("turn_completed", 1), ("turn_failed", 0), ("turn_cancelled", 0)])
def test_a_turn_is_open_until_it_ends(end: str, cycles: int) -> None:
    started = ("turn_started", {"turn_id": "t1", "content": "?", "model": "echo"})
    data = {"turn_id": "t1", "message_seq": 5, "usage": {}, "error": "no"}

    assert state(started).turn == "t1"
    assert (state(started, (end, data)).turn, state(started, (end, data)).cycles) == (None, cycles)


def test_only_use_counts_as_activity() -> None:
    quiet = [
        ("session_status", {"status": "idle", "previous_status": "active"}),
        ("session_idle", {}),
        ("child_restarted", {"child": "context_manager", "restarts": 1}),
        ("session_suspended", {}),
    ]

    assert state(said("x"), *quiet).last_activity_at == at(3)
    assert state(said("x"), *quiet).updated_at == at(7)
    assert state(said("x"), *quiet, ("session_resumed", {})).last_activity_at == at(8)


def test_an_entry_without_a_meaning_for_the_state_only_counts() -> None:
    head = state(("tool_call", {}), ("from_a_newer_jidoka", {"x": 1}))

    assert head.seq == 4


def test_the_info_says_what_the_head_knows() -> None:
    head = state(said("hello"))

    info = head.info()

    assert type(info).model_validate_json(info.model_dump_json()) == info
    assert info.model_dump(exclude={"created_at", "updated_at", "last_activity_at"}) == {
        "session_id": SESSION,
        "status": "active",
        "version": 1,
        "incarnation": 1,
        "owner": "ada",
        "metadata": {"a": 1},
        "llm_config": {"model": "echo"},
        "config": {},
        "message_count": 1,
        "last_seq": 3,
        "error": None,
    }
    assert (info.created_at, info.updated_at, info.last_activity_at) == (at(1), at(3), at(3))


def test_a_copy_goes_its_own_way() -> None:
    one = state(
        said("hello"), ("file_added", {"path": "a"}), updated(part="working_context", op="put", key="k", value=1)
    )
    other = one.copy()
    head = Head.of(SESSION, journal())
    twin = head.copy()

    for entry in journal(*[said("x")] * 4)[5:]:
        one.apply(entry)
    head.apply(journal(said("x"))[2])

    assert (one.seq, other.seq, len(one.messages), len(other.messages)) == (6, 5, 2, 1)
    assert (head.seq, twin.seq) == (3, 2)
    assert (other.files, other.working) == (one.files, one.working)
    assert all(hasattr(twin, name) for name in Head.__slots__)


def test_heads_are_equal_by_what_they_say() -> None:
    assert Head.of(SESSION, journal()) == Head.of(SESSION, journal())
    assert Head.of(SESSION, journal()) != Head.of(SESSION, journal(said("x")))
    assert Head.of(SESSION, journal()) != 3
    with pytest.raises(TypeError):
        hash(Head.of(SESSION, journal()))
    assert repr(Head.of(SESSION, journal())) == "<Head session_1: active, seq 2, epoch 1>"


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [0, 1, 2, 4, 99, -1])
def test_a_gap_in_the_journal_is_noticed(seq: int) -> None:
    head = state()

    with pytest.raises(CorruptRecord) as caught:
        head.apply(Entry(seq, "session_idle", NOON, {}, None, 1))

    assert caught.value.session_id == SESSION
    assert head.seq == 2


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("session_status", {}),
        ("session_status", {"status": "asleep"}),
        ("session_failed", {}),
        ("conversation_added", {"id": "m", "role": "user", "metadata": {}}),
        ("conversation_added", {"id": "m", "role": "user", "content": None}),
        ("conversation_added", {"role": "user", "content": "x"}),
        ("conversation_added", {"id": "m", "role": "user", "content": "x", "at": "yesterday"}),
        ("turn_started", {}),
        ("context_updated", {}),
        ("context_updated", {"part": "metadata", "patch": None, "version": 2}),
        ("context_updated", {"part": "metadata", "patch": {}}),
        ("context_updated", {"part": "working_context", "op": "put", "key": "k"}),
        ("context_updated", {"part": "file_index", "path": "a"}),
        ("file_added", {}),
        ("file_removed", {}),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(type: str, data: dict[str, Any]) -> None:
    broken = state()

    with pytest.raises(CorruptRecord) as caught:
        broken.apply(Entry(3, type, NOON, data, None, 1))

    assert (caught.value.place, caught.value.session_id) == ("entry 3", SESSION)


# --- content ------------------------------------------------------------------------------------


def test_messages_are_in_order_with_their_seq() -> None:
    talk = state(said("a"), ("session_idle", {}), said("b", metadata={"tags": ["x"]}))

    assert [(message.seq, message.content, message.at) for message in talk.messages] == [
        (3, "a", at(3)),
        (5, "b", at(5)),
    ]
    assert talk.messages[1].metadata == {"tags": ["x"]}
    with pytest.raises(TypeError):
        talk.messages[1].metadata["tags"].append("y")


def test_an_imported_message_has_its_own_time() -> None:
    entry = journal(said("a", at="2020-02-02T02:02:02+00:00"))[2]

    message = message_of(SESSION, entry)

    assert message.at == datetime(2020, 2, 2, 2, 2, 2, tzinfo=UTC)
    assert message == type(message).model_validate_json(message.model_dump_json())


def test_files_come_and_go_with_what_is_known_of_them() -> None:
    files = state(
        ("file_added", {"path": "a"}),
        ("file_added", {"path": "b"}),
        updated(part="file_index", path="a", metadata={"lines": 3}),
        updated(part="file_index", path="c", metadata={"lines": 9}),
        ("file_removed", {"path": "a"}),
    )

    assert [(file.path, file.added_at) for file in files.files] == [("b", at(4))]
    assert set(files.file_index) == {"c"}


def test_the_file_index_merges_and_says_when_it_was_used() -> None:
    files = state(
        updated(part="file_index", path="a", metadata={"lines": 3, "kind": "py"}),
        updated(part="file_index", path="a", metadata={"lines": 4}),
    )

    assert files.file_index == {"a": {"lines": 4, "kind": "py", "last_accessed": at(4).isoformat()}}


def test_the_working_context_is_what_was_put_and_not_deleted() -> None:
    scratch = state(
        updated(part="working_context", op="put", key="a", value=[1, {"b": 2}]),
        updated(part="working_context", op="put", key="b", value=None),
        updated(part="working_context", op="put", key="a", value=[3]),
        updated(part="working_context", op="delete", key="b"),
        updated(part="working_context", op="delete", key="never there"),
    )

    assert scratch.working == {"a": [3]}
    with pytest.raises(TypeError):
        scratch.working["a"].append(4)


def test_an_idle_session_takes_little_room() -> None:
    quiet = state()

    assert sys.getsizeof(quiet) <= 256
    assert not hasattr(quiet, "__dict__")
    assert (quiet.messages, quiet.file_index, quiet.working, quiet.files) == ((), {}, {}, ())


# --- merge patch --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_the_examples_of_rfc_7396(target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    before = repr((target, patch))

    assert merged(target, patch) == result
    assert repr((target, patch)) == before


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        (True, True, True),
        ("1", 1, False),
        ([1], [1.0], True),
        ([1], [True], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ({}, [], False),
        ([], "", False),
        ({"a": [True]}, {"a": [True]}, True),
        ({"a": [True]}, {"a": [1]}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, 3, False),
    ],
)
def test_json_is_the_same_when_it_says_the_same(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same_json(other, one) is same


def test_an_object_has_members() -> None:
    value = {"a": 1, "b": {"c": 2}}

    assert has_members(value, {})
    assert has_members(value, {"a": 1})
    assert has_members(value, {"b": {"c": 2}})
    assert not has_members(value, {"b": {}})
    assert not has_members(value, {"a": True})
    assert not has_members(value, {"z": None})


NAMES = st.sampled_from("abc")
OBJECTS = st.recursive(
    st.dictionaries(NAMES, st.integers(0, 3), max_size=3), lambda inner: st.dictionaries(NAMES, inner, max_size=3)
)


@given(OBJECTS, OBJECTS)
def test_patching_twice_is_patching_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merged(target, patch)

    assert merged(once, patch) == once


DRAFTS = st.lists(
    st.one_of(
        st.builds(said, st.text("abc", min_size=1, max_size=9)),
        st.just(("conversation_cleared", {})),
        st.builds(lambda path: ("file_added", {"path": path}), NAMES),
        st.builds(lambda path: ("file_removed", {"path": path}), NAMES),
        st.builds(lambda key, value: updated(part="working_context", op="put", key=key, value=value), NAMES, OBJECTS),
        st.builds(lambda key: updated(part="working_context", op="delete", key=key), NAMES),
        st.builds(lambda path, data: updated(part="file_index", path=path, metadata=data), NAMES, OBJECTS),
        st.builds(lambda patch: updated(part="metadata", patch=patch, version=2), OBJECTS),
    ),
    max_size=20,
)


@given(DRAFTS)
def test_the_counts_are_those_of_the_content(drafts: list[tuple[str, dict[str, Any]]]) -> None:
    whole = state(*drafts)
    head = Head.of(SESSION, journal(*drafts))

    assert whole.message_count == len(whole.messages) == head.message_count
    assert whole.characters == sum(len(message.content) for message in whole.messages) == head.characters
    assert whole.info() == head.info()
    assert whole.copy().info() == head.info()


@pytest.mark.parametrize("missing", [0, 1, 2, 3, 4])
def test_a_journal_that_lacks_an_entry_is_noticed(missing: int) -> None:
    entries = journal(said("a"), said("b"), said("c"))
    head = Head.of(SESSION, entries)

    with pytest.raises(CorruptRecord) as caught:
        SessionState.resumed(head, entries[:missing] + entries[missing + 1 :])

    assert (caught.value.place, caught.value.session_id) == ("journal", SESSION)


def test_a_journal_without_content_need_not_be_read() -> None:
    head = Head.of(SESSION, journal())

    assert SessionState.resumed(head) == head


@given(DRAFTS)
def test_a_head_and_the_content_make_the_state_again(drafts: list[tuple[str, dict[str, Any]]]) -> None:
    entries = journal(*drafts)
    whole = SessionState.of(SESSION, entries)

    again = SessionState.resumed(Head.of(SESSION, entries), entries)

    assert again == whole
    assert (again.messages, again.files, again.file_index, again.working) == (
        whole.messages,
        whole.files,
        whole.file_index,
        whole.working,
    )


@given(DRAFTS, st.integers(0, 22))
def test_state_is_the_same_however_it_was_reached(drafts: list[tuple[str, dict[str, Any]]], stop: int) -> None:
    entries = journal(*drafts)
    stop = min(stop, len(entries))
    part = SessionState.of(SESSION, entries[:stop]).copy()
    for entry in entries[stop:]:
        part.apply(entry)
    whole = SessionState.of(SESSION, entries)

    assert part == whole
    assert (part.messages, part.files, part.file_index, part.working) == (
        whole.messages,
        whole.files,
        whole.file_index,
        whole.working,
    )


def test_every_fold_belongs_to_a_type_of_event() -> None:
    from jidoka.core import heads, state

    for folds in (heads._FOLDS, state._FOLDS):  # pyright: ignore[reportPrivateUsage]
        assert set(folds) <= {str(type) for type in EventType}
