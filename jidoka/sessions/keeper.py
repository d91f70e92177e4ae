"""What is written into a session's journal when none of its actors is there to write it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jidoka.core.care import is_stale
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, Fenced, SessionNotFound, StaleSequence, Tombstoned
from jidoka.core.events import EventType
from jidoka.core.status import SessionStatus
from jidoka.core.wellformed import interrupted_results
from jidoka.sessions.drafts import Draft, status_draft

if TYPE_CHECKING:
    from jidoka.core.heads import Head
    from jidoka.sessions.house import House

# So many entries they are at most.
LAST_WORDS = 4
ENDED = frozenset({SessionStatus.TERMINATED, SessionStatus.FAILED})


async def write_last_words(house: House, session_id: str, *, error: str | None = None, reason: str = "") -> None:
    """Record that a session has failed (with *error*) or is terminated. Does nothing when that stands there already.

    Claims the journal first, so that whatever is left of the session's actors can write nothing after it. Whoever
    claims it in between is outdone.
    """
    while (head := await house.store.claim(session_id)) is not None:
        if (head.status in ENDED and error is not None) or head.status is SessionStatus.TERMINATED:
            return
        with suppress(Fenced, StaleSequence, Tombstoned):
            if error is None:
                await _terminate(house, head, reason)
            else:
                await _write(house, head, _failure(head.status, error))
            return


async def purge(house: House, session_id: str, *, reason: str) -> None:
    """Delete a session's journal. That it has ended is told, and written nowhere any more."""
    head = await house.store.head(session_id) if house.hub.count else None
    await house.store.purge(session_id)
    if head is not None and head.status is not SessionStatus.TERMINATED:
        drafts = _termination(head.status, reason)
        if head.turn is not None:
            drafts = [_over(head.turn), *drafts]
        house.hub.publish(session_id, _entries(house, head, drafts))
    house.hub.end(session_id)
    house.files.clear_session(session_id)


async def tell_the_end(house: House, head: Head) -> None:
    """Tell of a termination that was committed by somebody who could not tell it. Those who have heard are gone."""
    if house.hub.is_followed(head.session_id):
        entries = await house.store.read(head.session_id, after=max(0, head.seq - LAST_WORDS))
        house.hub.publish(head.session_id, entries)
        house.hub.end(head.session_id)


async def suspend_stale(house: House, session_id: str, seen_epoch: int) -> bool:
    """Suspend a session that nobody has used for long, unless anybody has claimed it since *seen_epoch*.

    Of several who saw it, in whatever process, one acts. An owner that lives after all is fenced, and claims again.
    """
    head = await _claim(house, session_id, seen_epoch)
    if head is None:
        return False
    config = house.defaults.with_options(head.config)
    if not is_stale(head, config, now=house.world.now(), grace=house.stale_grace):
        # Its owner has used it, and goes on as soon as it writes again.
        return False
    status = status_draft(SessionStatus.SUSPENDED, head.status)
    await _write(house, head, [status, (EventType.SESSION_SUSPENDED, {"reason": "stale"})])
    return True


async def retire(house: House, session_id: str, seen_epoch: int) -> bool:
    """Purge a session that has had its `max_age`, unless anybody has claimed it since *seen_epoch*."""
    head = await _claim(house, session_id, seen_epoch)
    if head is None or head.expires_at is None or head.expires_at >= house.world.now():
        return False
    if head.status is not SessionStatus.TERMINATED:
        await _terminate(house, head, "max_age")
    await house.store.purge(session_id)
    return True


async def _claim(house: House, session_id: str, seen_epoch: int) -> Head | None:
    try:
        return await house.store.claim(session_id, expected_epoch=seen_epoch)
    except Fenced:
        return None


async def _terminate(house: House, head: Head, reason: str) -> None:
    await _write(house, head, _termination(head.status, reason))
    house.hub.end(head.session_id)


async def _write(house: House, head: Head, drafts: list[Draft]) -> None:
    """Commit *drafts* after *head*, which was just claimed, and tell them. An open turn is closed first."""
    session_id = head.session_id
    if head.turn is not None:
        drafts = [*interrupted_results(await _readable(house, session_id)), _over(head.turn), *drafts]
    entries = _entries(house, head, drafts)
    await house.store.append(session_id, entries, expected_seq=head.seq)
    house.hub.publish(session_id, entries)
    house.files.clear_session(session_id)


def _entries(house: House, head: Head, drafts: list[Draft]) -> list[Entry]:
    now = house.world.now()
    return [Entry(seq, type, now, data, None, head.epoch) for seq, (type, data) in enumerate(drafts, head.seq + 1)]


def _over(turn_id: str) -> Draft:
    return EventType.TURN_FAILED, {"turn_id": turn_id, "error": "interrupted"}


async def _readable(house: House, session_id: str) -> list[Entry]:
    """The journal; nothing of one that is damaged, which may end all the same."""
    with suppress(CorruptRecord, SessionNotFound):
        return await house.store.read(session_id)
    return []


def _failure(status: SessionStatus, error: str) -> list[Draft]:
    return [
        status_draft(SessionStatus.FAILED, status, reason=error),
        (EventType.SESSION_FAILED, {"error": error, "reason": error}),
    ]


def _termination(status: SessionStatus, reason: str) -> list[Draft]:
    drafts: list[Draft] = []
    if status is not SessionStatus.TERMINATING:
        drafts.append(status_draft(SessionStatus.TERMINATING, status, reason=reason))
    drafts.append(status_draft(SessionStatus.TERMINATED, SessionStatus.TERMINATING))
    drafts.append((EventType.SESSION_TERMINATED, {"reason": reason}))
    return drafts
