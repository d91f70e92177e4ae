"""When the line is stopped: rules that look at what a turn has done, before it does more. What follows is a person's.

Nothing here acts. Whoever runs a turn asks `judge` before each effect and after each outcome.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from jidoka.core.chunks import ToolCall, Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import freeze
from jidoka.core.options import Check, checked, part_or_none, texts, whole

Outcome = Literal["ok", "failed"]
Reason = Literal["needs_approval", "call_keeps_failing", "no_progress", "error_burst", "budget_nearly_spent"]


@dataclass(frozen=True, slots=True)
class Rules:
    """A session's rules: the options under `rules` in its `llm_config`. None turns a rule off."""

    same_call_failures: int | None = 3
    """So many times the same call of a tool has failed."""
    repeats: int | None = 5
    """So many times in a row the same call has had the same result."""
    error_burst: int | None = 5
    """So many of the last `error_window` calls have failed, whichever they were."""
    error_window: int = 10
    budget_part: float | None = 0.9
    """So much of the turn's or the session's budget is spent."""
    needs_approval: frozenset[str] = frozenset()
    """The tools that a person is asked about, each time."""

    @classmethod
    def of(cls, options: Any) -> Rules:
        """What *options* say. True is all the defaults, False none of them. Raises InvalidMessage."""
        if options is None or options is True:
            return cls()
        if options is False:
            return cls(same_call_failures=None, repeats=None, error_burst=None, budget_part=None)
        found = checked(options, _CHECKS, field="rules")
        if "needs_approval" in found:
            found["needs_approval"] = frozenset(found["needs_approval"])
        rules = cls(**found)
        if rules.error_burst is not None and rules.error_burst > rules.error_window:
            raise InvalidMessage("so many errors are never seen at once: raise error_window", field="rules.error_burst")
        return rules


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call of a tool that has come to its end. *result* is compared, not read: a digest of it will do."""

    id: str
    name: str
    arguments: str
    outcome: Outcome
    result: str = ""

    @classmethod
    def of(cls, call: ToolCall, outcome: Outcome, result: str = "") -> CallRecord:
        """The record of *call*."""
        return cls(call.id, call.name, canonical(call.arguments), outcome, result)

    @property
    def what(self) -> tuple[str, str]:
        """What was called: calls are the same if this is."""
        return self.name, self.arguments


@dataclass(frozen=True, slots=True)
class Budget:
    """What there may be, and what of it is spent. None: without a bound."""

    name: Literal["turn", "session"]
    max_tokens: int | None = None
    max_cost: float | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """What a turn has done so far, oldest call first, and the call that it is about to make."""

    calls: Sequence[CallRecord] = ()
    budgets: Sequence[Budget] = ()
    pending: ToolCall | None = None
    approved_calls: frozenset[str] = frozenset()
    """The ids of calls that a person has approved."""
    forgiven: int = 0
    """How many of the calls there were when a person last said: go on. They are not held against the turn again."""
    approved_budgets: frozenset[str] = frozenset()
    """The names of budgets of which a person knows that they are nearly spent."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop here. What `session_halted` says."""

    reason: Reason
    evidence: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, frozen."""
        return {"reason": self.reason, "evidence": freeze(dict(self.evidence))}


def canonical(arguments: Mapping[str, Any]) -> str:
    """*arguments* as text that is the same for the same JSON, in whichever order it came."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def judge(turn: TurnRecord, rules: Rules) -> Halt | None:
    """The first rule that fires, or None. A person's approval counts: no rule fires twice for the same thing."""
    calls = turn.calls[turn.forgiven :]
    return (
        _needs_approval(turn, rules)
        or _keeps_failing(calls, rules)
        or _no_progress(calls, rules)
        or _error_burst(calls, rules)
        or _nearly_spent(turn, rules)
    )


def _needs_approval(turn: TurnRecord, rules: Rules) -> Halt | None:
    call = turn.pending
    if call is None or call.name not in rules.needs_approval or call.id in turn.approved_calls:
        return None
    return Halt("needs_approval", {"call_id": call.id, "tool": call.name, "arguments": canonical(call.arguments)})


def _keeps_failing(calls: Sequence[CallRecord], rules: Rules) -> Halt | None:
    if rules.same_call_failures is None:
        return None
    failures = Counter(call.what for call in calls if call.outcome == "failed")
    for call in reversed(calls):
        if failures[call.what] >= rules.same_call_failures:
            same = [one for one in calls if one.what == call.what and one.outcome == "failed"]
            return Halt("call_keeps_failing", _evidence(same))
    return None


def _no_progress(calls: Sequence[CallRecord], rules: Rules) -> Halt | None:
    if rules.repeats is None or len(calls) < rules.repeats:
        return None
    last = calls[-rules.repeats :]
    is_same = all((call.what, call.outcome, call.result) == (last[0].what, "ok", last[0].result) for call in last)
    return Halt("no_progress", _evidence(last)) if is_same else None


def _error_burst(calls: Sequence[CallRecord], rules: Rules) -> Halt | None:
    if rules.error_burst is None:
        return None
    failed = [call for call in calls[-rules.error_window :] if call.outcome == "failed"]
    if len(failed) < rules.error_burst:
        return None
    return Halt("error_burst", {"failed": len(failed), "of": min(len(calls), rules.error_window), **_evidence(failed)})


def _nearly_spent(turn: TurnRecord, rules: Rules) -> Halt | None:
    if rules.budget_part is None:
        return None
    for budget in turn.budgets:
        if budget.name in turn.approved_budgets:
            continue
        for unit, spent, most in (
            ("tokens", budget.usage.total_tokens, budget.max_tokens),
            ("cost", budget.usage.cost or 0, budget.max_cost),
        ):
            if most is not None and spent >= rules.budget_part * most:
                return Halt("budget_nearly_spent", {"budget": budget.name, "unit": unit, "spent": spent, "of": most})
    return None


def _evidence(calls: Sequence[CallRecord]) -> dict[str, Any]:
    last = calls[-1]
    return {
        "tool": last.name,
        "arguments": last.arguments,
        "times": len(calls),
        "call_ids": [call.id for call in calls],
        "last_result": last.result[:1000],
    }


# --- options --------------------------------------------------------------------------------------

_MOST: Final = 10_000

_CHECKS: dict[str, Check] = {
    "same_call_failures": whole(1, _MOST),
    "repeats": whole(2, _MOST),
    "error_burst": whole(1, _MOST),
    "error_window": whole(1, _MOST, is_optional=False),
    "budget_part": part_or_none,
    "needs_approval": texts("names of tools", most=_MOST, longest=255),
}

assert _CHECKS.keys() == {one.name for one in fields(Rules)}
