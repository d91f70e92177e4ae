"""One entry of a session's journal: all that ever happened to it, in one order."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """What happened. A tuple, because sessions make millions of them."""

    seq: int
    """1, 2, 3 … without a gap, per session."""
    type: str
    """An `EventType`."""
    at: datetime
    """Aware, UTC. For people: order is what `seq` says."""
    data: dict[str, Any]
    """Plain JSON. Nobody changes it once the entry is made."""
    key: str | None = None
    """The idempotency key, unique in its session."""
    epoch: int = 0
    """Which writer wrote it. A store refuses an older writer than the newest it knows."""
    correlation_id: str | None = None
    causation_id: str | None = None


def entry_id(session_id: str, entry: Entry) -> str:
    """What the entry is called outside its session."""
    return f"{session_id}.{entry.epoch}.{entry.seq}"
