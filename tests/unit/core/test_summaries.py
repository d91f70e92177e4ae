"""Summaries that stand for the older part of a conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import choose
from jidoka.core.summaries import FAN_IN, SHARE, Summary, SummaryPlan, due, in_force, placed
from jidoka.core.timeline import Timeline
from tests.unit.core.conversations import (
    NOON,
    calls,
    contents,
    conversation,
    conversations,
    result,
    said,
    tokens,
    units,
)

SUMMARISE = ContextPolicy.of({"policy": "summarise"})


def summary(first: int, last: int, level: int = 0, content: str = "in short") -> Summary:
    return Summary(first_seq=first, last_seq=last, level=level, content=content, at=NOON)


def made(plan: SummaryPlan, size: int = 40) -> Summary:
    """What a model might make of *plan*."""
    return summary(plan.first_seq, plan.last_seq, plan.level, "s" * size)


def talk(count: int, size: int = 40) -> list[Message]:
    return conversation(*(said("assistant" if n % 2 else "user", "x" * size) for n in range(count)))


# --- when, and of what ----------------------------------------------------------------------------


def test_nothing_is_due_while_everything_fits() -> None:
    assert due(Timeline(talk(10)), SUMMARISE, budget=100) is None
    assert due(Timeline(), SUMMARISE, budget=100) is None


def test_the_older_half_is_due_when_it_does_not_fit() -> None:
    messages = talk(11)

    plan = due(Timeline(messages), SUMMARISE, budget=100)

    assert plan == SummaryPlan(first_seq=2, last_seq=7, level=0, messages=tuple(messages[:6]))


def test_no_more_is_due_at_once_than_a_model_can_read() -> None:
    plan = due(Timeline(talk(1000)), SUMMARISE, budget=100)

    assert plan is not None
    assert 80 <= tokens(plan.messages) <= 100


def test_a_call_is_summarised_with_its_result() -> None:
    steps = [part for n in range(20) for part in (calls(f"c{n}"), result(f"c{n}", "x" * 100))]
    messages = conversation("find it", *steps)

    plan = due(Timeline(messages), SUMMARISE, budget=200)

    assert plan is not None
    ids = {message.id for message in plan.messages}
    assert all(unit <= ids or not unit & ids for unit in units(messages))


def test_so_many_of_the_newest_stay_word_for_word() -> None:
    messages = talk(20)

    plan = due(Timeline(messages), ContextPolicy.of({"policy": "summarise", "recent": 6}), budget=10_000)

    assert plan is not None
    assert plan.last_seq == messages[-7].seq


def test_system_messages_are_not_summarised() -> None:
    messages = conversation(said("system", "be kind"), *["x" * 40] * 20)

    plan = due(Timeline(messages), SUMMARISE, budget=100)

    assert plan is not None
    assert all(message.role == "user" for message in plan.messages)


# --- summaries of summaries -----------------------------------------------------------------------


def test_many_summaries_become_one() -> None:
    several = [summary(2 + n, 2 + n) for n in range(FAN_IN)]

    plan = due(Timeline(talk(20)), SUMMARISE, several, budget=10_000)

    assert plan is not None
    assert (plan.first_seq, plan.last_seq, plan.level, len(plan.messages)) == (2, 1 + FAN_IN, 1, FAN_IN)
    assert due(Timeline(talk(20)), SUMMARISE, [*several, made(plan)], budget=10_000) is None


def test_long_summaries_become_one_sooner() -> None:
    several = [summary(2, 3, content="s" * 120), summary(4, 5, content="s" * 120)]

    plan = due(Timeline(talk(8)), SUMMARISE, several, budget=200)

    assert plan is not None
    assert (plan.first_seq, plan.last_seq, plan.level) == (2, 5, 1)


def test_what_a_later_summary_includes_is_not_in_force() -> None:
    one, two, both, next = summary(2, 5), summary(6, 9), summary(2, 9, level=1), summary(10, 12)

    assert in_force([one, two]) == [one, two]
    assert in_force([one, two, both, next]) == [both, next]


# --- where they stand -----------------------------------------------------------------------------


def test_a_summary_stands_where_the_messages_were() -> None:
    messages = conversation(said("system", "be kind"), "old", said("assistant", "old"), "new", said("assistant", "new"))
    timeline = Timeline(messages)
    summaries = placed(timeline, [summary(3, 4)])

    view = choose(timeline, SUMMARISE, budget=100, summaries=summaries)

    assert [message.role for message in view.messages] == ["system", "user", "user", "assistant"]
    assert contents(view.messages)[0] == "be kind"
    assert "in short" in view.messages[1].content
    assert view.messages[1].metadata["summary"] == {"first_seq": 3, "last_seq": 4, "level": 0}
    assert contents(view.messages)[2:] == ["new", "new"]
    assert view.report is not None
    assert (view.report.reason, view.report.summaries) == ("summary", 1)


def test_what_is_pinned_or_critical_stays_word_for_word() -> None:
    messages = conversation("the disk has failed", said("user", "I am Ada", pinned=True), "old", "new")
    timeline = Timeline(messages)

    view = choose(timeline, SUMMARISE, budget=100, summaries=placed(timeline, [summary(2, 4)]))

    assert contents(view.messages)[1:] == ["the disk has failed", "I am Ada", "new"]


def test_a_conversation_that_was_cleared_has_no_summary() -> None:
    timeline = Timeline(conversation("a", "b"))

    assert placed(timeline, [summary(1, 1)]).messages == ()
    assert placed(Timeline(), [summary(1, 1)]).messages == ()


def test_a_summary_can_be_kept() -> None:
    one = summary(2, 9, 3)

    assert Summary.model_validate_json(one.model_dump_json()) == one
    with pytest.raises(ValueError, match="first_seq"):
        Summary(first_seq=0, last_seq=1, content="x", at=NOON)


def test_after_a_summary_the_conversation_goes_on_in_the_middle_of_a_turn() -> None:
    messages = conversation("find it", *(said("assistant", f"step {number}") for number in range(6)), "and now?")
    timeline = Timeline(messages)

    view = choose(timeline, SUMMARISE, budget=1_000, summaries=placed(timeline, [summary(2, 4)]))

    assert contents(view.messages)[1:] == contents(messages[3:])


def test_a_long_turn_is_summarised_as_it_goes() -> None:
    messages = conversation("find it", *(said("assistant", "x" * 40) for _ in range(40)), "and now?")
    timeline = Timeline(messages)
    summaries: list[Summary] = []
    while (plan := due(timeline, SUMMARISE, summaries, budget=200)) is not None:
        summaries.append(made(plan))

    shown = placed(timeline, summaries)
    view = choose(timeline, SUMMARISE, budget=200, summaries=shown)

    assert shown.after > 20
    assert list(view.messages) == [*shown.messages, *messages[shown.after :]]


# --- over a long life -----------------------------------------------------------------------------


@given(conversations(most=10), st.integers(150, 600), st.integers(1, 200))
def test_a_long_life_is_always_told_within_the_budget(turn: list[Message], budget: int, size: int) -> None:
    messages: list[Message] = []
    timeline = Timeline(messages)
    summaries: list[Summary] = []
    for number in range(30):
        for message in turn or conversation("again"):
            metadata = {**message.metadata, "turn_id": f"turn_{number}"}
            id = f"{number}_{message.id}"
            messages.append(message.model_copy(update={"seq": len(messages) + 2, "id": id, "metadata": metadata}))
        timeline.catch_up()

        steps = 0
        while (plan := due(timeline, SUMMARISE, summaries, budget=budget)) is not None and steps < 50:
            assert plan.messages and plan.first_seq <= plan.last_seq
            summaries.append(made(plan, size))
            steps += 1

        assert steps < 50
        view = choose(timeline, SUMMARISE, budget=budget, summaries=placed(timeline, summaries))
        assert tokens(view.messages) <= budget
        ids = {message.id for message in view.messages}
        assert all(unit <= ids or not unit & ids for unit in units(messages))

    force = in_force(summaries)
    # Nothing is told twice, and they take their share and no more.
    assert all(one.last_seq < other.first_seq for one, other in zip(force, force[1:], strict=False))
    long = sum(tokens([one.as_message("session_1")]) for one in force) > SHARE * budget
    assert len(force) < 2 or not long


def test_a_life_of_ten_thousand_messages_has_few_summaries() -> None:
    messages: list[Message] = []
    timeline = Timeline(messages)
    summaries: list[Summary] = []
    for message in talk(10_000):
        messages.append(message)
        timeline.catch_up()
        while (plan := due(timeline, SUMMARISE, summaries, budget=2_000)) is not None:
            summaries.append(made(plan))

    assert len(in_force(summaries)) < 3 * FAN_IN
    assert max(one.level for one in summaries) >= 2
    assert len(summaries) < 150
    shown = placed(timeline, summaries)
    view = choose(timeline, SUMMARISE, budget=2_000, summaries=shown)
    # Everything is told, by itself or in a summary.
    assert list(view.messages) == [*shown.messages, *messages[shown.after :]]
