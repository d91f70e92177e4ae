"""What a cycle comes to, and what a session keeps of its cycles."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import FrozenDict, JsonValue, frozen
from jidoka.core.messages import SessionInfo
from jidoka.core.records import Record
from jidoka.cycles.formatter import ActionItem, action_items

KEY: Final = "cycles"
"""Where a session's metadata keeps its ledger."""
DEGRADED_AFTER: Final = 3
"""So many cycles in a row without an answer, and the monitor is not much of one (seed 001)."""

Status = Literal["answered", "unknown"]


class Comparison(Record):
    """What the long session has taken so far, beside sessions that know nothing of the cycles before."""

    cycles: int = 0
    """How many were asked both ways."""
    persistent: Usage = Usage()
    stateless: Usage = Usage()

    @property
    def tokens_per_cycle(self) -> tuple[float, float]:
        """On average: persistent, stateless."""
        cycles = self.cycles or 1
        return self.persistent.total_tokens / cycles, self.stateless.total_tokens / cycles

    def plus(self, persistent: Usage, stateless: Usage) -> Comparison:
        """With one cycle more."""
        return Comparison(
            cycles=self.cycles + 1, persistent=self.persistent + persistent, stateless=self.stateless + stateless
        )


class Opened(Record):
    """A cycle that has begun. Its prompt is kept until its end, so that another process can ask the very same."""

    number: int = Field(ge=1)
    due: AwareDatetime
    began_at: AwareDatetime
    prompt: str | None
    """None where the observation failed, with the `error`."""
    error: str | None = None
    facts: JsonValue = None
    missed: int = Field(default=0, ge=0)
    after: int = Field(ge=0)
    """The journal's last entry before it: its turns come after that."""


class Ledger(Record):
    """What the session's metadata says of its cycles."""

    number: int = Field(default=0, ge=0)
    """Of the last cycle that has ended."""
    due: AwareDatetime | None = None
    """When the last one was due, ended or not."""
    facts: JsonValue = None
    """What the last observation wanted to be remembered."""
    unknown_in_a_row: int = Field(default=0, ge=0)
    known_at: AwareDatetime | None = None
    """When a cycle last had an answer."""
    usage: Usage = Usage()
    """Of all cycles together."""
    comparison: Comparison = Comparison()
    open: Opened | None = None
    by: str = ""
    """Which monitor wrote this: of several, one may say that it was."""


class Stateless(Record):
    """The same question, asked in a session of its own."""

    status: Status
    text: str
    usage: Usage


class Cycle(Record):
    """One cycle that has ended. Where there is no answer, its text says what that means: nothing good."""

    session_id: str
    number: int
    status: Status
    """`unknown` is not "all is well": assume the worst."""
    text: str
    reason: str | None = None
    """Why it is unknown, in one stable word …"""
    error: str | None = None
    """… and in a sentence."""
    due: AwareDatetime
    began_at: AwareDatetime
    ended_at: AwareDatetime
    attempts: int
    """How often the model was asked. 0: there was nothing to ask about."""
    missed: int = 0
    """How many slots before it passed without a cycle."""
    resumed: bool = False
    """Whether it was begun by another run, which did not end it."""
    unknown_in_a_row: int = 0
    seq: int | None = None
    """The answer's entry in the journal."""
    usage: Usage = Usage()
    total_usage: Usage = Usage()
    """Of this cycle and all before it."""
    stateless: Stateless | None = None
    comparison: Comparison | None = None

    @property
    def is_degraded(self) -> bool:
        """Whether so many cycles in a row were unknown that somebody should have a look at the monitor itself."""
        return self.unknown_in_a_row >= DEGRADED_AFTER

    @property
    def action_items(self) -> tuple[ActionItem, ...]:
        """What the answer says must, or should, be done."""
        return action_items(self.text) if self.status == "answered" else ()


def ledger_of(info: SessionInfo) -> Ledger | None:
    """The ledger in a session's metadata, or None. Raises InvalidMessage if what is there is not one."""
    found: Any = info.metadata.get(KEY)
    if found is None:
        return None
    try:
        [ledger] = found
        return Ledger.model_validate(ledger)
    except (TypeError, ValueError, ValidationError) as error:
        raise InvalidMessage("what is there is no ledger of cycles", field=f"metadata.{KEY}") from error


def patch_of(ledger: Ledger) -> FrozenDict:
    """The change of the metadata that makes *ledger* the session's."""
    # In a list, because a merge patch replaces lists, and would merge an object with what was there.
    return frozen({KEY: [ledger.model_dump(mode="json")]})
