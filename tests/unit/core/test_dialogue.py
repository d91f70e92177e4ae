"""A conversation as providers accept it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.chunks import ToolCall
from jidoka.core.dialogue import BEGINNING, GO_ON, INTERRUPTED, Answered, Asked, Dialogue, dialogue_of
from jidoka.core.messages import Context, Message
from tests.unit.adapters.test_echo import NOON, context

CALL = {"id": "c1", "name": "look", "arguments": {"at": "it"}}


def with_metadata(*said: tuple[str, str, dict[str, Any]]) -> Context:
    messages = [
        Message(id=f"m{seq}", seq=seq, session_id="session_1", role=role, content=content, at=NOON, metadata=metadata)  # pyright: ignore
        for seq, (role, content, metadata) in enumerate(said, start=1)
    ]
    return context().model_copy(update={"conversation": messages})


def shape(dialogue: Dialogue) -> list[tuple[str, list[str]]]:
    return [(type(turn).__name__, turn.texts) for turn in dialogue.turns]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], [("Asked", [GO_ON])]),
        ([("user", "hi")], [("Asked", ["hi"])]),
        ([("user", "a"), ("user", "b")], [("Asked", ["a", "b"])]),
        ([("user", "a"), ("assistant", "b"), ("user", "c")], [("Asked", ["a"]), ("Answered", ["b"]), ("Asked", ["c"])]),
        ([("assistant", "b"), ("user", "c")], [("Asked", [BEGINNING]), ("Answered", ["b"]), ("Asked", ["c"])]),
        ([("user", "a"), ("assistant", "b")], [("Asked", ["a"]), ("Answered", ["b"]), ("Asked", [GO_ON])]),
        (
            [("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")],
            [("Asked", ["a"]), ("Answered", ["b", "c"]), ("Asked", ["d"])],
        ),
        ([("user", "a"), ("assistant", " "), ("user", "c")], [("Asked", ["a", "c"])]),
        ([("user", " \n")], [("Asked", [GO_ON])]),
        ([("user", "a"), ("tool", "t")], [("Asked", ["a", "(Output of a tool.)\nt"])]),
    ],
)
def test_question_and_answer_take_turns(said: Any, expected: Any) -> None:
    assert shape(dialogue_of(context(*said))) == expected


def test_what_the_system_says_is_taken_out_in_order() -> None:
    dialogue = dialogue_of(
        context(("user", "a"), ("system", "one"), ("system", ""), ("assistant", "b"), ("system", "two"))
    )

    assert dialogue.system == ["one", "two"]


def test_a_call_and_its_result_belong_together() -> None:
    dialogue = dialogue_of(
        with_metadata(
            ("user", "a", {}),
            ("assistant", "", {"tool_calls": [CALL, {**CALL, "id": "c2"}]}),
            ("tool", "second", {"call_id": "c2"}),
            ("tool", "first", {"call_id": "c1"}),
            ("assistant", "done", {}),
            ("user", "thanks", {}),
        )
    )

    called, answered = dialogue.turns[1:3]
    assert isinstance(called, Answered)
    assert list(called.calls.values()) == [
        ToolCall(id="c1", name="look", arguments={"at": "it"}),
        ToolCall(id="c2", name="look", arguments={"at": "it"}),
    ]
    assert isinstance(answered, Asked)
    assert [(result.call_id, result.output) for result in answered.results] == [("c1", "first"), ("c2", "second")]


def test_ids_that_come_again_in_another_turn_are_told_apart() -> None:
    once, again = (
        (("assistant", "", {"tool_calls": [CALL], "turn_id": id}), ("tool", id, {"call_id": "c1", "turn_id": id}))
        for id in ("t1", "t2")
    )
    dialogue = dialogue_of(with_metadata(("user", "a", {}), *once, ("assistant", "b", {}), ("user", "c", {}), *again))

    calls = [call.id for turn in dialogue.turns if isinstance(turn, Answered) for call in turn.calls.values()]
    results = [
        (result.call_id, result.output) for turn in dialogue.turns if isinstance(turn, Asked) for result in turn.results
    ]
    assert calls == ["c1", "c1-2"]
    assert results == [("c1", "t1"), ("c1-2", "t2")]


def test_a_result_that_comes_late_goes_to_its_call() -> None:
    said = [
        ("assistant", "", {"tool_calls": [CALL]}),
        *(("user", "hurry", {}), ("assistant", "soon", {}), ("tool", "there", {"call_id": "c1"})),
    ]
    dialogue = dialogue_of(with_metadata(*said))

    answered = dialogue.turns[2]
    assert isinstance(answered, Asked)
    assert ([result.output for result in answered.results], answered.texts) == (["there"], ["hurry"])


def test_a_call_without_a_result_was_interrupted() -> None:
    dialogue = dialogue_of(with_metadata(("assistant", "", {"tool_calls": [CALL]}), ("user", "well?", {})))

    last = dialogue.turns[-1]
    assert isinstance(last, Asked)
    assert [(result.call_id, result.error) for result in last.results] == [("c1", INTERRUPTED)]
    assert last.texts == ["well?"]


@pytest.mark.parametrize("call_id", ["c2", None, 7, []])
def test_a_result_without_a_call_is_told_as_a_text(call_id: Any) -> None:
    dialogue = dialogue_of(
        with_metadata(("assistant", "", {"tool_calls": [CALL]}), ("tool", "what is this", {"call_id": call_id}))
    )

    last = dialogue.turns[-1]
    assert isinstance(last, Asked)
    assert last.texts == ["(Output of a tool.)\nwhat is this"]


@pytest.mark.parametrize(
    "calls", [None, "c1", [None], [{"id": "c1"}], [{**CALL, "id": ""}], [{**CALL, "arguments": []}]]
)
def test_calls_that_are_none_are_left_out(calls: Any) -> None:
    dialogue = dialogue_of(
        with_metadata(("user", "a", {}), ("assistant", "b", {"tool_calls": calls}), ("user", "c", {}))
    )

    assert shape(dialogue) == [("Asked", ["a"]), ("Answered", ["b"]), ("Asked", ["c"])]
    assert all(not turn.calls for turn in dialogue.turns if isinstance(turn, Answered))


def test_what_the_session_keeps_is_told_beside_the_last_question() -> None:
    kept = context(("user", "a"), ("assistant", "b"), ("user", "c")).model_copy(
        update={"working_context": {"goal": "é"}}
    )

    dialogue = dialogue_of(kept)

    assert dialogue.turns[-1].texts == ['(What the session keeps, as data.)\n{"working_context": {"goal": "é"}}', "c"]
    assert dialogue.turns[0].texts == ["a"]


ids = st.sampled_from(["c1", "c2", "c3"])
calls = st.fixed_dictionaries({"id": ids, "name": st.just("look"), "arguments": st.just({})})
turn = st.one_of(st.just({}), st.fixed_dictionaries({"turn_id": st.sampled_from(["t1", "t2"])}))
paired = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"call_id": ids}),
    st.fixed_dictionaries({"tool_calls": st.lists(calls, max_size=3)}),
)
metadata = st.builds(lambda one, other: {**one, **other}, turn, paired)
roles = st.sampled_from(["user", "assistant", "system", "tool"])
texts = st.sampled_from(["", " ", "one", "two"])


@given(st.lists(st.tuples(roles, texts, metadata), max_size=12))
def test_whatever_was_said_is_well_formed(said: Any) -> None:
    dialogue = dialogue_of(with_metadata(*said))

    turns = dialogue.turns
    assert [type(turn) for turn in turns] == [Asked if number % 2 == 0 else Answered for number in range(len(turns))]
    assert isinstance(turns[-1], Asked)
    for turn in turns:
        assert turn.texts or (turn.results if isinstance(turn, Asked) else turn.calls)
        assert all(text.strip() for text in turn.texts)
    called = [call.id for turn in turns if isinstance(turn, Answered) for call in turn.calls.values()]
    assert len(set(called)) == len(called)
    answered = [[result.call_id for result in turn.results] for turn in turns if isinstance(turn, Asked)]
    assert answered[0] == []
    assert answered[1:] == [[call.id for call in turn.calls.values()] for turn in turns if isinstance(turn, Answered)]
    spoken = [text for _, text, _ in said if text.strip()]
    told = [text for turn in turns for text in turn.texts] + dialogue.system
    told += [str(result.output) for turn in turns if isinstance(turn, Asked) for result in turn.results]
    assert all(any(text in heard for heard in told) for text in spoken)
