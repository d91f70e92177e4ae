"""What is to be done about a session that has no actors here, though its journal says that it works."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from jidoka.core.config import SessionConfig
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus

WORKING: Final = frozenset({SessionStatus.ACTIVE, SessionStatus.IDLE})
"""Nobody waits for a person, and nothing rests."""


class Care(Enum):
    """What is due."""

    LEAVE = auto()
    RESUME = auto()
    SUSPEND = auto()


def is_stale(head: Head, config: SessionConfig, *, now: datetime, grace: float) -> bool:
    """Whether its owner, if it has one, would have suspended it long ago."""
    return head.status in WORKING and head.last_activity_at + timedelta(seconds=config.suspend_after + grace) < now


def care_for(head: Head, config: SessionConfig, *, now: datetime, grace: float, opened_at: datetime | None) -> Care:
    """What is due. A turn that is to be run again is so by the next process that opens, at *opened_at*.

    One that was begun later is somebody else's, who has opened at the same time. Without *opened_at*, when it is no
    opening, only a stale one is.
    """
    if head.status not in WORKING:
        return Care.LEAVE
    stale = is_stale(head, config, now=now, grace=grace)
    was_there = opened_at is not None and head.last_activity_at <= opened_at
    if head.turn is not None and config.interrupted_turn == "resume" and (stale or was_there):
        return Care.RESUME
    return Care.SUSPEND if stale else Care.LEAVE
