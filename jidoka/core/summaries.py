"""Summaries that stand for the older part of a conversation: when one is due, of what, and where it stands.

The text is a model's, and an entry of the journal. What is decided here needs neither.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import AwareDatetime, Field

from jidoka.core.entries import Entry
from jidoka.core.frozen import frozen
from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import ESTIMATE, Meter, Summaries, floor_of, shows_all_after
from jidoka.core.records import Record
from jidoka.core.timeline import Timeline
from jidoka.core.tokens import tokens_of

# So much of the budget stays word for word when the rest is summarised: the next summary is not due at once.
VERBATIM: Final = 0.5
# Summaries that take more of the budget than this are summarised themselves …
SHARE: Final = 0.25
# … and so are as many of one level.
FAN_IN: Final = 8


SUMMARY: Final = "summary"
"""The part of the context that a `context_updated` with a summary is about."""


class Summary(Record):
    """What a model made of the messages from `first_seq` to `last_seq`; above level 0, of summaries of them."""

    first_seq: int = Field(ge=1)
    last_seq: int = Field(ge=1)
    level: int = Field(default=0, ge=0)
    content: str
    at: AwareDatetime

    def as_message(self, session_id: str) -> Message:
        """How the model hears it: from the user, so that nothing which was once said becomes an instruction."""
        return Message(
            id=f"summary_{self.first_seq}_{self.last_seq}",
            seq=self.last_seq,
            session_id=session_id,
            role="user",
            content=f"[Summary of the earlier conversation]\n{self.content}",
            at=self.at,
            metadata=frozen({"summary": {"first_seq": self.first_seq, "last_seq": self.last_seq, "level": self.level}}),
        )


@dataclass(frozen=True, slots=True)
class SummaryPlan:
    """A summary that is due: of *messages*, which may be summaries. It becomes a `Summary` with these numbers."""

    first_seq: int
    last_seq: int
    level: int
    messages: tuple[Message, ...]


def summary_of(entry: Entry) -> Summary:
    """The summary that *entry* holds."""
    data = entry.data
    return Summary(
        first_seq=data["first_seq"],
        last_seq=data["last_seq"],
        level=data["level"],
        content=data["content"],
        at=entry.at,
    )


def in_force(summaries: Iterable[Summary]) -> list[Summary]:
    """Those that no later one includes, oldest first. *summaries* are in the order in which they were made."""
    kept: list[Summary] = []
    for summary in summaries:
        kept = [one for one in kept if one.last_seq < summary.first_seq or one.first_seq > summary.last_seq]
        kept.append(summary)
    return sorted(kept, key=lambda summary: summary.first_seq)


def placed(timeline: Timeline, summaries: Iterable[Summary]) -> Summaries:
    """Where *summaries* stand in *timeline*. Those of a conversation that was cleared stand nowhere."""
    known = _of(timeline, summaries)
    if not known:
        return Summaries()
    session_id = timeline.messages[0].session_id
    messages = tuple(summary.as_message(session_id) for summary in known)
    return Summaries(messages, _place_after(timeline, known[-1].last_seq))


def _of(timeline: Timeline, summaries: Iterable[Summary]) -> list[Summary]:
    if not timeline.messages:
        return []
    first = timeline.messages[0].seq
    return [summary for summary in in_force(summaries) if summary.last_seq >= first]


def _place_after(timeline: Timeline, seq: int) -> int:
    return bisect_right(timeline.messages, seq, key=lambda message: message.seq)


def due(
    timeline: Timeline,
    policy: ContextPolicy,
    summaries: Iterable[Summary] = (),
    *,
    budget: int,
    meter: Meter = ESTIMATE,
) -> SummaryPlan | None:
    """The summary to be made next, or None. Ask again when it is made: there may be another.

    Due is one of the older part as soon as the budget leaves out what no summary stands for; and one of summaries as
    soon as there are too many, or they take too much.
    """
    known = _of(timeline, summaries)
    together = _due_together(timeline, known, budget, meter)
    if together is not None:
        return together
    shown = placed(timeline, known)
    if shows_all_after(timeline, policy, budget=budget, meter=meter, summaries=shown):
        return None
    return _older_part(timeline, policy, shown.after, meter.room(budget), meter)


def _due_together(timeline: Timeline, known: Sequence[Summary], budget: int, meter: Meter) -> SummaryPlan | None:
    messages = placed(timeline, known).messages
    tokens = sum(tokens_of(message, meter.counter) for message in messages)
    levels = Counter(summary.level for summary in known)
    full = [level for level, count in levels.items() if count >= FAN_IN]
    if len(known) < 2 or not (full or tokens > SHARE * meter.room(budget)):
        return None
    several = full or [level for level, count in levels.items() if count >= 2]
    start, end = _run_of(known, min(several)) if several else (0, 2)
    return SummaryPlan(
        first_seq=known[start].first_seq,
        last_seq=known[end - 1].last_seq,
        level=1 + max(summary.level for summary in known[start:end]),
        messages=tuple(messages[start:end]),
    )


def _run_of(known: Sequence[Summary], level: int) -> tuple[int, int]:
    """The oldest ones of *level*, with whatever stands between them: what is left stays in one piece."""
    places = [place for place, summary in enumerate(known) if summary.level == level][:FAN_IN]
    return places[0], places[-1] + 1


def _older_part(timeline: Timeline, policy: ContextPolicy, after: int, room: int, meter: Meter) -> SummaryPlan | None:
    tally = timeline.tally(meter.counter)
    floor = max(after, floor_of(timeline, policy.most))
    cut = _before_the_newest(timeline, tally.reach(tally.size, floor, int(VERBATIM * room)).start)
    # No more than a model can read at once.
    end, left = after, room
    while end < cut and (tally.count(end) <= left or end == after):
        left -= tally.count(end)
        end += 1
    end = _not_inside_of_a_unit(timeline, after, end)
    told = tuple(message for message in timeline.messages[after:end] if message.role != "system")
    if not told:
        return None
    return SummaryPlan(told[0].seq, timeline.messages[end - 1].seq, 0, told)


def _before_the_newest(timeline: Timeline, cut: int) -> int:
    """A place from which the rest can go on by itself: at a question, and never behind the newest message."""
    question = timeline.question_after(cut)
    if question is not None:
        return question
    newest = timeline.newest()
    first, last = timeline.unit(cut)
    cut = cut if first == cut else last + 1
    return cut if newest is None else min(cut, timeline.unit(newest)[0])


def _not_inside_of_a_unit(timeline: Timeline, after: int, end: int) -> int:
    first, last = timeline.unit(end)
    if first == end:
        return end
    return first if first > after else last + 1
