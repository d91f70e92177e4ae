"""What a session has used, by model, and what its provider has taught it about counting tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from jidoka.core.chunks import Usage
from jidoka.core.frozen import EMPTY
from jidoka.core.records import Record
from jidoka.core.tokens import calibrated

NOTHING = Usage()


class SessionUsage(Record):
    """What a session has used: tokens as providers report them, and estimates where a budget needs them."""

    session_id: str
    turns: int
    """Those that have ended, however they did."""
    total: Usage
    by_model: dict[str, Usage] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Never changes; it is replaced."""

    by_model: Mapping[str, Usage] = EMPTY
    turns: int = 0
    factor: float = 1.0
    """What the counter's figures are multiplied with."""
    is_approved: bool = False
    """Whether a person knows that the session's budget is nearly spent."""

    @property
    def total(self) -> Usage:
        """Of all models."""
        return sum(self.by_model.values(), NOTHING)

    def with_turn(self, model: str, usage: Usage) -> Ledger:
        """A turn has ended."""
        return Ledger(self._with(model, usage), self.turns + 1, self.factor, self.is_approved)

    def with_usage(self, model: str, usage: Usage) -> Ledger:
        """A model was called."""
        return replace(self, by_model=self._with(model, usage))

    def _with(self, model: str, usage: Usage) -> Mapping[str, Usage]:
        if usage.is_nothing:
            return self.by_model
        return {**self.by_model, model: self.by_model.get(model, NOTHING) + usage}

    def measured(self, data: Mapping[str, Any] | None) -> Ledger:
        """A provider has said how many tokens there were, where the counter had said `estimated`."""
        if not data:
            return self
        factor = calibrated(self.factor, estimated=data["estimated"], reported=data["reported"])
        return self if factor == self.factor else replace(self, factor=factor)
