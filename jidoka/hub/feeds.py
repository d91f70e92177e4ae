"""What waits for a subscriber: a buffer with a bound in events and in bytes, and the word for what did not fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from jidoka.core.events import Event, EventType, live_event
from jidoka.hub.batch import MAX_BYTES, weights_of
from jidoka.ports.world import World


class Feed(ABC):
    """Filled by the hub, emptied by one subscriber."""

    __slots__ = (
        "_buffer",
        "_bytes",
        "_lost",
        "_lost_from",
        "_lost_to",
        "_room",
        "_session_id",
        "_types",
        "_weights",
        "_world",
        "missed",
    )

    def __init__(self, session_id: str, types: frozenset[str] | None, room: int, world: World) -> None:
        self._session_id = session_id
        self._types = types
        self._room = room
        self._world = world
        self._buffer: deque[Event] = deque()
        # What each of them weighs, and all of them.
        self._weights: deque[int] = deque()
        self._bytes = 0
        self.missed = 0
        """Events that the subscriber will never see, in all."""
        # Those of them that it has not been told of.
        self._lost = 0
        self._lost_from: int | None = None
        self._lost_to: int | None = None

    def __len__(self) -> int:
        return len(self._buffer)

    def begin(self, seq: int) -> None:  # noqa: B027
        """From here on the hub tells. The journal is at *seq*."""

    @abstractmethod
    def put(self, events: Sequence[Event]) -> bool:
        """Take in what has just happened. Whether there is something for the subscriber to do."""

    @abstractmethod
    def take(self) -> Event | None:
        """The next event, or None when there is none at hand."""

    @property
    def is_behind(self) -> bool:
        """Whether `catch_up` would bring more."""
        return False

    async def catch_up(self) -> None:  # noqa: B027
        """Fetch what is not at hand. A feed that is never behind has nothing to do."""

    @property
    def bytes(self) -> int:
        """What waits, about."""
        return self._bytes

    def has_room(self, weight: int) -> bool:
        """Whether one more may wait. The first one may weigh what it likes."""
        buffer = self._buffer
        return not buffer or (len(buffer) < self._room and self._bytes + weight <= MAX_BYTES)

    def keep(self, event: Event, weight: int) -> None:
        """Let *event* wait."""
        self._buffer.append(event)
        self._weights.append(weight)
        self._bytes += weight

    def give(self) -> Event:
        """The first of those that wait."""
        self._bytes -= self._weights.popleft()
        return self._buffer.popleft()

    def lose(self, event: Event) -> None:
        """There is no room for *event*, and nowhere to find it again."""
        self.missed += 1
        self._lost += 1
        if event.seq is not None:
            self._lost_to = event.seq
            if self._lost_from is None:
                self._lost_from = event.seq

    def gap(self) -> Event | None:
        """The word for what was lost since it was last said; None if nothing was."""
        if not self._lost:
            return None
        data = {"from": self._lost_from, "to": self._lost_to, "missed": self._lost}
        self._lost, self._lost_from, self._lost_to = 0, None, None
        return live_event(self._session_id, EventType.GAP, data, id=self._world.new_id(), at=self._world.now())


class LiveFeed(Feed):
    """From now on. What does not fit is lost, and a gap says so when the subscriber has caught up."""

    __slots__ = ()

    def put(self, events: Sequence[Event]) -> bool:
        types = self._types
        for event, weight in zip(events, weights_of(events), strict=True):
            if types is not None and event.type not in types:
                continue
            if self._lost or not self.has_room(weight):
                self.lose(event)
            else:
                self.keep(event, weight)
        return bool(self._buffer)

    def take(self) -> Event | None:
        if self._buffer:
            return self.give()
        return self.gap()
