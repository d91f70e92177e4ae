"""The window on a session that a model sees."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.context import PARTS, build_context, context_stats, history, window
from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage
from jidoka.core.messages import Context, Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import Meter
from jidoka.core.state import SessionState
from jidoka.core.tokens import estimated_tokens

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SESSION = "session_1"


def state(*contents: str, files: int = 0, metadata: dict[str, Any] | None = None) -> SessionState:
    drafts: list[tuple[str, dict[str, Any]]] = [("session_created", {"metadata": metadata or {}})]
    drafts += [
        ("conversation_added", {"id": f"m{number}", "role": "user", "content": content, "metadata": {}})
        for number, content in enumerate(contents)
    ]
    drafts += [("file_added", {"path": f"{number}.py"}) for number in range(files)]
    drafts += [
        ("context_updated", {"part": "file_index", "path": "0.py", "metadata": {"lines": 3}}),
        ("context_updated", {"part": "working_context", "op": "put", "key": "goal", "value": ["x"]}),
    ]
    entries = [Entry(seq, type, NOON, data, None, 1) for seq, (type, data) in enumerate(drafts, start=1)]
    return SessionState.of(SESSION, entries)


def talk(context: Context) -> list[str]:
    return [message.content for message in context.conversation]


def build(of: SessionState, include: Any = PARTS, **bounds: Any) -> Context:
    return build_context(of, include, now=NOON, **bounds)


# --- history ------------------------------------------------------------------------------------


def test_history_is_all_of_it_in_order() -> None:
    messages = history(state("a", "b", "c"))

    assert [(message.seq, message.content) for message in messages] == [(2, "a"), (3, "b"), (4, "c")]
    assert history(state()) == []


def test_history_after_an_entry_is_what_came_later() -> None:
    talk = state("a", "b", "c", "d")

    for after, expected in ((0, "abcd"), (1, "abcd"), (2, "bcd"), (4, "d"), (5, ""), (999, "")):
        assert "".join(message.content for message in history(talk, after=after)) == expected


def test_a_limit_keeps_the_newest() -> None:
    talk = state("a", "b", "c", "d")

    for after, limit, expected in ((0, 2, "cd"), (0, 9, "abcd"), (3, 1, "d"), (3, 9, "cd"), (4, 2, "d")):
        assert "".join(message.content for message in history(talk, after=after, limit=limit)) == expected


def test_nobody_changes_a_session_through_its_history() -> None:
    talk = state("a")

    history(talk).clear()

    assert len(talk.messages) == 1


# --- the context --------------------------------------------------------------------------------


def test_a_context_has_everything_that_was_asked_for() -> None:
    full = build(state("a", "b", files=2))

    assert talk(full) == ["a", "b"]
    assert [file.path for file in full.files] == ["0.py", "1.py"]
    assert full.file_index["0.py"]["lines"] == 3
    assert full.working_context == {"goal": ["x"]}
    assert full.metadata == {"conversation_count": 2, "active_file_count": 2, "timestamp": NOON.isoformat()}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_leaves_the_others_empty(part: str) -> None:
    context = build(state("a", files=1), [part])

    assert [name for name in PARTS if getattr(context, name)] == [part]
    assert context.metadata["conversation_count"] == 1
    assert context.metadata["active_file_count"] == 1


def test_without_a_part_the_counts_are_still_there() -> None:
    assert build(state("a"), ()).metadata["conversation_count"] == 1


@pytest.mark.parametrize("include", [["codebase"], ["conversation", "nonsense"], "conversation", [3]])
def test_an_unknown_part_is_refused(include: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        build(state(), include)

    assert caught.value.field == "include"


def test_bounds_keep_the_newest() -> None:
    bounded = build(state("a", "b", "c", files=5), max_messages=2, max_files=3)

    assert talk(bounded) == ["b", "c"]
    assert [file.path for file in bounded.files] == ["2.py", "3.py", "4.py"]
    assert bounded.metadata["conversation_count"] == 3
    assert bounded.metadata["active_file_count"] == 5


def test_a_bound_of_nothing_leaves_nothing() -> None:
    for bound in (0, -1, -999):
        empty = build(state("a", files=1), max_messages=bound, max_files=bound)
        assert (talk(empty), list(empty.files)) == ([], [])
        assert talk(build(state("a"), max_tokens=bound)) == []


def test_tokens_are_spent_on_the_newest_first() -> None:
    long = state("x" * 400, "y" * 40, "z" * 4)

    for max_tokens, expected in ((0, 0), (1, 1), (10, 1), (11, 2), (110, 2), (111, 3), (9999, 3)):
        assert len(build(long, max_tokens=max_tokens).conversation) == expected


def test_nothing_older_is_taken_past_what_does_not_fit() -> None:
    assert talk(build(state("a", "y" * 400, "c"), max_tokens=50)) == ["c"]


def test_both_bounds_hold_together() -> None:
    talkative = state(*["four" for _ in range(20)])

    assert len(build(talkative, max_messages=5, max_tokens=3).conversation) == 3
    assert len(build(talkative, max_messages=2, max_tokens=3).conversation) == 2


def test_four_characters_are_a_token_and_everything_is_at_least_one() -> None:
    assert [estimated_tokens("x" * length) for length in (0, 1, 3, 4, 7, 8, 400)] == [1, 1, 1, 1, 1, 2, 100]


@given(
    st.lists(st.text("ab", min_size=1, max_size=60), max_size=12),
    st.none() | st.integers(-2, 15),
    st.none() | st.integers(-2, 60),
)
def test_a_window_is_the_end_of_the_conversation_and_fits(
    contents: list[str], max_messages: int | None, max_tokens: int | None
) -> None:
    messages = state(*contents).messages

    kept = window(messages, max_messages=max_messages, max_tokens=max_tokens)

    assert list(kept) == list(messages)[len(messages) - len(kept) :]
    spent = sum(estimated_tokens(message.content) for message in kept)
    assert max_tokens is None or spent <= max(0, max_tokens)
    assert max_messages is None or len(kept) <= max(0, max_messages)
    if len(kept) < len(messages) and (max_messages is None or len(kept) < max_messages):
        assert max_tokens is not None
        assert spent + estimated_tokens(messages[-len(kept) - 1].content) > max_tokens


def test_a_context_can_be_kept() -> None:
    before = state("a", files=1)
    context = build(before)

    before.apply(Entry(before.seq + 1, "conversation_cleared", NOON, {}, None, 1))

    assert talk(context) == ["a"]
    assert Context.model_validate_json(context.model_dump_json()) == context
    for change in (
        context.conversation.clear,
        context.working_context.clear,
        context.file_index["0.py"].clear,
    ):
        with pytest.raises(TypeError):
            change()


# --- by a policy --------------------------------------------------------------------------------


def test_a_policy_chooses_the_conversation() -> None:
    long = state("the disk has failed", *["nothing new"] * 99)

    assert (
        talk(build(long, policy=ContextPolicy.of({"policy": "smart"}))) == talk(build(long))[:1] + ["nothing new"] * 30
    )
    assert talk(build(long, policy=ContextPolicy(), max_tokens=24)) == ["the disk has failed"] + ["nothing new"] * 10
    assert talk(build(long, policy=ContextPolicy(), max_messages=5)) == ["nothing new"] * 5
    assert talk(build(long, ["files"], policy=ContextPolicy())) == []
    for bound in (0, -3):
        assert talk(build(long, policy=ContextPolicy(), max_messages=bound)) == []
        assert talk(build(long, policy=ContextPolicy(), max_tokens=bound)) == []


def test_what_was_chosen_before_is_shown() -> None:
    long = state("a", "b", "c")

    assert talk(build(long, shown=long.messages[1:], max_tokens=1)) == ["b", "c"]
    assert talk(build(long, shown=())) == []
    assert talk(build(long, ["files"], shown=long.messages)) == []


def test_a_bound_is_in_the_sessions_own_tokens() -> None:
    assert talk(build(state("x" * 40, "y" * 40), max_tokens=20, meter=Meter(factor=2.0))) == ["y" * 40]


def test_a_conversation_is_looked_through_once() -> None:
    counted: list[str] = []

    def counter(text: str) -> int:
        counted.append(text)
        return 1

    long = state(*(f"message {number}" for number in range(1000)))
    meter = Meter(counter)
    for _ in range(3):
        assert len(build(long, max_tokens=990, meter=meter).conversation) == 990
    seen = len(counted)
    assert seen <= 1000

    long.apply(Entry(long.seq + 1, "conversation_added", NOON, {"id": "m", "role": "user", "content": "new"}, None, 1))

    assert talk(build(long, max_tokens=990, meter=meter))[-1] == "new"
    assert len(counted) <= seen + 65


def test_a_cleared_conversation_is_chosen_from_anew() -> None:
    one = state("failed", "b")
    smart = ContextPolicy.of({"policy": "smart"})
    assert talk(build(one, policy=smart)) == ["failed", "b"]

    one.apply(Entry(one.seq + 1, "conversation_cleared", NOON, {}, None, 1))
    assert talk(build(one, policy=smart)) == []
    assert build(one, max_tokens=5).conversation == []
    one.apply(Entry(one.seq + 1, "conversation_added", NOON, {"id": "m", "role": "user", "content": "c"}, None, 1))

    assert talk(build(one, policy=smart)) == ["c"]
    assert len(one.copy().timeline.messages) == 1


def test_a_copy_is_chosen_from_by_itself() -> None:
    one = state("a")
    assert one.timeline is one.timeline
    other = one.copy()

    other.apply(Entry(other.seq + 1, "conversation_added", NOON, {"id": "m", "role": "user", "content": "b"}, None, 1))

    assert (len(one.timeline.messages), len(other.timeline.messages)) == (1, 2)
    assert talk(build(one, policy=ContextPolicy())) == ["a"]


# --- how full it is -----------------------------------------------------------------------------


def test_stats_say_how_full_it_is() -> None:
    stats = context_stats(state("x" * 4000, "y" * 3, files=2), max_context_tokens=120_000)

    assert stats.model_dump() == {
        "session_id": SESSION,
        "message_count": 2,
        "estimated_tokens": 1000,
        "context_percentage": 0.83,
        "cycle_count": 0,
        "active_file_count": 2,
        "max_context_tokens": 120_000,
        "saved_at": NOON,
    }


def test_stats_of_an_empty_session_are_zero() -> None:
    stats = context_stats(state(), max_context_tokens=100)

    assert (stats.message_count, stats.estimated_tokens, stats.context_percentage) == (0, 0, 0.0)


def test_more_than_full_is_more_than_a_hundred() -> None:
    assert context_stats(state("x" * 1000), max_context_tokens=100).context_percentage == 250.0


def test_cycles_are_turns_from_what_the_metadata_said_on() -> None:
    def counted(*drafts: tuple[str, dict[str, Any]], metadata: dict[str, Any] | None = None) -> int:
        session = state(metadata=metadata)
        for type, data in drafts:
            session.apply(Entry(session.seq + 1, type, NOON, data, None, 1))
        return context_stats(session, max_context_tokens=100).cycle_count

    def told(patch: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return "context_updated", {"part": "metadata", "patch": patch, "version": 2}

    turn = ("turn_completed", {"turn_id": "t"})
    assert counted(turn, turn) == 2
    assert counted(turn, metadata={"cycle_count": 7}) == 8
    assert counted(turn, told({"cycle_count": 7}), turn) == 8
    assert counted(turn, told({"cycle_count": 0})) == 0
    assert counted(turn, told({"other": 5})) == 1
    for none in ("7", -7, True, 7.0, None, 10**30):
        assert counted(turn, told({"cycle_count": none}), turn) == 2


def test_a_count_in_the_metadata_is_the_count() -> None:
    assert context_stats(state(metadata={"cycle_count": 7}), max_context_tokens=100).cycle_count == 7
    assert context_stats(state(metadata={"cycle_count": "7"}), max_context_tokens=100).cycle_count == 0


def test_messages_of_a_context_are_the_messages() -> None:
    one = state("a")

    assert build(one).conversation[0] is one.messages[0]
    assert isinstance(one.messages[0], Message)
