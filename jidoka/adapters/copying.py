"""Journals from one store to another, whatever the two are: each as it stands, in the order in which they arrived."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jidoka.core.errors import CorruptRecord, InvalidMessage, SessionNotFound
from jidoka.core.views import Damage

if TYPE_CHECKING:
    from jidoka.core.heads import Head
    from jidoka.ports.store import Store

Progress = Callable[[int], object]
"""Told how many sessions more are done."""

PAGE: Final = 100


def nobody(_: int) -> None:
    """Who is told when nobody wants to know."""


@dataclass(slots=True)
class Copied:
    """How many sessions came over, and what could not be read and did not."""

    sessions: int = 0
    damages: list[Damage] = field(default_factory=list[Damage])


async def examine_all(store: Store, *, progress: Progress = nobody) -> list[Damage]:
    """Read everything there is in *store*; what is wrong with it."""
    found: list[Damage] = []
    after: int | None = 0
    while after is not None:
        damages, after = await store.examine(after=after, limit=PAGE)
        found += damages
        progress(PAGE)
    return found


async def is_empty(store: Store) -> bool:
    """Whether there is no session in it, of any status."""
    return not any((await store.count()).values())


async def copy_sessions(source: Store, target: Store, *, progress: Progress = nobody) -> Copied:
    """Every journal of *source* into *target*, with its seqs, epochs and keys.

    Others may write to *source* meanwhile: of each journal there is what was committed when it was read. A session
    that cannot be read is left out, and named. Raises SessionExists for one that *target* has.
    """
    copied = Copied()
    async with aclosing(_in_order(source)) as heads:
        async for head in heads:
            try:
                entries = await source.read(head.session_id, limit=head.seq)
            except SessionNotFound:
                # Purged meanwhile.
                continue
            except CorruptRecord as error:
                copied.damages.append(damage_of(head.session_id, error))
                continue
            await target.adopt(head.session_id, entries, epoch=head.epoch)
            copied.sessions += 1
            progress(1)
    # Those that a listing leaves out.
    copied.damages += source.known_damage
    return copied


async def restore_sessions(source: Store, target: Store, *, progress: Progress = nobody) -> int:
    """`copy_sessions` into an empty store: all of them, or none. How many.

    Raises InvalidMessage where there are sessions in *target*, CorruptRecord where something of *source* cannot be
    read; nothing is left in *target* then.
    """
    if not await is_empty(target):
        raise InvalidMessage("the store has sessions already; a backup is restored into an empty one", field="store")
    try:
        copied = await copy_sessions(source, target, progress=progress)
        refuse_damaged(copied)
    except Exception:
        await _empty(target)
        raise
    return copied.sessions


def refuse_damaged(copied: Copied) -> None:
    """Raises CorruptRecord where something of a backup was left out."""
    for damage in copied.damages:
        raise CorruptRecord(damage.text, session_id=damage.session_id, place="backup")


async def _empty(store: Store) -> None:
    while found := await store.heads(limit=PAGE):
        for _, head in found:
            await store.purge(head.session_id)


async def _in_order(store: Store) -> AsyncGenerator[Head]:
    after = 0
    while found := await store.heads(after=after, limit=PAGE):
        for arrival, head in found:
            yield head
            after = arrival


def damage_of(session_id: str | None, error: CorruptRecord) -> Damage:
    """What cannot be read, as it is listed."""
    return Damage(
        session_id=session_id or error.session_id,
        first_seq=error.first_seq,
        last_seq=error.last_seq,
        text=str(error),
    )
