"""Dead letters: what a session was asked to do, and crashed over each time it tried."""

from __future__ import annotations

from typing import Any, Final

from pydantic import AwareDatetime

from jidoka.core.entries import Entry
from jidoka.core.frozen import JsonObject, frozen
from jidoka.core.records import Record, trusted

PART: Final = "dead_letters"
"""The part of the context that a `context_updated` about them names."""

MAX_LETTERS: Final = 100
"""What one session keeps. One more, and the oldest is let go: it stays in the journal."""


class DeadLetter(Record):
    """A request that crashed its handler again and again. It took no effect; it may be requeued or discarded."""

    id: str
    seq: int
    """The journal's entry about it."""
    at: AwareDatetime
    kind: str
    """The method of `Session` that was called."""
    request: JsonObject | None
    """What it was called with. None when even that could not be stored: then it cannot be requeued."""
    key: str | None
    """Its idempotency key, given or made."""
    error: str
    """What the last crash said."""
    crashes: int


_FIELDS: Final = frozenset(DeadLetter.model_fields)


def letter_of(entry: Entry) -> DeadLetter:
    """The letter that a `context_updated` has added."""
    data: dict[str, Any] = entry.data
    request = data["request"]
    fields = {
        "id": data["id"],
        "seq": entry.seq,
        "at": entry.at,
        "kind": data["kind"],
        "request": None if request is None else frozen(request),
        "key": data["key"],
        "error": data["error"],
        "crashes": data["crashes"],
    }
    return trusted(DeadLetter, _FIELDS, fields)
