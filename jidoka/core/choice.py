"""Which messages of a conversation go into a budget, and in which order they are asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from jidoka.core.messages import Message
from jidoka.core.tally import Tally
from jidoka.core.timeline import Timeline
from jidoka.core.tokens import tokens_of

# Of pinned and critical messages, which may be thousands, so many may be too large before the search ends.
MOST_MISSES: Final = 32
NO_BUDGET: Final = 2**62

Unit = tuple[int, int]


class Choice:
    """The messages from `start` on, and before them those that were taken one by one."""

    __slots__ = ("aside", "oldest", "room", "start", "summaries", "tally", "taken", "timeline", "whole")

    def __init__(self, timeline: Timeline, tally: Tally, room: int) -> None:
        self.timeline = timeline
        self.tally = tally
        self.whole = self.room = room
        # What is no part of the talk.
        self.aside = frozenset((*timeline.systems, *timeline.strays))
        self.start = len(timeline.messages)
        self.taken: dict[int, int] = {}
        # The first of those that were taken, besides system messages.
        self.oldest = self.start
        self.summaries: list[Message] = []

    # --- all of them -----------------------------------------------------------------------------

    def take_all(self) -> None:
        """Everything fits. A conversation still begins with a question."""
        timeline = self.timeline
        self.taken = {place: 0 for place in timeline.systems}
        first = timeline.question_after(0)
        # Where nobody asked anything, the first message is as good as any.
        self.start = first if first is not None else 0

    # --- as many as there is room for ------------------------------------------------------------

    def fill(self, floor: int, keywords: tuple[str, ...], summaries: Sequence[Message]) -> None:
        """Take what goes in first, first. The window does not begin before *floor*."""
        timeline = self.timeline
        if not self._take_newest():
            return
        self._take_each((place, place) for place in timeline.systems)
        self._take_summaries(summaries)
        turn = timeline.users[-1] if timeline.users else 0
        if self.oldest < self.start:
            self._reach_back(max(floor, turn), self.room - self.whole // 2)
        for places in (timeline.pinned, timeline.critical(keywords)):
            self._take_each(timeline.unit(place) for place in reversed(places))
        self._reach_back(floor, self.room)
        if not (self.summaries and self.start == floor):
            # Otherwise it goes on from where the summaries end.
            self._begin_window_with_a_question()

    def _take_newest(self) -> bool:
        timeline = self.timeline
        newest, said = timeline.newest(), timeline.newest_said()
        if newest is None:
            return False
        if said is not None and newest == said:
            return self._take_said(said)
        if not self._take((newest, newest)):
            return False
        if said is not None:
            # The newest of all is a system message: that is enough.
            self._take_said(said)
        return True

    def _take_said(self, place: int) -> bool:
        unit = self.timeline.unit(place)
        # Where nobody has asked anything, it is shown without a question.
        return self._take(unit) if self._question_of(unit) is None else self._take_with_question(unit)

    def _take_each(self, units: Iterable[Unit]) -> None:
        misses = 0
        for unit in units:
            if not self._take_with_question(unit):
                misses += 1
                if misses == MOST_MISSES:
                    break

    def _take_with_question(self, unit: Unit) -> bool:
        """Take *unit*; what would be the first of the conversation, only with the question before it."""
        first, _ = unit
        role = self.timeline.messages[first].role
        if first > self.oldest or self.summaries or role in {"system", "user"}:
            return self._take(unit)
        question = self._question_of(unit)
        return question is not None and self._take(unit, (question, question))

    def _question_of(self, unit: Unit) -> int | None:
        first, _ = unit
        return first if self.timeline.messages[first].role == "user" else self.timeline.question_before(first)

    def _take(self, *units: Unit) -> bool:
        """All of *units*, or nothing if there is no room for all."""
        count, taken, aside = self.tally.count, self.taken, self.aside
        new: dict[int, int] = {}
        for first, last in units:
            for place in range(first, min(last + 1, self.start)):
                # Within a unit there may be what is no part of it.
                if place not in taken and (first == last or place not in aside):
                    new[place] = count(place)
        tokens = sum(new.values())
        if tokens > self.room:
            return False
        taken.update(new)
        self.room -= tokens
        for first, _ in units:
            # The first of a unit is part of the talk, or all there is of it.
            if first < self.oldest and first in new and first not in aside:
                self.oldest = first
        return True

    def _take_summaries(self, summaries: Sequence[Message]) -> None:
        for summary in reversed(summaries):
            tokens = self._tokens_of(summary)
            if tokens > self.room:
                break
            self.room -= tokens
            self.summaries.insert(0, summary)

    def _reach_back(self, floor: int, room: int) -> None:
        """Let the window begin earlier, as far as there is *room*, but not inside of a unit."""
        free = self.aside.union(self.taken)
        start, spent = self.tally.reach(self.start, min(floor, self.start), room, free)
        first, last = self.timeline.unit(start)
        if first < start < self.start:
            cut = range(start, last + 1)
            spent -= sum(self.tally.count(place) for place in cut if place not in free)
            start = last + 1
        self.start = start
        self.room -= spent

    # --- how a conversation may begin ------------------------------------------------------------

    def _begin_window_with_a_question(self) -> None:
        """Not in the middle of an exchange, unless more than half of the window would be lost for it."""
        timeline, start, size = self.timeline, self.start, len(self.timeline.messages)
        if start == size or timeline.messages[start].role == "user":
            return
        later = timeline.question_after(start)
        if later is not None and 2 * (later - start) <= size - start:
            self.start = later
            return
        if self.summaries or self.oldest < start:
            # It is not what the conversation begins with.
            return
        question = timeline.question_before(start)
        if question is not None and self._take((question, question)):
            return
        # Where nobody asked anything, the first message is as good as any.
        if later is not None:
            self.start = later
        elif question is not None:
            self.start = size

    # --- what came of it -------------------------------------------------------------------------

    def messages(self) -> list[Message]:
        """System messages, summaries, and the others in their order."""
        messages, timeline = self.timeline.messages, self.timeline
        first = [messages[place] for place in timeline.systems if place in self.taken]
        start, aside = self.start, self.aside
        before = [messages[place] for place in sorted(self.taken) if place < start and place not in aside]
        return [*first, *self.summaries, *before, *self._window()]

    def _window(self) -> Iterable[Message]:
        messages, start = self.timeline.messages, self.start
        aside = sorted((*_from(self.timeline.systems, start), *_from(self.timeline.strays, start)))
        window: list[Message] = []
        for place in aside:
            window += messages[start:place]
            start = place + 1
        return [*window, *messages[start:]] if window or aside else messages[start:]

    def kept(self, places: Sequence[int]) -> int:
        """How many of *places* are shown."""
        older = bisect_left(places, self.start)
        return len(places) - older + sum(place in self.taken for place in places[:older])

    def tokens(self) -> int:
        """What the messages take that are shown."""
        window = self.tally.reach(self.tally.size, self.start, NO_BUDGET, self.aside).spent
        alone = (place for place in self.taken if place < self.start or place in self.aside)
        return window + sum(map(self.tally.count, alone)) + sum(self._tokens_of(summary) for summary in self.summaries)

    def _tokens_of(self, summary: Message) -> int:
        return tokens_of(summary, self.tally.counter)


def _from(places: Sequence[int], start: int) -> Sequence[int]:
    return places[bisect_left(places, start) :]
