"""What is to become of sessions, ready to be stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

from jidoka.adapters.durable import Found
from jidoka.core.coding import encode, hashed, next_sum
from jidoka.core.entries import Entry
from jidoka.core.headrows import profile_of
from jidoka.core.heads import Head

PURGED = -1
"""The status in the row of a session that is no more."""


class Place(NamedTuple):
    """Where a session's row stood when something was decided."""

    arrival: int
    seq: int
    epoch: int


class Kind(StrEnum):
    """What becomes of a session."""

    GROWS = "grows"
    CHANGES = "changes"
    """It grows, and its profile becomes another."""
    BEGINS = "begins"
    BEGINS_AGAIN = "begins again"
    """After it was purged."""
    ENDS = "ends"


class Kept(NamedTuple):
    """An entry as it is stored. `claimed` is its key, where the statement has to see whether it is taken."""

    arrival: int
    seq: int
    sum: int
    key: int | None
    claimed: int | None
    body: bytes


class Change(NamedTuple):
    """What is to become of one session."""

    kind: Kind
    before: Place
    after: Found | None
    """None where it ends."""
    kept: Sequence[Kept] = ()
    profile: bytes | None = None
    wrapped: bytes | None = None

    @property
    def arrival(self) -> int:
        """By which the statement answers that it is done."""
        return self.before.arrival if self.after is None else self.after.head.arrival


NOWHERE = Place(0, 0, 0)


def change_to(
    kind: Kind,
    before: Place,
    known: Found,
    head: Head,
    entries: Iterable[Entry],
    *,
    secret: bytes,
    has_looked: bool = False,
    wrapped: bytes | None = None,
) -> Change:
    """What makes *known* become *head* by *entries*. Who *has_looked* whether their keys are taken need not again."""
    last_sum, profile_sum, seal = known.last_sum, known.profile_sum, known.seal
    kept: list[Kept] = []
    for entry in entries:
        body = seal.seal(str(entry.seq), encode(entry))
        last_sum = next_sum(body, last_sum)
        key = None if entry.key is None else hashed(entry.key, secret)
        kept.append(Kept(head.arrival, entry.seq, last_sum, key, None if has_looked else key, body))
    profile = None
    if kind is not Kind.GROWS:
        profile = seal.seal("profile", profile_of(head))
        profile_sum = crc32(profile)
    return Change(kind, before, Found(head, last_sum, profile_sum, seal), kept, profile, wrapped)
