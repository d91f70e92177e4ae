"""How much a turn, and a session, may spend: the options under `budget` in its `llm_config`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.options import Check, checked, whole
from jidoka.core.rules import Budget

_MOST: Final = 10**15
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no bound. Costs are in the currency of the prices, which are for a million tokens."""

    turn_tokens: int | None = None
    turn_cost: float | None = None
    session_tokens: int | None = None
    session_cost: float | None = None
    input_price: float | None = None
    """What a million tokens cost, where the provider does not say what an answer has cost."""
    output_price: float | None = None

    @classmethod
    def of(cls, options: Any) -> Limits:
        """What *options* say. Raises InvalidMessage, whose `field` is the option."""
        return cls() if options is None else cls(**checked(options, _CHECKS, field="budget"))

    @property
    def is_set(self) -> bool:
        """Whether there is any bound."""
        return (self.turn_tokens, self.turn_cost, self.session_tokens, self.session_cost) != (None, None, None, None)

    def priced(self, usage: Usage) -> Usage:
        """*usage* with its cost, where a price is known and nothing is said."""
        if usage.cost is not None or (self.input_price is None and self.output_price is None):
            return usage
        cost = usage.input_tokens * (self.input_price or 0) + usage.output_tokens * (self.output_price or 0)
        return usage.model_copy(update={"cost": cost / _MILLION})

    def budgets(self, turn: Usage, session: Usage) -> tuple[Budget, ...]:
        """What is spent of each, where there is one."""
        found: list[Budget] = []
        if self.turn_tokens is not None or self.turn_cost is not None:
            found.append(Budget("turn", self.turn_tokens, self.turn_cost, turn))
        if self.session_tokens is not None or self.session_cost is not None:
            found.append(Budget("session", self.session_tokens, self.session_cost, session))
        return tuple(found)


def _amount(field: str, value: Any) -> None:
    if value is not None and not (type(value) in {int, float} and 0 <= value <= _MOST):
        raise InvalidMessage(f"{field} is a number from 0 to {_MOST}, or null", field=field)


_CHECKS: dict[str, Check] = {
    "turn_tokens": whole(0, _MOST),
    "turn_cost": _amount,
    "session_tokens": whole(0, _MOST),
    "session_cost": _amount,
    "input_price": _amount,
    "output_price": _amount,
}

assert _CHECKS.keys() == {one.name for one in fields(Limits)}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left for an answer that is about to begin: budgets with what was spent of them before it."""

    limits: Limits = Limits()
    budgets: tuple[Budget, ...] = ()

    def excess(self, usage: Usage) -> str | None:
        """Which budget an answer that took *usage* has gone beyond, in words."""
        if not self.budgets:
            return None
        now = self.limits.priced(usage)
        for budget in self.budgets:
            spent = budget.usage + now
            if budget.max_tokens is not None and spent.total_tokens > budget.max_tokens:
                return f"the {budget.name}'s budget is {budget.max_tokens} tokens"
            if budget.max_cost is not None and (spent.cost or 0) > budget.max_cost:
                return f"the {budget.name}'s budget is {budget.max_cost}"
        return None
