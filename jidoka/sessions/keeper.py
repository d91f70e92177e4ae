"""The last entries of a session, written when none of its actors is left to write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jidoka.core.entries import Entry
from jidoka.core.events import EventType
from jidoka.core.status import SessionStatus
from jidoka.sessions.drafts import Draft, status_draft

if TYPE_CHECKING:
    from jidoka.sessions.house import House

ENDED = frozenset({SessionStatus.TERMINATED, SessionStatus.FAILED})


async def write_last_words(house: House, session_id: str, *, error: str | None = None, reason: str = "") -> None:
    """Record that a session has failed (with *error*) or is terminated. Does nothing when that stands there already.

    Claims the journal first, so that whatever is left of the session's actors can write nothing after it.
    """
    head = await house.store.claim(session_id)
    if head is None or head.status in ENDED and error is not None or head.status is SessionStatus.TERMINATED:
        return
    drafts: list[Draft] = []
    if head.turn is not None:
        drafts.append((EventType.TURN_FAILED, {"turn_id": head.turn, "error": "interrupted"}))
    drafts += _failure(head.status, error) if error is not None else _termination(head.status, reason)
    now = house.world.now()
    entries = [
        Entry(number, type, now, data, None, head.epoch) for number, (type, data) in enumerate(drafts, head.seq + 1)
    ]
    await house.store.append(session_id, entries, expected_seq=head.seq)
    house.hub.publish(session_id, entries)
    house.files.clear_session(session_id)
    if error is None:
        house.hub.end(session_id)


def _failure(status: SessionStatus, error: str) -> list[Draft]:
    return [status_draft(SessionStatus.FAILED, status, reason=error), (EventType.SESSION_FAILED, {"error": error})]


def _termination(status: SessionStatus, reason: str) -> list[Draft]:
    drafts: list[Draft] = []
    if status is not SessionStatus.TERMINATING:
        drafts.append(status_draft(SessionStatus.TERMINATING, status, reason=reason))
    drafts.append(status_draft(SessionStatus.TERMINATED, SessionStatus.TERMINATING))
    drafts.append((EventType.SESSION_TERMINATED, {"reason": reason}))
    return drafts
