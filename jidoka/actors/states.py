"""The states of a cell, and whose code is running."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from jidoka.actors.actor import Actor

State = Literal["new", "starting", "running", "closing", "waiting", "dead"]

# In the order of a life. WAITING is between two incarnations.
NEW: Final = "new"
STARTING: Final = "starting"
RUNNING: Final = "running"
CLOSING: Final = "closing"
WAITING: Final = "waiting"
DEAD: Final = "dead"

# The actor whose async code is running, and whether it is handling a message. None in everybody else's tasks.
acting: ContextVar[tuple[Actor, bool] | None] = ContextVar("jidoka_acting", default=None)
