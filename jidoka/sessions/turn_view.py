"""What a model is shown in a turn: by the session's policy and counter, with its summaries and the turn so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jidoka.core.agents import kind_of
from jidoka.core.budgets import Allowance, Limits
from jidoka.core.chunks import LLMConfig
from jidoka.core.context import build_context
from jidoka.core.errors import TurnFailed
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import Meter, PruneReport, Summaries, View, show, whole
from jidoka.core.rules import Rules
from jidoka.core.summaries import due, placed
from jidoka.core.tokens import estimated_tokens
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.core.state import SessionState
    from jidoka.core.timeline import Timeline
    from jidoka.core.tokens import TokenCounter
    from jidoka.core.turns import OpenTurn
    from jidoka.sessions.setup import SessionSetup


_NO_WINDOW: Final = 10**15


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """What a session's `llm_config` says of its turns, besides its model."""

    policy: ContextPolicy
    rules: Rules
    limits: Limits

    @classmethod
    def of(cls, llm: Any) -> TurnOptions:
        """Most sessions say nothing: theirs are shared. Raises InvalidMessage."""
        known: Mapping[str, Any] = llm.options if isinstance(llm, LLMConfig) else llm
        said = {name: known.get(name) for name in ("context", "rules", "budget")}
        if not any(value is not None for value in said.values()):
            return _defaults()
        return cls(ContextPolicy.of(said["context"]), Rules.of(said["rules"]), Limits.of(said["budget"]))


@lru_cache(maxsize=1)
def _defaults() -> TurnOptions:
    return TurnOptions(ContextPolicy(), Rules(), Limits())


def counter_of(setup: SessionSetup, policy: ContextPolicy, model: str) -> TokenCounter:
    """How the session counts."""
    return estimated_tokens if policy.counter == "estimate" else setup.house.exact_counter(model)


def next_step(
    setup: SessionSetup, state: SessionState, turn: OpenTurn, options: TurnOptions, *, without_summary: bool = False
) -> tuple[ask.Step, PruneReport | None]:
    """What *turn* does next, and what of the conversation is left out for it."""
    place, calls, text = turn.pending
    allowance = allowance_of(state, turn, options.limits)
    if calls:
        return ask.Step(place, calls=calls, text=text, allowance=allowance), None
    policy, house = options.policy, setup.house
    meter = Meter(counter_of(setup, policy, turn.model), state.ledger.factor)
    most, part = house.max_context_tokens, house.context_prune_threshold
    if kind_of(turn.model) is not None:
        # An agent has a context of its own.
        most, part = _NO_WINDOW, 1.0
    window, threshold = policy.room(most, part)
    budget, now = int(threshold * window), house.world.now()
    more = turn.messages(state.session_id, state.seq, now)
    everything = whole(state.timeline, more, budget=budget, meter=meter) if policy.policy != "summarise" else None
    if everything is not None:
        context = build_context(state, shown=everything.messages, tokens=everything.tokens, now=now)
        return ask.Step(place, context, everything.tokens, meter.factor, allowance), None
    _look_through(state.timeline, policy, meter, budget)
    timeline = state.timeline.with_more(more)
    summaries = Summaries()
    if policy.policy == "summarise" and not without_summary:
        plan = due(timeline, policy, state.summaries, budget=budget, meter=meter)
        if plan is not None:
            return ask.Step(place, allowance=allowance, plan=plan), None
        summaries = placed(timeline, state.summaries)
    view = show(
        timeline,
        policy,
        max_context_tokens=most,
        context_prune_threshold=part,
        meter=meter,
        summaries=summaries,
    )
    if view.report is not None and view.report.reason == "newest":
        raise _too_large(state.session_id, turn, budget)
    estimated = _tokens(timeline, view, meter)
    context = build_context(state, shown=view.messages, tokens=estimated, now=now)
    return ask.Step(place, context, estimated, meter.factor, allowance), view.report


def _too_large(session_id: str, turn: OpenTurn, budget: int) -> TurnFailed:
    error = f"not even the newest message fits into the {budget} tokens that the model may be shown"
    text = f"the turn failed: {error}"
    return TurnFailed(text, session_id=session_id, turn_id=turn.id, error=error, reason="context_exceeded")


def _look_through(timeline: Timeline, policy: ContextPolicy, meter: Meter, budget: int) -> None:
    """Search and count once what a choice asks about: the copy that it is made from is gone after the turn."""
    timeline.critical(policy.keywords)
    if policy.counter != "estimate":
        # As far back as there is room. The rest is estimated.
        timeline.tally(meter.counter).is_at_most(meter.room(budget))
    timeline.tokens(meter.counter)


def _tokens(timeline: Timeline, view: View, meter: Meter) -> int:
    return timeline.tokens(meter.counter) if view.report is None else int(view.report.tokens_after / meter.factor)


def allowance_of(state: SessionState, turn: OpenTurn, limits: Limits) -> Allowance:
    """What is left of the budgets."""
    if not limits.is_set:
        return Allowance(limits)
    spent = limits.priced(turn.usage)
    return Allowance(limits, limits.budgets(spent, state.ledger.total + spent))
