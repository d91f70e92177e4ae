"""What an answer makes of a cycle and of the ledger, as plain functions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jidoka.cycles.formatter import unknown_text
from jidoka.cycles.records import Cycle, Ledger, Opened, Stateless, Status

if TYPE_CHECKING:
    from jidoka.cycles.asking import Answer


def said(number: int, answer: Answer, known_at: datetime | None) -> tuple[Status, str]:
    """How a cycle with that answer ended, and what it says."""
    if answer.message is not None:
        return "answered", answer.message.content
    assert answer.failure is not None
    since = None if known_at is None else known_at.isoformat(timespec="seconds")
    return "unknown", unknown_text(number, answer.failure.reason, since)


def closed(before: Ledger, opened: Opened, answer: Answer, beside: Stateless | None, now: datetime) -> Ledger:
    """The ledger after that cycle."""
    is_known = answer.message is not None
    is_compared = is_known and beside is not None and beside.status == "answered"
    return Ledger(
        number=opened.number,
        due=opened.due,
        facts=opened.facts,
        unknown_in_a_row=0 if is_known else before.unknown_in_a_row + 1,
        known_at=now if is_known else before.known_at,
        usage=before.usage + answer.usage,
        comparison=before.comparison.plus(answer.usage, beside.usage) if beside and is_compared else before.comparison,
    )


def cycle_of(
    session_id: str,
    opened: Opened,
    answer: Answer,
    beside: Stateless | None,
    ledger: Ledger,
    *,
    resumed: bool,
    now: datetime,
) -> Cycle:
    """What whoever runs the monitor is told."""
    status, text = said(opened.number, answer, ledger.known_at)
    return Cycle(
        session_id=session_id,
        number=opened.number,
        status=status,
        text=text,
        reason=answer.failure and answer.failure.reason,
        error=answer.failure and answer.failure.error,
        due=opened.due,
        began_at=opened.began_at,
        ended_at=now,
        attempts=answer.attempts,
        missed=opened.missed,
        resumed=resumed,
        unknown_in_a_row=ledger.unknown_in_a_row,
        seq=answer.message and answer.message.seq,
        usage=answer.usage,
        total_usage=ledger.usage,
        stateless=beside,
        comparison=ledger.comparison if beside else None,
    )
