"""What a model is shown: the guarantees of every policy, and what each of them is for."""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from jidoka.core.keywords import CRITICAL, finder
from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import Meter, View, choose
from jidoka.core.timeline import Timeline
from tests.unit.core.conversations import (
    conversation,
    conversations,
    strays,
    tokens,
    units,
)

NAMES = ["budget", "recent", "smart", "summarise"]
POLICIES = st.builds(
    ContextPolicy,
    policy=st.sampled_from(NAMES),
    recent=st.none() | st.integers(1, 12),
    keywords=st.sampled_from([CRITICAL, ("error",), ()]),
)
BUDGETS = st.none() | st.integers(0, 400)


def by_words(text: str) -> int:
    """Another counter, with other sums."""
    return len(text.split()) + len(text) // 9


METERS = st.builds(Meter, st.sampled_from([Meter().counter, by_words]), st.sampled_from([1.0, 0.3, 1.7, 3.9]))


def pick(messages: list[Message], policy: str = "budget", **options: Any) -> View:
    budget = options.pop("budget", None)
    return choose(Timeline(messages), ContextPolicy.of({"policy": policy, **options}), budget=budget)


# --- what every policy promises -------------------------------------------------------------------


@given(conversations(), POLICIES, BUDGETS, METERS)
def test_a_view_keeps_every_promise(
    messages: list[Message], policy: ContextPolicy, budget: int | None, meter: Meter
) -> None:
    timeline = Timeline(messages)

    view = choose(timeline, policy, budget=budget, meter=meter)

    shown = list(view.messages)
    ids = [message.id for message in shown]
    talk = [message for message in shown if message.role != "system"]
    event(f"left out: {view.report.reason if view.report else 'nothing'}")

    # At most the budget, by the session's own counter.
    spent = tokens(shown, meter.counter) * meter.factor
    assert budget is None or spent <= budget + 1e-9
    # System messages first, then all others in their order; none twice.
    systems = [message for message in shown if message.role == "system"]
    assert shown == systems + talk
    assert [m.seq for m in systems] == sorted({m.seq for m in systems})
    assert [m.seq for m in talk] == sorted({m.seq for m in talk})
    # Messages are shown as they are.
    assert all(message in messages for message in shown)
    # A call and its results are never cut apart, and a result that answers nothing is not shown.
    for unit in units(messages):
        assert unit <= set(ids) or not unit & set(ids)
    assert not strays(messages) & set(ids)
    # A conversation begins with a question, if there is one that it could begin with.
    newest = timeline.newest()
    if talk and newest is not None:
        asked = timeline.question_before(timeline.unit(newest)[0] + 1)
        assert talk[0].role == "user" or asked is None
    # The newest is there, or nothing is.
    assert (newest is None) or (messages[newest].id in ids) or not shown
    # And the report is true.
    _check(messages, view, policy, meter, budget)


def _check(messages: list[Message], view: View, policy: ContextPolicy, meter: Meter, budget: int | None) -> None:
    ids = {message.id for message in view.messages}
    report = view.report
    if report is None:
        assert len(ids) == len(messages)
        return
    is_critical = finder(policy.keywords) if policy.keywords else lambda _: False
    important = [m for m in messages if m.role != "system" and m.id not in strays(messages)]
    pinned = [m for m in important if m.metadata.get("pinned") is True]
    critical = [m for m in important if is_critical(m.content)]
    assert (report.messages_before, report.messages_after) == (len(messages), len(ids))
    assert report.pinned_kept == sum(m.id in ids for m in pinned) == len(pinned) - report.pinned_dropped
    assert report.critical_kept == sum(m.id in ids for m in critical) == len(critical) - report.critical_dropped
    assert report.system_dropped == sum(m.role == "system" and m.id not in ids for m in messages)
    assert report.strays == len(strays(messages))
    assert report.tokens_after == pytest.approx(tokens(view.messages, meter.counter) * meter.factor, abs=1)
    assert budget is None or report.tokens_after <= budget
    assert (report.reason == "newest") == (not ids and len(messages) > report.strays)
    assert report.budget == budget


@given(conversations(), POLICIES, st.integers(0, 400))
def test_the_newest_message_is_kept_if_it_fits_with_its_question(
    messages: list[Message], policy: ContextPolicy, budget: int
) -> None:
    timeline = Timeline(messages)
    newest = timeline.newest()
    if newest is None:
        return
    first, last = timeline.unit(newest)
    needed = [m for m in messages[first : last + 1] if m.role != "system" and m.id not in strays(messages)]
    needed = needed or [messages[newest]]
    if needed[0].role != "user" and messages[newest].role != "system":
        question = timeline.question_before(first)
        needed += [] if question is None else [messages[question]]

    view = choose(timeline, policy, budget=budget)

    assert (messages[newest] in view.messages) == (tokens(needed) <= budget)


@given(conversations(), POLICIES, st.integers(0, 400))
def test_what_is_pinned_or_critical_goes_before_what_is_routine(
    messages: list[Message], policy: ContextPolicy, budget: int
) -> None:
    timeline = Timeline(messages)
    view = choose(timeline, policy, budget=budget)
    if view.report is None or view.report.reason == "newest":
        return
    shown = {messages.index(message) for message in view.messages}
    important = [*reversed(timeline.pinned), *reversed(timeline.critical(policy.keywords))]
    # The newest turn, the newest message with its question, system messages: they had been there before.
    first = {place for place in shown if place >= (timeline.users[-1] if timeline.users else 0)}
    first |= {place for place in shown if messages[place].role == "system"} | _with_question(
        timeline, len(messages) - 1
    )

    for place in important:
        unit = _with_question(timeline, place)
        if place in shown:
            first |= unit & shown
        elif timeline.question_before(place + 1) is not None:
            # What is routine was asked after it, and had no more room.
            assert tokens(messages[other] for other in first | unit) > budget


def _with_question(timeline: Timeline, place: int) -> set[int]:
    first, last = timeline.unit(place)
    question = timeline.question_before(first + 1)
    return {*range(first, last + 1), *([] if question is None else [question])}


@given(conversations(most=12), conversations(most=6), POLICIES, st.integers(20, 300))
def test_fifty_turns_are_as_good_as_one(
    beginning: list[Message], more: list[Message], policy: ContextPolicy, budget: int
) -> None:
    messages = list(beginning)
    timeline = Timeline(messages)
    for turn in range(50):
        for message in more[:3] or conversation("again"):
            id = f"{turn}_{message.id}"
            metadata = {**message.metadata, "turn_id": f"turn_{turn}"}
            messages.append(message.model_copy(update={"seq": len(messages) + 2, "id": id, "metadata": metadata}))
        timeline.catch_up()

        grown = choose(timeline, policy, budget=budget)

    anew = choose(Timeline(list(messages)), policy, budget=budget)
    assert list(grown.messages) == list(anew.messages)
    assert grown.report == anew.report
    again = choose(Timeline(list(grown.messages)), policy, budget=budget)
    assert list(again.messages) == list(grown.messages)
