"""Entries to be: their type and their data, before the journal gives them a number."""

from __future__ import annotations

from typing import Any

from jidoka.core.events import EventType
from jidoka.core.status import SessionStatus

Draft = tuple[str, dict[str, Any]]


def status_draft(status: SessionStatus, previous: SessionStatus, **more: Any) -> Draft:
    """The entry for a move from *previous* to *status*. Whether it is legal is for the caller to know."""
    return EventType.SESSION_STATUS, {"status": str(status), "previous_status": str(previous), **more}
