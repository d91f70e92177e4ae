"""Where journals are kept. Every store promises the same; `jidoka.testing.contracts` checks it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus
from jidoka.core.views import Damage

Statuses = SessionStatus | Collection[SessionStatus]


class Reader(Protocol):
    """The half of a store that looks. The hub needs no more."""

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """The entries after *after*, ascending, at most *limit*. Raises SessionNotFound."""
        ...

    async def head(self, session_id: str) -> Head | None:
        """What the journal adds up to. None when there is no journal. The caller may keep it and change it."""
        ...


class Store(Reader, Protocol):
    """Journals, one per session, each with one writer at a time.

    What is committed is durable, and the head changes in the same commit. Once the store cannot be reached, every
    method raises StoreUnavailable; whether a write took effect is unknown then, and repeating it with its key, or
    reading the head, finds out.
    """

    @property
    def never_waits(self) -> bool:
        """Whether its methods never suspend, so that they can be driven without an event loop."""
        ...

    @property
    def known_damage(self) -> Collection[Damage]:
        """What has been found damaged so far: sessions that raise CorruptRecord, and are left out of listings."""
        ...

    async def open(self) -> None:
        """Get ready. Called once, before anything else."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Fine twice."""
        ...

    async def entry_with(self, session_id: str, key: str) -> Entry | None:
        """The entry of the journal that has the idempotency key. None when none has, or there is no journal."""
        ...

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        """Become the journal's writer: its epoch grows by one, and every older writer is fenced from now on.

        None when there is no journal. With *expected_epoch* only the first of several who saw that epoch succeeds;
        the others get Fenced.
        """
        ...

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        """Commit *entries*, all or none, and answer the new head.

        The first has seq `expected_seq + 1`, and the others follow without a gap. `expected_seq=0` creates the
        journal, and then the first is a `session_created`; the store decides the epoch of a new journal and stamps
        its entries with it: 1, or more where the id was purged before. See the answer's `epoch`.

        Checked in this order: DuplicateKey (a key that the journal has, with the entry that has it), SessionExists
        (expected_seq=0), SessionNotFound or Tombstoned (there is no journal), Fenced (another epoch), StaleSequence
        (another head), InvalidMessage (not a sequence of entries as above).
        """
        ...

    async def adopt(self, session_id: str, entries: Sequence[Entry], *, epoch: int) -> Head:
        """Write a whole journal as it stood in another store: with its seqs, epochs and keys, now in *epoch*.

        Raises SessionExists, and InvalidMessage for what is no whole journal.
        """
        ...

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
        """At most *limit* heads with their arrival numbers, in order of arrival, that arrived after *after*.

        *metadata* matches a session whose metadata has at least these members, each equal. *quiet_before* wants a
        last activity before that moment, *expired_before* an `expires_at` before that moment.
        """
        ...

    async def purge(self, session_id: str) -> None:
        """Delete the journal. A tombstone stays, so that no late writer brings it back. Fine twice."""
        ...

    async def count(self, *, owner: str | None = None) -> dict[SessionStatus, int]:
        """How many sessions there are of each status. Those of which there are none may be left out."""
        ...

    async def examine(self, *, after: int = 0, limit: int = 100) -> tuple[list[Damage], int | None]:
        """Read all there is of the *limit* sessions that arrived next after *after*, and check it.

        The answer is what is wrong with them, and where to go on; None after the last.
        """
        ...
