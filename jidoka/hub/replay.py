"""A subscription that begins in the past: the journal first, then what happens, as one sequence."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import anyio.lowlevel

from jidoka.core.entries import Entry
from jidoka.core.events import Event, event_of
from jidoka.hub.batch import MAX_BYTES, weights_of
from jidoka.hub.feeds import Feed
from jidoka.ports.store import Reader
from jidoka.ports.world import World

PAGE: Final = 256


class ReplayFeed(Feed):
    """Every entry after *after*, once, in order. What was not told, or did not fit, is read from the journal.

    Only entries that follow on from each other are buffered. At the first that does not, because one was never
    told or the buffer was full, buffering stops, and the subscriber reads on in the journal until it has seen
    whatever the hub has told of meanwhile.
    """

    __slots__ = ("_edge", "_has_begun", "_heard", "_limit", "_page", "_places", "_reader", "_told")

    def __init__(
        self,
        session_id: str,
        types: frozenset[str] | None,
        room: int,
        world: World,
        *,
        reader: Reader,
        after: int,
    ) -> None:
        super().__init__(session_id, types, room, world)
        self._reader = reader
        # Entries up to here were read or buffered, without a hole.
        self._told = after
        # Up to here the hub has told of any.
        self._heard = after
        # Entries up to here have been read from the journal: whatever of them is in the buffer is there twice.
        self._edge = after
        self._page: deque[Event] = deque()
        # For each buffered event, the seq of the entry that it comes after, or is.
        self._places: deque[int] = deque()
        self._has_begun = False
        # Entries in the next page.
        self._limit = PAGE

    def begin(self, seq: int) -> None:
        self._heard = max(self._heard, seq)

    def put(self, events: Sequence[Event]) -> bool:
        for event, weight in zip(events, weights_of(events), strict=True):
            seq = event.seq
            if seq is None:
                self._put_live(event, weight)
                continue
            if seq == self._told + 1 and self._heard == self._told:
                self._put_next(event, seq, weight)
            self._heard = max(self._heard, seq)
        return bool(self._buffer) or self.is_behind

    def _put_live(self, event: Event, weight: int) -> None:
        if not self._wants(event.type):
            return
        if self._lost or not self.has_room(weight):
            self.lose(event)
        else:
            self.keep(event, weight)
            self._places.append(self._heard)

    def _put_next(self, event: Event, seq: int, weight: int) -> None:
        if self._wants(event.type):
            if not self.has_room(weight):
                return
            self.keep(event, weight)
            self._places.append(seq)
        self._told = seq

    def _wants(self, type: str) -> bool:
        return self._types is None or type in self._types

    def take(self) -> Event | None:
        page, buffer, places = self._page, self._buffer, self._places
        while buffer and buffer[0].seq is not None and buffer[0].seq <= self._edge:
            self.give()
            places.popleft()
        if page and not (buffer and self._comes_before(page[0])):
            return page.popleft()
        if page or (buffer and self._has_begun and places[0] <= self._told):
            places.popleft()
            return self.give()
        return None if buffer or self.is_behind else self.gap()

    def _comes_before(self, event: Event) -> bool:
        """Whether the first in the buffer, which then was only told, belongs before *event*, which was read."""
        return event.seq is not None and self._places[0] < event.seq

    @property
    def is_behind(self) -> bool:
        return not self._has_begun or self._heard > self._told

    async def catch_up(self) -> None:
        """Read one page of the journal. Raises SessionNotFound once it is gone."""
        start = max(self._edge, self._passed())
        heard, limit = self._heard, self._limit
        await anyio.lowlevel.checkpoint()
        entries = await self._reader.read(self._session_id, after=start, limit=self._limit)
        if entries:
            self._turn_page(entries)
        elif heard > self._told:
            # Told of, and not there: no store of ours does that, and waiting for it would never end.
            self._give_up(heard)
        self._has_begun = self._has_begun or len(entries) < limit

    def _passed(self) -> int:
        """What needs no reading: the subscriber has had all that was buffered."""
        return self._told if self._has_begun else 0

    def _turn_page(self, entries: list[Entry]) -> None:
        events = [event_of(self._session_id, entry) for entry in entries]
        self._page.extend(event for event in events if self._wants(event.type))
        self._adapt(sum(weights_of(events)))
        self._edge = entries[-1].seq
        self._told = max(self._told, self._edge)

    def _adapt(self, read: int) -> None:
        """The next page is to weigh no more than what may wait."""
        if read > MAX_BYTES:
            self._limit = max(1, self._limit * MAX_BYTES // read)
        else:
            self._limit = min(PAGE, self._limit * 2)

    def _give_up(self, heard: int) -> None:
        self.missed += heard - self._told
        self._lost += heard - self._told
        self._lost_from, self._lost_to = self._told + 1, heard
        self._told = heard
