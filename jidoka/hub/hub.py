"""The hub: a topic per session and one for all, made by their first subscriber and dropped with the last."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from blinker import NamedSignal, Signal

from jidoka.core import checks
from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage
from jidoka.core.events import GLOBAL_TOPIC, GLOBAL_TYPES, Event, event_of, topic_of
from jidoka.hub.batch import Batch
from jidoka.hub.feeds import Feed, LiveFeed
from jidoka.hub.replay import ReplayFeed
from jidoka.hub.subscription import Listener, Subscription
from jidoka.ports.store import Reader
from jidoka.ports.world import World

log = logging.getLogger("jidoka.hub")

EVERYTHING: Final = "*"
"""Every event of every session. No session has this id."""


class Receiver(Protocol):
    """What the hub tells."""

    def receive(self, events: Sequence[Event]) -> None: ...
    def end(self) -> None: ...


class EventHub:
    """Tells what has been committed, to whoever listens. Nothing depends on whether anybody does.

    Everything here runs on the loop's thread. Publishing never waits.
    """

    def __init__(self, reader: Reader, world: World) -> None:
        self.reader = reader
        self._world = world
        # By session id; None stands for the topic of all sessions.
        self._signals: dict[str | None, Signal] = {}
        self._receivers: dict[str | None, dict[Receiver, None]] = {}
        # What is published while listeners are being told waits for them: everybody hears one order. No events
        # stand for the end.
        self._waiting: deque[tuple[str, list[Event]]] = deque()
        self._is_telling = False
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<EventHub: {self.count} listening to {len(self._signals)} topics>"

    @property
    def topics(self) -> list[str]:
        """The topics that somebody listens to."""
        return [signal.name for signal in self._signals.values() if isinstance(signal, NamedSignal)]

    @property
    def count(self) -> int:
        """How many subscriptions and listeners there are."""
        return sum(map(len, self._receivers.values()))

    def is_heard(self, session_id: str) -> bool:
        """Whether somebody would hear everything of this session."""
        return session_id in self._signals or EVERYTHING in self._signals

    def is_followed(self, session_id: str) -> bool:
        """Whether somebody listens to this session in particular."""
        return session_id in self._signals

    # --- telling --------------------------------------------------------------------------------

    def publish(self, session_id: str, entries: Sequence[Entry]) -> None:
        """Tell what was committed. Without a listener no event is made."""
        signals = self._signals
        if not signals:
            return
        if session_id in signals or EVERYTHING in signals:
            events = Batch(event_of(session_id, entry) for entry in entries)
        elif None in signals:
            events = Batch(event_of(session_id, entry) for entry in entries if entry.type in GLOBAL_TYPES)
        else:
            return
        if events:
            self._tell(session_id, events)

    def publish_live(self, event: Event) -> None:
        """Tell something that is not in a journal."""
        if self._signals:
            self._tell(event.session_id, Batch((event,)))

    def _tell(self, session_id: str, events: list[Event]) -> None:
        self._waiting.append((session_id, events))
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._waiting:
                self._tell_now(*self._waiting.popleft())
        finally:
            self._is_telling = False

    def _tell_now(self, session_id: str, events: list[Event]) -> None:
        if not events:
            for receiver in list(self._receivers.get(session_id, ())):
                receiver.end()
            return
        signals = self._signals
        if (signal := signals.get(session_id)) is not None:
            _send(signal, events)
        if (signal := signals.get(None)) is not None:
            lifecycle = Batch(event for event in events if event.type in GLOBAL_TYPES)
            if lifecycle:
                _send(signal, lifecycle)
        if (signal := signals.get(EVERYTHING)) is not None:
            _send(signal, events)

    # --- listening ------------------------------------------------------------------------------

    def subscribe(
        self,
        session_id: str | None = None,
        *,
        after: int | None = None,
        types: Collection[str] | None = None,
        max_buffer: int = 1000,
    ) -> Subscription:
        """To one session, or without an id to the lifecycle of all. It begins with `async with`.

        `after=N` begins with the journal's entry N+1 and goes on with what happens, without a gap. Raises
        InvalidMessage; on entering, SessionNotFound.
        """
        wanted = checks.event_types(types)
        room = checks.count(max_buffer, field="max_buffer", least=1)
        if after is None:
            feed: Feed = LiveFeed(session_id or "", wanted, room, self._world)
        elif session_id is None:
            raise InvalidMessage("only the journal of one session can be replayed", field="after")
        else:
            start = checks.after(after)
            feed = ReplayFeed(session_id, wanted, room, self._world, reader=self.reader, after=start)
        return Subscription(self, session_id, feed)

    def listen(
        self,
        call: Callable[[Event], object],
        session_id: str | None = None,
        *,
        types: Collection[str] | None = None,
    ) -> Listener:
        """Call *call* with each event: of one session, of all their lifecycles (None), or of EVERYTHING.

        It is called in the publisher's task and must not wait. What it raises is logged.
        """
        listener = Listener(self, session_id, call, checks.event_types(types))
        self.connect(session_id, listener)
        return listener

    def end(self, session_id: str) -> None:
        """The session is gone: whoever listens to it has heard the last of it."""
        if self.is_followed(session_id):
            self._tell(session_id, [])

    def close(self) -> None:
        """End everything. Subscribers may still read what waits for them. Fine twice."""
        self._is_closed = True
        for receivers in list(self._receivers.values()):
            for receiver in list(receivers):
                receiver.end()

    # --- for subscriptions and listeners --------------------------------------------------------

    def connect(self, topic: str | None, receiver: Receiver) -> None:
        """Tell *receiver* from now on."""
        if self._is_closed:
            receiver.end()
            return
        signal = self._signals.get(topic)
        if signal is None:
            signal = self._signals[topic] = NamedSignal(_name(topic))
            self._receivers[topic] = {}
        # Not weak: a bound method is gone as soon as nobody holds it.
        signal.connect(receiver.receive, weak=False)
        self._receivers[topic][receiver] = None

    def disconnect(self, topic: str | None, receiver: Receiver) -> None:
        """Tell it no more. The topic goes with its last receiver."""
        receivers = self._receivers.get(topic)
        if receivers is None or receivers.pop(receiver, receiver) is receiver:
            return
        self._signals[topic].disconnect(receiver.receive)
        if not receivers:
            del self._receivers[topic], self._signals[topic]

    def report(self, call: Callable[[Event], object], event: Event) -> None:
        """A listener has raised. Called while the exception is being handled."""
        name = getattr(call, "__qualname__", type(call).__qualname__)
        log.exception(
            "a listener failed",
            extra={"listener": name, "session_id": event.session_id, "event_type": event.type},
        )


def _send(signal: Signal, events: list[Event]) -> None:
    # Rather than signal.send(), which asks of every receiver whether it is a coroutine function.
    for receive in signal.receivers_for(None):
        receive(events)


def _name(topic: str | None) -> str:
    if topic is None:
        return GLOBAL_TOPIC
    return "client.everything" if topic == EVERYTHING else topic_of(topic)
