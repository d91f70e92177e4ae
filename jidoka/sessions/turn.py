"""A turn that is under way: who asked for it, who hears it, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from jidoka.core.budgets import Allowance
from jidoka.core.chunks import ToolCall, Usage
from jidoka.core.turns import Decided

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.core.messages import Message
    from jidoka.sessions import requests as ask
    from jidoka.sessions.feed import Feed


NO_BOUND = Allowance()
NOTHING_SAID = Decided(0, is_approved=True)


@dataclass(slots=True)
class Said:
    """What a model says when it is called once."""

    estimated: int = 0
    """The tokens that it was shown."""
    pieces: list[str] = field(default_factory=list[str])
    characters: int = 0
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    """Those that it has not made by itself."""
    done: int = 0
    """How many it has."""
    usage: Usage | None = None
    """As it reports it."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    def used(self) -> Usage:
        """What it took so far: as reported, or by an estimate where that is more."""
        output = self.characters // 4
        if self.usage is None:
            return Usage(input_tokens=self.estimated, output_tokens=output)
        if self.usage.output_tokens >= output:
            return self.usage
        return self.usage.model_copy(update={"output_tokens": output})


class Turn:
    """One turn, from its prompt to its end."""

    __slots__ = (
        "_has_begun",
        "_slots",
        "_starters",
        "allowance",
        "decided",
        "feed",
        "gate",
        "id",
        "is_cancelled",
        "is_late",
        "prompt",
        "said",
        "scope",
    )

    def __init__(self, prompt: ask.Prompt) -> None:
        self.id = prompt.turn_id
        self.prompt = prompt
        self.feed: Feed | None = prompt.feed
        self.scope = anyio.CancelScope()
        self.is_cancelled = False
        self.is_late = False
        # The last decision of a person that was heard; opened by the next one.
        self.decided = NOTHING_SAID
        self.gate: anyio.Event | None = None
        # What the model is saying, or said last.
        self.said = Said()
        self.allowance = NO_BOUND
        self._has_begun = False
        self._slots: list[Slot] = []
        self._starters: list[Slot] = []

    def is_for(self, prompt: ask.Prompt) -> bool:
        """Whether *prompt* asks for the same, and nobody streams it."""
        same = (prompt.turn_id, prompt.content) == (self.id, self.prompt.content)
        return same and prompt.feed is None and self.feed is None

    def join(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        """Somebody asks for it: they hear how it ends, or, if they only want to know that, that it has begun."""
        if slot is None:
            return
        if not prompt.is_detached:
            self._slots.append(slot)
        elif self._has_begun:
            slot.set_result(None)
        else:
            self._starters.append(slot)

    def expire(self) -> None:
        """Its time is up."""
        self.is_late = True
        self.scope.cancel()

    def cancel(self) -> None:
        """Call it off."""
        self.is_cancelled = True
        self.scope.cancel()

    def hear(self, decided: Decided) -> None:
        """A person has said something."""
        if decided.seq <= self.decided.seq:
            return
        self.decided = decided
        if self.gate is not None:
            self.gate.set()
            self.gate = None

    async def wait_for_decision(self, seq: int) -> Decided:
        """The first that is heard of those after entry *seq*."""
        while self.decided.seq <= seq:
            gate = self.gate = anyio.Event()
            await gate.wait()
        return self.decided

    def has_begun(self) -> None:
        """It is in the journal."""
        self._has_begun = True
        for slot in self._starters:
            if not slot.done():
                slot.set_result(None)
        self._starters.clear()

    def settle(self, answer: Message | None, error: Exception | None) -> None:
        """Tell whoever asked. Once."""
        if self.feed is not None:
            self.feed.end(answer, error)
        for slot in (*self._slots, *self._starters):
            if slot.done():
                continue
            if error is not None:
                slot.set_exception(error)
            else:
                slot.set_result(answer)
