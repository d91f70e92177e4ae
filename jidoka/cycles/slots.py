"""When the next cycle is due, as a plain function of how long ago the last one was."""

from __future__ import annotations

from math import floor
from typing import Final, Literal, NamedTuple

Missed = Literal["skip", "once", "catch_up"]
"""What becomes of slots that passed while nobody could use them: left out, made up for once, or each."""

# After a long absence no more slots than these are caught up with: the newest.
MOST_CAUGHT_UP: Final = 100
# A sum of floats that is so close to a slot, in parts of an interval, is at it.
_CLOSE: Final = 1e-6


class Slot(NamedTuple):
    """The slot to be used next: so many intervals after the last one."""

    steps: int
    wait: float
    """Seconds until then. 0 if it is due already."""
    missed: int
    """How many slots before it nobody will use."""


def next_slot(elapsed: float, every: float, missed: Missed) -> Slot:
    """What comes after a slot that was due *elapsed* seconds ago. The grid stays, however late a cycle is."""
    intervals = elapsed / every
    due = floor(intervals + _CLOSE)
    if due < 1:
        return Slot(1, every - max(elapsed, 0.0), 0)
    match missed:
        case "once":
            return Slot(due, 0.0, due - 1)
        case "catch_up":
            steps = max(1, due - MOST_CAUGHT_UP + 1)
            return Slot(steps, 0.0, steps - 1)
        case "skip":
            if abs(intervals - due) <= _CLOSE:
                return Slot(due, 0.0, due - 1)
            return Slot(due + 1, (due + 1) * every - elapsed, due)
