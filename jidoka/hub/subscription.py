"""One subscriber's side: a handle to iterate over and to close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio
import anyio.lowlevel

from jidoka.core.errors import SessionNotFound
from jidoka.core.events import Event
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.hub.feeds import Feed
    from jidoka.hub.hub import EventHub

# Events in a row before the rest of the loop has its turn.
TURN: Final = 64


class Subscription:
    """Events in order, for one task at a time. It begins with `async with`, and ends there or when the hub closes.

    Whoever is slow holds nobody up. Without `after`, events that did not fit into the buffer are lost, and one
    `gap` event says so in their place; `missed` counts them. With `after`, nothing is lost.
    """

    __slots__ = ("_feed", "_hub", "_is_reading", "_session_id", "_state", "_taken", "_waiter")

    def __init__(self, hub: EventHub, session_id: str | None, feed: Feed) -> None:
        self._hub = hub
        self._session_id = session_id
        self._feed = feed
        self._state = "new"
        self._is_reading = False
        self._taken = 0
        # Made only while somebody waits.
        self._waiter: anyio.Event | None = None

    def __repr__(self) -> str:
        topic = self._session_id or "all sessions"
        return f"<Subscription to {topic}: {self._state}, {len(self._feed)} waiting, {self.missed} missed>"

    @property
    def missed(self) -> int:
        """How many events this subscriber will never see."""
        return self._feed.missed

    # --- beginning and ending -------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("a subscription is entered once")
        self._state = "closed"
        await anyio.lowlevel.checkpoint()
        head = None if self._session_id is None else await self._hub.reader.head(self._session_id)
        if head is None and self._session_id is not None:
            raise SessionNotFound(self._session_id)
        self._state = "open"
        self._hub.connect(self._session_id, self)
        if head is not None:
            self._feed.begin(head.seq)
            if head.status is SessionStatus.TERMINATED:
                # What there is may be replayed; nothing will follow.
                self.end()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """No more events. Fine twice. Whoever waits for one stops waiting."""
        self.end()
        self._state = "closed"

    def end(self) -> None:
        """Nothing more will come; what waits may still be read."""
        if self._state == "open":
            self._state = "ended"
            self._hub.disconnect(self._session_id, self)
        self._wake()

    # --- the hub's side -------------------------------------------------------------------------

    def receive(self, events: Sequence[Event]) -> None:
        """Take in what has happened. Never waits, never raises."""
        if self._feed.put(events) and self._waiter is not None:
            self._waiter.set()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.set()

    # --- the subscriber's side ------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._state == "new":
            raise RuntimeError("a subscription begins with `async with`")
        if self._is_reading:
            raise anyio.BusyResourceError("reading from")
        self._is_reading = True
        try:
            return await self._next()
        finally:
            self._is_reading = False

    async def _next(self) -> Event:
        # Before an event is taken, so that a cancelled reader loses none.
        self._taken += 1
        if not self._taken % TURN:
            await anyio.lowlevel.checkpoint()
        feed = self._feed
        while self._state != "closed":
            event = feed.take()
            if event is not None:
                return event
            if feed.is_behind:
                await self._catch_up()
            elif self._state == "ended":
                break
            else:
                await self._wait()
        raise StopAsyncIteration

    async def _catch_up(self) -> None:
        try:
            await self._feed.catch_up()
        except SessionNotFound:
            if self._state == "open":
                raise
            # Purged: the last of it was heard, or nobody can hear it any more.
            self._state = "closed"

    async def _wait(self) -> None:
        self._waiter = anyio.Event()
        try:
            await self._waiter.wait()
        finally:
            self._waiter = None


class Listener:
    """A function that is called with every event, until `close()`. Also a context manager."""

    __slots__ = ("_call", "_hub", "_is_open", "_topic", "_types")

    def __init__(
        self,
        hub: EventHub,
        topic: str | None,
        call: Callable[[Event], object],
        types: frozenset[str] | None,
    ) -> None:
        self._hub = hub
        self._topic = topic
        self._call = call
        self._types = types
        self._is_open = True

    def __repr__(self) -> str:
        return f"<Listener to {self._topic or 'all sessions'}: {'open' if self._is_open else 'closed'}>"

    def receive(self, events: Sequence[Event]) -> None:
        """Pass on what has happened. What the function raises is logged and stops nobody."""
        for event in events:
            if self._is_open and (self._types is None or event.type in self._types):
                try:
                    self._call(event)
                except Exception:
                    self._hub.report(self._call, event)

    def end(self) -> None:
        """The hub is closing."""
        self.close()

    def close(self) -> None:
        """Call it no more. Fine twice."""
        if self._is_open:
            self._is_open = False
            self._hub.disconnect(self._topic, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
