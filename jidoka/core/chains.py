"""A part of a journal as it came from a disk: is it what was written, and is it all of it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jidoka.core.coding import broken, decode, next_sum
from jidoka.core.entries import Entry

Unseal = Callable[[str, bytes], bytes]


def checked(
    session_id: str,
    kept: Iterable[tuple[int, int, bytes]],
    *,
    after: int,
    sum_before: int,
    last: int,
    last_sum: int | None,
    unseal: Unseal | None,
) -> list[Entry]:
    """The entries after *after* up to *last*, from rows of (seq, sum, body). Raises CorruptRecord.

    *sum_before* is the checksum of the entry before them, with which the chain goes on. *last_sum* is what the head has
    been told of the one at its end, where that is *last*. Without *unseal* the bodies are plain.
    """
    seq, sum = after, sum_before
    entries: list[Entry] = []
    for number, kept_sum, body in kept:
        seq += 1
        if number != seq:
            raise broken(session_id, seq, number - 1, "missing")
        sum = next_sum(body, sum)
        if sum != kept_sum:
            raise broken(session_id, seq, seq, "its checksum is wrong")
        entries.append(decode(session_id, seq, body if unseal is None else unseal(str(seq), body)))
    if seq != last:
        raise broken(session_id, seq + 1, last, "missing")
    if last_sum is not None and sum != last_sum:
        raise broken(session_id, last, last, "it is not the one that the head has been told of")
    return entries
