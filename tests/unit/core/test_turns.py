"""What the entries of an open turn add up to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jidoka.core.entries import Entry
from jidoka.core.turns import OpenTurn, turn_after
from jidoka.testing.entries import NOON

Line = tuple[str, dict[str, Any]]


def begun(**more: Any) -> Line:
    return "turn_started", {"turn_id": "t", "content": "go", "model": "m", **more}


def called(id: str, name: str = "keep", round: int = 1, index: int = 0, **more: Any) -> Line:
    data = {"turn_id": "t", "call_id": id, "name": name, "arguments": {"a": 1}, "round": round, "index": index}
    return "tool_call", {**data, **more}


def ended(id: str, outcome: str = "ok", content: str = "kept") -> Line:
    return "tool_result", {"turn_id": "t", "call_id": id, "outcome": outcome, "content": content}


def halted(reason: str = "look", **more: Any) -> Line:
    return "session_halted", {"reason": reason, "evidence": {}, "turn_id": "t", **more}


def decided(decision: str = "approve", note: str | None = None) -> Line:
    return "decision_recorded", {"decision": decision, "note": note, "by": "ada"}


def fold(*lines: Line) -> OpenTurn:
    turn: OpenTurn | None = None
    for seq, (type, data) in enumerate(lines, start=1):
        turn = turn_after(turn, Entry(seq, type, NOON, data))
    assert turn is not None
    return turn


def test_nothing_but_its_beginning_opens_a_turn() -> None:
    assert turn_after(None, Entry(1, *_at(called("a")))) is None
    assert turn_after(None, Entry(1, *_at(decided()))) is None


def _at(line: Line) -> Any:
    return line[0], NOON, line[1]


def test_its_messages_are_the_question_and_each_round_with_its_results() -> None:
    turn = fold(begun(), called("a", text="first"), ended("a"), called("b", index=1), called("c", round=2, text="then"))

    assert [(role, content) for role, content, _ in turn.said()] == [
        ("user", "go"),
        ("assistant", "first"),
        ("tool", "kept"),
        ("tool", "interrupted: there is no result"),
        ("assistant", "then"),
        ("tool", "interrupted: there is no result"),
    ]
    assert [call["id"] for _, _, data in turn.said() for call in data.get("tool_calls", [])] == ["a", "b", "c"]
    assert [result["call_id"] for result in turn.unanswered()] == ["b", "c"]
    assert turn.round == 2


def test_a_turn_that_is_begun_again_keeps_what_it_has_done() -> None:
    deadline = NOON + timedelta(seconds=60)
    turn = fold(begun(deadline=deadline.isoformat()), called("a"), ended("a", "interrupted"), begun(attempt=2))

    assert (turn.attempt, turn.deadline, len(turn.calls)) == (2, deadline, 1)
    assert turn.pending == ((2, 2, 0), (), "")


def test_the_key_of_a_call_is_the_same_until_it_has_an_end_that_is_known() -> None:
    first = fold(begun()).key_of("s", "keep", {"a": 1})
    open_ = fold(begun(), called("a"), ended("a", "interrupted"), begun(attempt=2)).key_of("s", "keep", {"a": 1})
    done = fold(begun(), called("a"), ended("a")).key_of("s", "keep", {"a": 1})
    failed = fold(begun(), called("a"), ended("a", "error")).key_of("s", "keep", {"a": 1})
    other = fold(begun()).key_of("s", "keep", {"a": 2})

    assert first[1] is False
    assert open_ == (first[0], True)
    assert done == failed != first
    assert len({first[0], done[0], other[0]}) == 3


def test_ids_of_calls_are_made_different() -> None:
    turn = fold(begun(), called("a"))

    assert turn.id_like("b") == "b"
    assert turn.id_like("a") == "a-2"
    assert turn.id_like("") == "call_2"


PENDING = [{"id": id, "name": "keep", "arguments": {}} for id in "ab"]


def test_what_was_to_be_done_next_is_there_until_it_is_done() -> None:
    lines = (
        begun(),
        halted("needs_approval", evidence={"call_id": "a"}, pending=PENDING, text="now", round=1, index=0),
    )
    place, calls, text = fold(*lines).pending
    assert (place, [call.id for call in calls], text) == ((1, 1, 0), ["a", "b"], "now")

    place, calls, _ = fold(*lines, decided(), called("a"), ended("a")).pending
    assert (place, [call.id for call in calls]) == ((1, 1, 1), ["b"])

    # Halted once more by a person, who knows nothing of the calls.
    place, calls, _ = fold(*lines, decided(), called("a"), ended("a"), halted("look")).pending
    assert (place, [call.id for call in calls]) == ((1, 1, 1), ["b"])

    place, calls, _ = fold(*lines, decided(), called("a"), ended("a"), called("b", index=1), ended("b")).pending
    assert (place[1], calls) == (1, ())


@pytest.mark.parametrize(
    ("reason", "evidence", "expected"),
    [
        ("needs_approval", {"call_id": "a"}, {"approved_calls": frozenset({"a"})}),
        ("no_progress", {}, {"forgiven": 1}),
        ("call_keeps_failing", {}, {"forgiven": 1}),
        ("error_burst", {}, {"forgiven": 1}),
        ("budget_nearly_spent", {"budget": "turn"}, {"approved_budgets": frozenset({"turn"})}),
        ("a person said so", {}, {"forgiven": 0}),
    ],
)
def test_what_a_person_approves_is_remembered(reason: str, evidence: dict[str, Any], expected: dict[str, Any]) -> None:
    turn = fold(begun(), called("x"), ended("x"), halted(reason, evidence=evidence), decided())

    assert {name: getattr(turn, name) for name in expected} == expected


def test_a_call_that_is_refused_is_remembered_with_what_was_said() -> None:
    turn = fold(begun(), halted("needs_approval", evidence={"call_id": "a"}), decided("reject", "never"))

    assert turn.refused == {"a": "never"}
    assert turn.approved_calls == frozenset()


def test_once_a_repeated_call_has_come_to_its_end_the_next_one_is_new() -> None:
    first = fold(begun()).key_of("s", "keep", {"a": 1})
    repeated = fold(begun(), called("a"), ended("a", "interrupted")).key_of("s", "keep", {"a": 1})
    after = fold(begun(), called("a"), ended("a", "interrupted"), called("b", index=1), ended("b"))

    assert first == (repeated[0], False)
    assert repeated[1]
    assert after.key_of("s", "keep", {"a": 1}) == (f"{first[0][:-1]}2", False)


@pytest.mark.parametrize(
    ("halt", "is_called_off"),
    [(halted(), True), (halted("no_progress"), True), (halted("needs_approval"), False), (halted(asks=True), False)],
)
def test_a_no_that_is_no_answer_calls_the_turn_off(halt: Line, is_called_off: bool) -> None:
    assert fold(begun(), halt, decided("reject")).is_called_off is is_called_off
    assert not fold(begun(), halt, decided("approve")).is_called_off


def test_what_the_model_used_before_a_halt_is_not_forgotten() -> None:
    call = {"id": "a", "name": "keep", "arguments": {}}
    turn = fold(begun(), halted("needs_approval", pending=[call], usage={"input_tokens": 7}), halted("look"))

    assert turn.halted is not None
    assert turn.halted.usage == {"input_tokens": 7}
