"""What waits for a subscriber: a bounded buffer, and the word for what did not fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from jidoka.core.events import Event, EventType, live_event
from jidoka.ports.world import World


class Feed(ABC):
    """Filled by the hub, emptied by one subscriber."""

    __slots__ = ("_buffer", "_lost", "_lost_from", "_lost_to", "_room", "_session_id", "_types", "_world", "missed")

    def __init__(self, session_id: str, types: frozenset[str] | None, room: int, world: World) -> None:
        self._session_id = session_id
        self._types = types
        self._room = room
        self._world = world
        self._buffer: deque[Event] = deque()
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
        types, buffer, room = self._types, self._buffer, self._room
        for event in events:
            if types is not None and event.type not in types:
                continue
            if self._lost or len(buffer) >= room:
                self.lose(event)
            else:
                buffer.append(event)
        return bool(buffer)

    def take(self) -> Event | None:
        if self._buffer:
            return self._buffer.popleft()
        return self.gap()
