"""A conversation, and where in it are the messages that a context must not lose.

Looked through once as it grows, so that a window on ten thousand messages is chosen without reading them again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from jidoka.core.keywords import finder
from jidoka.core.messages import Message
from jidoka.core.tally import Tally
from jidoka.core.tokens import TokenCounter, estimated_tokens

Call = tuple[Any, Any]


class Timeline:
    """Keeps up with a list of messages that only grows; `catch_up` after it has. Places are indices into the list.

    A tool call and its results are one *unit*: the messages from the call to its last result. A result without a
    call before it is a *stray*: no provider takes one.
    """

    __slots__ = (
        "_critical",
        "_ends",
        "_keywords",
        "_open",
        "_searched",
        "_starts",
        "_tallies",
        "messages",
        "pinned",
        "strays",
        "systems",
        "users",
    )

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self.messages = messages
        self.users = array("q")
        self.systems = array("q")
        self.strays = array("q")
        self.pinned = array("q")
        """The places of messages with these roles, of results without a call, and of what is to be kept. Ascending."""
        self._open: dict[Call, int] = {}
        self._starts = array("q")
        self._ends = array("q")
        self._critical = array("q")
        self._keywords: tuple[str, ...] = ()
        self._searched = 0
        self._tallies: tuple[Tally, ...] = (Tally(messages, estimated_tokens),)
        self.catch_up()

    @property
    def _seen(self) -> int:
        return self._tallies[0].size

    def catch_up(self) -> None:
        """There are new messages."""
        for place in range(self._seen, len(self.messages)):
            message = self.messages[place]
            if message.role == "user":
                self.users.append(place)
            elif message.role == "system":
                self.systems.append(place)
            if message.metadata:
                self._look_at(place, message)
        for tally in self._tallies:
            tally.catch_up()

    def with_more(self, more: Iterable[Message]) -> Timeline:
        """The conversation with *more* messages at its end. This one stays as it is."""
        messages = [*self.messages, *more]
        other = Timeline()
        other.messages = messages
        other.users, other.systems = self.users[:], self.systems[:]
        other.strays, other.pinned = self.strays[:], self.pinned[:]
        other._open, other._starts, other._ends = dict(self._open), self._starts[:], self._ends[:]
        other._critical, other._keywords, other._searched = self._critical[:], self._keywords, self._searched
        other._tallies = tuple(tally.copy(messages) for tally in self._tallies)
        other.catch_up()
        return other

    # --- what belongs together -------------------------------------------------------------------

    def _look_at(self, place: int, message: Message) -> None:
        metadata, role = message.metadata, message.role
        if role == "assistant":
            for call in _calls(message):
                self._open[call] = place
        elif role == "tool" and "call_id" in metadata:
            called = self._open.pop(_call(metadata.get("turn_id"), metadata["call_id"]), None)
            if called is None:
                self.strays.append(place)
                return
            self._join(called, place)
        if metadata.get("pinned") is True and role != "system":
            self.pinned.append(place)

    def _join(self, start: int, end: int) -> None:
        # Calls that were answered crosswise cannot be cut apart: their units become one.
        while self._ends and self._ends[-1] >= start:
            start = min(start, self._starts.pop())
            self._ends.pop()
        self._starts.append(start)
        self._ends.append(end)

    def unit(self, place: int) -> tuple[int, int]:
        """The first and the last place of what cannot be cut apart around *place*. Mostly *place* itself, twice."""
        number = bisect_right(self._starts, place) - 1
        if number >= 0 and self._ends[number] >= place:
            return self._starts[number], self._ends[number]
        return place, place

    def newest(self) -> int | None:
        """The place of the newest message that can be shown."""
        return self._last_outside_of(self.strays)

    def newest_said(self) -> int | None:
        """The same, if system messages do not count."""
        return self._last_outside_of(self.strays, self.systems)

    def _last_outside_of(self, *several: Sequence[int]) -> int | None:
        place, left = len(self.messages) - 1, [len(places) for places in several]
        while place >= 0:
            for number, places in enumerate(several):
                if left[number] and places[left[number] - 1] == place:
                    left[number] -= 1
                    break
            else:
                return place
            place -= 1
        return None

    # --- where a conversation may begin ----------------------------------------------------------

    def question_before(self, place: int) -> int | None:
        """The nearest message of a user before *place* that does not stand inside of a unit."""
        while (number := bisect_left(self.users, place)) > 0:
            user = self.users[number - 1]
            start, _ = self.unit(user)
            if start == user:
                return user
            place = start
        return None

    def question_after(self, place: int) -> int | None:
        """The same from *place* on."""
        while (number := bisect_left(self.users, place)) < len(self.users):
            user = self.users[number]
            start, end = self.unit(user)
            if start == user:
                return user
            place = end + 1
        return None

    # --- what is critical ------------------------------------------------------------------------

    def critical(self, keywords: tuple[str, ...]) -> array[int]:
        """The places of messages in which one of *keywords* stands as a whole word. Each message is searched once."""
        if keywords != self._keywords:
            self._keywords, self._searched, self._critical = keywords, 0, array("q")
        if keywords and self._searched < len(self.messages):
            is_critical, strays = finder(keywords), frozenset(self.strays)
            for place in range(self._searched, len(self.messages)):
                message = self.messages[place]
                if message.role != "system" and is_critical(message.content) and place not in strays:
                    self._critical.append(place)
            self._searched = len(self.messages)
        return self._critical

    # --- what it takes ---------------------------------------------------------------------------

    def tally(self, counter: TokenCounter = estimated_tokens) -> Tally:
        """What the messages take by *counter*. Kept for the estimate and for one other counter, the last one."""
        for tally in self._tallies:
            if tally.counter is counter:
                return tally
        other = Tally(self.messages, counter)
        other.catch_up()
        self._tallies = (self._tallies[0], other)
        return other

    def tokens(self, counter: TokenCounter = estimated_tokens) -> int:
        """What all messages take. What *counter* was not asked about yet, because it is too old, is estimated."""
        return self.tally(counter).total(instead=self._tallies[0])


def _call(turn: Any, call: Any) -> Call:
    # Metadata is anybody's. An id that is no text pairs with nothing.
    return (turn if isinstance(turn, str) else None), (call if isinstance(call, str) else None)


def _calls(message: Message) -> Iterable[Call]:
    calls = message.metadata.get("tool_calls")
    for call in cast("list[Any]", calls) if isinstance(calls, list) else ():
        if isinstance(call, Mapping):
            yield _call(message.metadata.get("turn_id"), cast("Mapping[str, Any]", call).get("id"))
