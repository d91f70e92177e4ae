"""A mailbox that costs nothing while it is empty: nothing, then one message, then a deque."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot

Envelope = tuple[Any, "Slot | None"]
Mail = Envelope | deque[Envelope] | None


def count(mail: Mail) -> int:
    """How many messages wait."""
    return 0 if mail is None else len(mail) if type(mail) is deque else 1


def listed(mail: Mail) -> list[Envelope]:
    """The messages that wait, first one first."""
    if mail is None:
        return []
    return list(mail) if type(mail) is deque else [mail]  # pyright: ignore[reportReturnType]


def packed(envelopes: list[Envelope]) -> Mail:
    """A mailbox that holds *envelopes*."""
    if len(envelopes) > 1:
        return deque(envelopes)
    return envelopes[0] if envelopes else None
