"""What a model is shown of a conversation: chosen newest first within a budget, so that nothing important is lost.

A message that is shown is the message; one that is not stays in the history. What goes in first:

1. the newest message, with the question that it belongs to
2. system messages
3. summaries of what is older
4. the rest of the newest turn, up to half of the budget
5. pinned messages, then critical ones, the newest first
6. all others, the newest first, until one does not fit
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jidoka.core.choice import NO_BUDGET, Choice
from jidoka.core.frozen import FrozenList, joined
from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.timeline import Timeline
from jidoka.core.tokens import TokenCounter, estimated_tokens, multiplied, tokens_of

Reason = Literal["tokens", "messages", "summary", "beginning", "newest"]


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was left out, in messages and in tokens of the session's counter: what `context_pruned` says."""

    policy: str
    reason: Reason
    """tokens: they were too many. messages: the policy shows no more of them. summary: one stands for them.
    beginning: only such were left out with which no conversation may begin. newest: not even the newest message fits,
    and so there is nothing."""
    budget: int | None
    messages_before: int
    messages_after: int
    """With the summaries."""
    tokens_before: int
    """Estimated, as far as it concerns messages that are too old to have been counted."""
    tokens_after: int
    system_dropped: int
    pinned_kept: int
    pinned_dropped: int
    critical_kept: int
    critical_dropped: int
    summaries: int
    strays: int
    """Results without a call. They are never shown."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: getattr(self, name) for name in PruneReport.__slots__}


@dataclass(frozen=True, slots=True)
class View:
    """What the model is shown: system messages, summaries, then the others in their order."""

    messages: Sequence[Message]
    report: PruneReport | None = None
    """None when all of the conversation is there."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How a session counts: by *counter*, times what its provider has taught us."""

    counter: TokenCounter = estimated_tokens
    factor: float = 1.0

    def room(self, budget: int | None) -> int:
        """The most that the counter may say, so that the session's figure is at most *budget*."""
        if budget is None:
            return NO_BUDGET
        room = max(0, int(budget / self.factor))
        return room - 1 if room and multiplied(room, self.factor) > budget else room


ESTIMATE = Meter()


class Whole(NamedTuple):
    """A conversation of which nothing is left out, and what it takes by the counter."""

    messages: FrozenList[Message]
    tokens: int


@dataclass(frozen=True, slots=True)
class Summaries:
    """Messages that stand for all that came before place `after`."""

    messages: Sequence[Message] = ()
    after: int = 0


def choose(
    timeline: Timeline,
    policy: ContextPolicy,
    *,
    budget: int | None = None,
    meter: Meter = ESTIMATE,
    summaries: Summaries = Summaries(),
) -> View:
    """What *policy* shows of *timeline* in at most *budget* tokens."""
    choice = _chosen(timeline, policy, budget, meter, summaries)
    messages = choice.messages()
    if len(messages) == len(timeline.messages) and not choice.summaries:
        return View(messages)
    return View(messages, _report(choice, policy, messages, budget, meter))


def shows_all_after(
    timeline: Timeline, policy: ContextPolicy, *, budget: int | None, meter: Meter, summaries: Summaries
) -> bool:
    """Whether everything is shown that *summaries* do not stand for."""
    choice = _chosen(timeline, policy, budget, meter, summaries)
    # What comes before the first question of all is never shown.
    return choice.start <= (summaries.after or timeline.question_after(0) or 0)


def _chosen(
    timeline: Timeline, policy: ContextPolicy, budget: int | None, meter: Meter, summaries: Summaries
) -> Choice:
    choice = Choice(timeline, timeline.tally(meter.counter), meter.room(budget))
    floor = max(summaries.after, floor_of(timeline, policy.most))
    if floor == 0 and not summaries.messages and choice.tally.is_at_most(choice.room):
        choice.take_all()
    else:
        choice.fill(floor, policy.keywords, summaries.messages)
    return choice


def show(
    timeline: Timeline,
    policy: ContextPolicy,
    *,
    max_context_tokens: int = 120_000,
    context_prune_threshold: float = 0.8,
    meter: Meter = ESTIMATE,
    summaries: Summaries = Summaries(),
) -> View:
    """What the model is shown before it is called: all, until that is more than the threshold allows; then a choice.

    The two numbers are the settings', for what *policy* leaves open.
    """
    window, threshold = policy.room(max_context_tokens, context_prune_threshold)
    budget = int(threshold * window)
    if not summaries.messages and timeline.tally(meter.counter).is_at_most(meter.room(budget)):
        return choose(timeline, EVERYTHING, budget=budget, meter=meter)
    return choose(timeline, policy, budget=budget, meter=meter, summaries=summaries)


def whole(timeline: Timeline, more: Sequence[Message], *, budget: int, meter: Meter = ESTIMATE) -> Whole | None:
    """*timeline* and *more* behind it, where `show` would show just that. It takes one copy of the list.

    *more* is a turn: it begins with a question, and every result in it has its call.
    """
    systems, users = timeline.systems, timeline.users
    # Messages of the system are shown in front, and before the first question nothing else is shown.
    question = users[0] if users else len(timeline.messages)
    if timeline.strays or question != len(systems) or (systems and systems[-1] > question):
        return None
    tokens, room = sum(tokens_of(message, meter.counter) for message in more), meter.room(budget)
    if meter.counter is not estimated_tokens and not timeline.tally(meter.counter).is_at_most(room - tokens):
        # It takes time: no further back than there is room.
        return None
    tokens += timeline.tokens(meter.counter)
    return Whole(joined(timeline.messages, more), tokens) if tokens <= room else None


EVERYTHING = ContextPolicy(policy="budget")


def floor_of(timeline: Timeline, most: int | None) -> int:
    """Where the newest *most* messages begin, not counting those of the system."""
    size, systems = len(timeline.messages), timeline.systems
    if most is None or size <= most:
        return 0
    floor = size - most
    while (lower := size - most - (len(systems) - bisect_left(systems, floor))) < floor:
        floor = lower
    return max(0, floor)


def _report(
    choice: Choice, policy: ContextPolicy, messages: Sequence[Message], budget: int | None, meter: Meter
) -> PruneReport:
    timeline = choice.timeline
    critical = timeline.critical(policy.keywords)
    pinned_kept, critical_kept = choice.kept(timeline.pinned), choice.kept(critical)
    systems = sum(place in choice.taken for place in timeline.systems)
    before = multiplied(timeline.tokens(meter.counter), meter.factor)
    return PruneReport(
        policy=policy.policy,
        reason=_reason(choice, messages, policy, is_too_much=budget is not None and before > budget),
        budget=budget,
        messages_before=len(timeline.messages),
        messages_after=len(messages),
        tokens_before=before,
        tokens_after=multiplied(choice.tokens(), meter.factor),
        system_dropped=len(timeline.systems) - systems,
        pinned_kept=pinned_kept,
        pinned_dropped=len(timeline.pinned) - pinned_kept,
        critical_kept=critical_kept,
        critical_dropped=len(critical) - critical_kept,
        summaries=len(choice.summaries),
        strays=len(timeline.strays),
    )


def _reason(choice: Choice, messages: Sequence[Message], policy: ContextPolicy, *, is_too_much: bool) -> Reason:
    if not messages and choice.timeline.newest() is not None:
        return "newest"
    if choice.summaries:
        return "summary"
    if is_too_much:
        return "tokens"
    return "messages" if floor_of(choice.timeline, policy.most) else "beginning"
