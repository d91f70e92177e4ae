"""What a model is shown: the guarantees of every policy, and what each of them is for."""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from jidoka.core.keywords import CRITICAL, finder
from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import Meter, View, choose, show, whole
from jidoka.core.timeline import Timeline
from jidoka.core.tokens import must_prune
from tests.unit.core.conversations import (
    TEXTS,
    Said,
    calls,
    contents,
    conversation,
    conversations,
    result,
    said,
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

    # Looked at as it grew, or at once: the same.
    anew = choose(Timeline(list(messages)), policy, budget=budget)
    assert list(grown.messages) == list(anew.messages)
    assert grown.report == anew.report


@pytest.mark.parametrize("policy", NAMES)
def test_pruning_what_was_pruned_loses_nothing_that_matters(policy: str) -> None:
    messages = conversation(said("system", "be kind"), "the database is down", said("assistant", "I see"))
    messages += conversation(*["something routine, nothing else"] * 100)
    numbered = [message.model_copy(update={"seq": n, "id": f"m{n}"}) for n, message in enumerate(messages, start=2)]

    for cycle in range(50):
        number = 1000 + cycle
        asked = conversation(f"what of cycle {cycle}?")[0].model_copy(update={"seq": number, "id": f"m{number}"})
        numbered = list(pick([*numbered, asked], policy, budget=400).messages)

        assert contents(numbered)[:2] == ["be kind", "the database is down"]
        assert contents(numbered)[-1] == f"what of cycle {cycle}?"
        assert len({message.id for message in numbered}) == len(numbered)
        assert tokens(numbered) <= 400


# --- what each of them is for ---------------------------------------------------------------------

DULL = ["nothing new"] * 100


def test_recent_is_the_system_and_the_last_fifty() -> None:
    messages = conversation(said("system", "be kind"), *DULL)

    view = pick(messages, "recent")

    assert list(view.messages) == [messages[0], *messages[-50:]]
    assert view.report is not None
    assert (view.report.reason, view.report.messages_before, view.report.messages_after) == ("messages", 101, 51)


def test_smart_keeps_what_is_critical_and_pinned_behind_a_hundred_messages() -> None:
    messages = conversation(
        said("system", "be kind"),
        "there is a markdown download",
        "the payment service is DOWN",
        said("user", "my name is Ada", pinned=True),
        *DULL,
    )

    view = pick(messages, "smart")

    assert list(view.messages) == [messages[0], messages[2], messages[3], *messages[-30:]]
    report = view.report
    assert report is not None
    assert (report.critical_kept, report.critical_dropped, report.pinned_kept, report.pinned_dropped) == (1, 0, 1, 0)


def test_budget_is_the_newest_that_fit() -> None:
    messages = conversation(*["x" * 4000] * 60)

    view = pick(messages, "budget", budget=10_000)

    assert list(view.messages) == messages[-10:]
    assert view.report is not None
    assert (view.report.tokens_before, view.report.tokens_after, view.report.reason) == (60_000, 10_000, "tokens")


@pytest.mark.parametrize("policy", NAMES)
def test_sixty_thousand_tokens_do_not_stay_over_the_limit(policy: str) -> None:
    view = pick(conversation(*["x" * 4000] * 60), policy, budget=10_000)

    assert tokens(view.messages) <= 10_000


def test_what_is_critical_is_in_order_and_once() -> None:
    turns = [f"message {number}" + (" failed" if number % 7 == 0 else "") for number in range(200)]

    shown = contents(pick(conversation(*turns), "smart").messages)

    assert shown == [turn for number, turn in enumerate(turns) if number % 7 == 0 or number >= 170]


def test_too_much_that_is_critical_is_reported() -> None:
    messages = conversation(*(f"error {number:04}" + "x" * 390 for number in range(100)), "and now?")

    report = pick(messages, "smart", budget=1_000).report

    assert report is not None
    assert report.critical_kept == 9
    assert report.critical_dropped == 91


def test_without_keywords_nothing_is_critical() -> None:
    messages = conversation("error", *DULL)

    assert messages[0] not in pick(messages, "smart", keywords=[]).messages
    assert messages[0] in pick(messages, "smart").messages


def test_a_system_message_in_the_middle_goes_first() -> None:
    messages = conversation("a", said("system", "be kind"), "b")

    assert contents(pick(messages).messages) == ["be kind", "a", "b"]


def test_a_conversation_does_not_begin_with_an_answer() -> None:
    messages = conversation(said("assistant", "how can I help?"), "like this", said("assistant", "fine"))

    view = pick(messages)

    assert contents(view.messages) == ["like this", "fine"]
    assert view.report is not None
    assert view.report.reason == "beginning"
    assert contents(pick(messages[:1]).messages) == ["how can I help?"]


def test_an_odd_cut_leaves_a_question_at_the_beginning() -> None:
    talk = [said("assistant" if number % 2 else "user", f"{number}") for number in range(100)]

    assert pick(conversation(*talk), "recent", recent=49).messages[0].role == "user"


def test_a_call_critical_by_its_result_brings_all_of_its_unit() -> None:
    unit = [calls("a", "b"), result("b", "all is well"), result("a", "it crashed")]
    messages = conversation("look", *unit, said("assistant", "oh"), *DULL)

    shown = pick(messages, "smart").messages

    assert list(shown[:4]) == messages[:4]
    assert list(shown[4:]) == messages[-30:]


def test_a_long_turn_is_shown_with_the_question_it_is_about() -> None:
    steps = [part for number in range(100) for part in (calls(f"c{number}"), result(f"c{number}", "x" * 80))]
    messages = conversation("an older question", said("assistant", "done"), "find it", *steps)

    view = pick(messages, budget=500)

    assert contents(view.messages)[0] == "find it"
    assert view.messages[1].role == "assistant"
    assert view.messages[-1] is messages[-1]
    assert 400 < tokens(view.messages) <= 500


def test_the_newest_turn_goes_before_what_was_critical_once() -> None:
    old = [f"error {number:04}" + "x" * 390 for number in range(100)]
    messages = conversation(*old, "find it", calls("a"), result("a", "y" * 400), said("assistant", "found"))

    shown = contents(pick(messages, "smart", budget=1_000).messages)

    assert shown[-4:] == contents(messages[-4:])
    assert len(shown) > 8


def test_ids_of_calls_may_come_again_in_another_turn() -> None:
    one = said("assistant", "a", tool_calls=[{"id": "call_0"}], turn_id="t1")
    two = said("assistant", "b", tool_calls=[{"id": "call_0"}], turn_id="t2")
    messages = conversation(
        "x",
        one,
        said("tool", "1", call_id="call_0", turn_id="t1"),
        two,
        said("tool", "2", call_id="call_0", turn_id="t2"),
    )

    timeline = Timeline(messages)

    assert [timeline.unit(place) for place in range(5)] == [(0, 0), (1, 2), (1, 2), (3, 4), (3, 4)]


@pytest.mark.parametrize("bad", [3, None, [], {"a": 1}, "x", [3], [{}], [{"id": [1]}], [{"id": None}]])
def test_anybodys_metadata_does_no_harm(bad: Any) -> None:
    messages = conversation(
        said("user", "x", pinned=bad, tool_calls=bad, call_id=bad, turn_id=bad),
        said("assistant", "x", pinned=bad, tool_calls=bad, call_id=bad, turn_id=bad),
        said("tool", "x", call_id=bad, turn_id=bad),
        "y",
    )

    assert len(pick(messages, budget=100).messages) >= 3


def test_nothing_is_shown_of_nothing() -> None:
    assert pick([]) == View([])
    assert pick([], budget=0).report is None


def test_when_not_even_the_newest_fits_nothing_is_shown() -> None:
    view = pick(conversation("a", "x" * 4000), budget=500)

    assert list(view.messages) == []
    assert view.report is not None
    assert view.report.reason == "newest"
    assert view.report.as_dict()["messages_before"] == 2


# --- before the model is called -------------------------------------------------------------------


def shown(messages: list[Message], policy: str, window: int, threshold: float = 0.8) -> View:
    chosen = ContextPolicy.of({"policy": policy})
    return show(Timeline(messages), chosen, max_context_tokens=window, context_prune_threshold=threshold)


@pytest.mark.parametrize("policy", NAMES)
def test_below_the_threshold_everything_is_shown(policy: str) -> None:
    messages = conversation(*["four"] * 80)

    assert shown(messages, policy, 100) == View(messages)
    over = shown(messages, policy, 99)
    assert over.report is not None
    assert len(over.messages) <= 79


@given(st.integers(1, 300), st.integers(1, 400), st.sampled_from([0.8, 0.5, 1.0, 0.07]))
def test_a_view_is_pruned_exactly_when_it_must_be(size: int, window: int, threshold: float) -> None:
    view = shown(conversation(*["four"] * size), "budget", window, threshold)

    assert (view.report is not None) == must_prune(size, threshold, window)


def test_a_turn_that_is_under_way_is_shown_and_not_kept() -> None:
    messages = conversation("a", said("assistant", "b"), calls("c"))
    timeline = Timeline(messages)
    timeline.critical(CRITICAL)
    more = conversation("", "", "", result("c", "an error"), "and now?")[3:]

    longer = timeline.with_more(more)

    assert contents(choose(longer, ContextPolicy()).messages) == ["a", "b", "let me see", "an error", "and now?"]
    assert longer.unit(3) == (2, 3)
    assert list(longer.critical(CRITICAL)) == [3]
    assert len(timeline.messages) == 3
    assert timeline.unit(2) == (2, 2)
    assert list(timeline.critical(CRITICAL)) == []
    assert longer.tokens() == tokens([*messages, *more])


def test_a_session_counts_as_its_provider_does() -> None:
    messages = conversation(*["x" * 40] * 100)

    twice = choose(Timeline(messages), ContextPolicy(), budget=500, meter=Meter(factor=2.0))

    assert len(twice.messages) == 25
    assert twice.report is not None
    assert (twice.report.tokens_before, twice.report.tokens_after) == (2000, 500)


@st.composite
def turns_under_way(draw: st.DrawFn) -> list[Said]:
    """A question, and rounds of calls with all of their results."""
    turn = [said("user", draw(TEXTS))]
    for number in range(draw(st.integers(0, 2))):
        ids = [f"now_{number}_{one}" for one in range(draw(st.integers(1, 2)))]
        turn += [calls(*ids, text=draw(TEXTS)), *(result(id, draw(TEXTS)) for id in ids)]
    return turn


@given(conversations(most=6), turns_under_way(), POLICIES, st.integers(0, 400), METERS)
def test_a_conversation_that_is_whole_is_what_would_be_shown(
    messages: list[Message], turn: list[Said], policy: ContextPolicy, budget: int, meter: Meter
) -> None:
    timeline = Timeline(messages)
    more = conversation(*[""] * len(messages), *turn)[len(messages) :]

    everything = whole(timeline, more, budget=budget, meter=meter)

    longer = timeline.with_more(more)
    view = show(longer, policy, max_context_tokens=budget, context_prune_threshold=1.0, meter=meter)
    event(f"whole: {everything is not None}")
    if everything is not None:
        assert everything == (list(view.messages), longer.tokens(meter.counter))
        assert view.report is None
    elif view.report is None:
        # Not as quick, and right: it begins otherwise, or there are messages of the system in it.
        assert timeline.systems


@pytest.mark.parametrize("before", [(), ("a", said("assistant", "b")), (said("system", "s"), "a")])
def test_most_conversations_are_whole(before: tuple[Any, ...]) -> None:
    messages = conversation(*before)
    more = conversation(*before, "and now?")[-1:]

    assert whole(Timeline(messages), more, budget=4) == ([*messages, *more], len(messages) + 2)
    assert whole(Timeline(messages), more, budget=1) is None
