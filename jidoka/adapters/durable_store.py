"""The methods that every store on a disk has alike: its one writer writes, and its readers read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from jidoka.adapters.durable import Adopt, Append, Claim, Purge, wanted
from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus
from jidoka.ports.store import Statuses


@dataclass(frozen=True, slots=True)
class Reads:
    """A store's functions that read: each takes a connection, what one needs to know to read, and the arguments."""

    read: Callable[..., list[Entry]]
    head: Callable[..., Head | None]
    entry_with: Callable[..., Entry | None]
    heads: Callable[..., list[tuple[int, Head]]]
    count: Callable[..., dict[SessionStatus, int]]


class DurableStore(ABC):
    """The part of `Store` that is the same for all of them."""

    never_waits: bool = False
    reads: ClassVar[Reads]

    @abstractmethod
    async def _write(self, request: Any) -> Any:
        """Have the writer do it. Raises StoreUnavailable."""

    @abstractmethod
    async def _read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Have a reader do it. Raises StoreUnavailable."""

    # --- one journal ------------------------------------------------------------------------------

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        return await self._write(Claim(session_id, expected_epoch))

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        return await self._write(Append(session_id, tuple(entries), expected_seq))

    async def adopt(self, session_id: str, entries: Sequence[Entry], *, epoch: int) -> Head:
        return await self._write(Adopt(session_id, tuple(entries), epoch))

    async def purge(self, session_id: str) -> None:
        await self._write(Purge(session_id))

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        return await self._read(self.reads.read, session_id, after, limit)

    async def head(self, session_id: str) -> Head | None:
        return await self._read(self.reads.head, session_id)

    async def entry_with(self, session_id: str, key: str) -> Entry | None:
        return await self._read(self.reads.entry_with, session_id, key)

    # --- all of them ------------------------------------------------------------------------------

    async def heads(
        self,
        *,
        status: Statuses | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        quiet_before: datetime | None = None,
        expired_before: datetime | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[tuple[int, Head]]:
        filters = wanted(status, owner, metadata, quiet_before, expired_before)
        return await self._read(self.reads.heads, filters, after or 0, limit)

    async def count(self, *, owner: str | None = None) -> dict[SessionStatus, int]:
        return await self._read(self.reads.count, owner)
