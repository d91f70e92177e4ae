"""When the line is stopped."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.chunks import ToolCall, Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.rules import Budget, CallRecord, Halt, Rules, TurnRecord, canonical, judge

DEFAULTS = Rules()


def made(*marks: str) -> list[CallRecord]:
    """Calls from marks: `a` is call a, `a!` the same and it failed, `a=3` the same with the result 3."""
    records: list[CallRecord] = []
    for number, mark in enumerate(marks):
        name, _, result = mark.rstrip("!").partition("=")
        call = ToolCall(id=f"c{number}", name="tool", arguments={"of": name})
        outcome = "failed" if mark.endswith("!") else "ok"
        records.append(CallRecord.of(call, outcome, result or f"result {number}"))
    return records


def reason(halt: Halt | None) -> str | None:
    return None if halt is None else halt.reason


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("", None),
        ("a", None),
        ("a! a!", None),
        ("a! a! a!", "call_keeps_failing"),
        ("a! b a! c a!", "call_keeps_failing"),
        ("a! a! a", None),
        ("a! b! a!", None),
        ("a! a! a! b", "call_keeps_failing"),
        ("a=1 a=1 a=1 a=1", None),
        ("a=1 a=1 a=1 a=1 a=1", "no_progress"),
        ("b a=1 a=1 a=1 a=1 a=1", "no_progress"),
        ("a=1 a=1 a=2 a=1 a=1", None),
        ("a=1 a=1 b=1 a=1 a=1", None),
        ("a=1 a=1 a=1 a=1 a=1 a=2", None),
        ("a=1 b=1 a=1 b=1 a=1 b=1 a=1 b=1", None),
        ("a! b! c! d!", None),
        ("a! b! c! d! e!", "error_burst"),
        ("a! x b! x c! x d! x e!", "error_burst"),
        ("a! x x b! x x c! x x d! x x e!", None),
        ("a! b! c! d! e! x x x x x", "error_burst"),
        ("a! b! c! d! e! x x x x x x", None),
    ],
)
def test_what_a_turn_did_stops_the_line(marks: str, expected: str | None) -> None:
    assert reason(judge(TurnRecord(made(*marks.split())), DEFAULTS)) == expected


@pytest.mark.parametrize(
    ("tokens", "cost", "max_tokens", "max_cost", "expected"),
    [
        (0, None, 1000, None, None),
        (899, None, 1000, None, None),
        (900, None, 1000, None, "budget_nearly_spent"),
        (5000, None, 1000, None, "budget_nearly_spent"),
        (5000, None, None, None, None),
        (0, 0.89, None, 1.0, None),
        (0, 0.9, None, 1.0, "budget_nearly_spent"),
        (0, None, None, 1.0, None),
        (10, 0.95, 1000, 1.0, "budget_nearly_spent"),
    ],
)
def test_a_budget_that_is_nearly_spent_stops_the_line(
    tokens: int, cost: float | None, max_tokens: int | None, max_cost: float | None, expected: str | None
) -> None:
    budget = Budget("session", max_tokens, max_cost, Usage(input_tokens=tokens, cost=cost))

    assert reason(judge(TurnRecord(budgets=[Budget("turn"), budget]), DEFAULTS)) == expected
    assert judge(TurnRecord(budgets=[budget], approved_budgets=frozenset({"session"})), DEFAULTS) is None


def test_a_tool_may_need_a_person() -> None:
    rules = Rules.of({"needs_approval": ["deploy"]})
    call = ToolCall(id="c9", name="deploy", arguments={"to": "production"})

    halt = judge(TurnRecord(pending=call), rules)

    assert halt is not None
    assert halt.as_dict() == {
        "reason": "needs_approval",
        "evidence": {"call_id": "c9", "tool": "deploy", "arguments": '{"to":"production"}'},
    }
    assert judge(TurnRecord(pending=call, approved_calls=frozenset({"c9"})), rules) is None
    assert judge(TurnRecord(pending=call, approved_calls=frozenset({"c8"})), rules) is not None
    assert judge(TurnRecord(pending=ToolCall(id="c9", name="look")), rules) is None
    assert judge(TurnRecord(pending=call), DEFAULTS) is None


def test_the_evidence_says_what_happened() -> None:
    halt = judge(TurnRecord(made("a", "b!", "x", "b!", "b!")), DEFAULTS)

    assert halt is not None
    assert halt.evidence == {
        "tool": "tool",
        "arguments": '{"of":"b"}',
        "times": 3,
        "call_ids": ["c1", "c3", "c4"],
        "last_result": "result 4",
    }


def test_a_burst_says_how_many_of_how_many() -> None:
    halt = judge(TurnRecord(made(*["a!", "b!", "x", "c!", "d!", "e!"])), DEFAULTS)

    assert halt is not None
    assert (halt.evidence["failed"], halt.evidence["of"]) == (5, 6)


def test_what_a_person_has_approved_is_not_held_against_the_turn() -> None:
    calls = made("a!", "a!", "a!")

    assert judge(TurnRecord(calls, forgiven=3), DEFAULTS) is None
    more = made("a!", "a!", "a!", "a!", "a!")
    assert judge(TurnRecord(more, forgiven=3), DEFAULTS) is None
    more = made("a!", "a!", "a!", "a!", "a!", "a!")
    assert reason(judge(TurnRecord(more, forgiven=3), DEFAULTS)) == "call_keeps_failing"


def test_arguments_are_the_same_in_any_order() -> None:
    assert canonical({"a": 1, "b": {"d": [1, 2], "c": None}}) == canonical({"b": {"c": None, "d": [1, 2]}, "a": 1})
    assert canonical({"a": 1}) != canonical({"a": "1"})
    assert canonical({"a": True}) != canonical({"a": 1})


def test_a_persons_question_goes_before_what_went_wrong() -> None:
    turn = TurnRecord(made("a!", "a!", "a!"), pending=ToolCall(id="c", name="deploy"))

    assert reason(judge(turn, Rules.of({"needs_approval": ["deploy"]}))) == "needs_approval"


@given(st.lists(st.sampled_from(["a!", "a=1", "b!", "b=1", "c", "d!"]), max_size=30), st.integers(0, 30))
def test_every_rule_can_be_turned_off_and_halts_can_be_kept(marks: Sequence[str], forgiven: int) -> None:
    calls = made(*marks)
    usage = Usage(input_tokens=999, cost=9)
    turn = TurnRecord(calls, [Budget("turn", 1000, 10, usage)], forgiven=forgiven)

    assert judge(turn, Rules.of(False)) is None
    assert judge(TurnRecord(calls, forgiven=len(calls)), DEFAULTS) is None
    halt = judge(turn, DEFAULTS)
    assert halt is not None
    assert json.loads(json.dumps(halt.as_dict())) == halt.as_dict()


# --- options --------------------------------------------------------------------------------------


def test_defaults_are_on() -> None:
    assert Rules.of(None) == Rules.of(True) == Rules.of({}) == Rules()
    assert (DEFAULTS.same_call_failures, DEFAULTS.repeats, DEFAULTS.error_burst) == (3, 5, 5)
    assert (DEFAULTS.error_window, DEFAULTS.budget_part, DEFAULTS.needs_approval) == (10, 0.9, frozenset())


def test_rules_are_a_sessions_own() -> None:
    rules = Rules.of({"same_call_failures": 1, "repeats": None, "needs_approval": ["rm", "rm"]})

    assert (rules.same_call_failures, rules.repeats, rules.needs_approval) == (1, None, frozenset({"rm"}))
    assert reason(judge(TurnRecord(made("a!")), rules)) == "call_keeps_failing"
    assert judge(TurnRecord(made(*["a=1"] * 9)), rules) is None


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *(("same_call_failures", bad) for bad in (0, -1, 1.5, True, "3", 10**9)),
        *(("repeats", bad) for bad in (1, 0, "5", False)),
        *(("error_burst", bad) for bad in (0, 11, "5")),
        *(("error_window", bad) for bad in (0, None, "5", 1.0)),
        *(("budget_part", bad) for bad in (0, 1.1, "1", True, float("nan"))),
        *(("needs_approval", bad) for bad in ("deploy", [3], [""], ["x" * 300], None, {"a": 1})),
        *(("unknown", bad) for bad in (None, 3)),
    ],
)
def test_rules_that_cannot_be_are_refused_by_name(field: str, bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Rules.of({field: bad})

    assert caught.value.field == f"rules.{field}"


@pytest.mark.parametrize("bad", ["on", 3, ["repeats"], 1.5])
def test_rules_are_an_object(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Rules.of(bad)

    assert caught.value.field == "rules"
