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


def care_for(head: Head, config: SessionConfig, *, now: datetime, grace: float, is_opening: bool) -> Care:
    """What is due. A turn that is to be run again is so at the opening; later only when nobody else does."""
    if head.status not in WORKING:
        return Care.LEAVE
    stale = is_stale(head, config, now=now, grace=grace)
    if head.turn is not None and config.interrupted_turn == "resume" and (stale or is_opening):
        return Care.RESUME
    return Care.SUSPEND if stale else Care.LEAVE
