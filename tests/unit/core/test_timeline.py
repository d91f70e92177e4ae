"""Where in a conversation what matters is."""

from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.keywords import CRITICAL
from jidoka.core.messages import Message
from jidoka.core.timeline import Timeline
from tests.unit.core.conversations import calls, conversation, conversations, result, said, strays, units


def spans(timeline: Timeline) -> list[tuple[int, int]]:
    return [timeline.unit(place) for place in range(len(timeline.messages))]


def test_places_are_found_as_messages_come() -> None:
    messages: list[Message] = []
    timeline = Timeline(messages)
    turns = [
        "a",
        said("system", "b"),
        said("assistant", "c", pinned=True),
        said("system", "d", pinned=True),
        "it is down",
    ]

    for message in conversation(*turns):
        messages.append(message)
        timeline.catch_up()

    assert list(timeline.users) == [0, 4]
    assert list(timeline.systems) == [1, 3]
    assert list(timeline.pinned) == [2]
    assert list(timeline.critical(CRITICAL)) == [4]
    assert list(timeline.critical(("c",))) == [2]
    assert list(timeline.critical(())) == []
    assert (timeline.newest(), timeline.newest_said()) == (4, 4)


def test_parallel_calls_are_one_unit() -> None:
    timeline = Timeline(conversation("a", calls("x", "y"), result("y"), result("x"), "b"))

    assert spans(timeline) == [(0, 0), (1, 3), (1, 3), (1, 3), (4, 4)]


def test_calls_that_were_answered_crosswise_are_one_unit() -> None:
    timeline = Timeline(conversation(calls("x"), calls("y"), result("x"), result("y"), calls("z"), result("z")))

    assert spans(timeline) == [(0, 3)] * 4 + [(4, 5)] * 2


def test_a_call_grows_with_its_results() -> None:
    messages = conversation("a", calls("x", "y"))
    timeline = Timeline(messages)
    assert timeline.unit(1) == (1, 1)

    for part in conversation(result("x"), "in between", result("y")):
        messages.append(part)
        timeline.catch_up()

    assert spans(timeline) == [(0, 0), *[(1, 4)] * 4]


def test_a_second_answer_is_a_stray() -> None:
    timeline = Timeline(conversation(calls("x"), result("x"), result("x"), result("nobody"), said("system", "s")))

    assert list(timeline.strays) == [2, 3]
    assert (timeline.newest(), timeline.newest_said()) == (4, 1)
    assert Timeline(conversation(result("x"))).newest() is None


def test_a_question_inside_of_a_unit_begins_nothing() -> None:
    timeline = Timeline(conversation("a", calls("x"), "while it works", result("x"), "b"))

    assert [timeline.question_before(place) for place in range(6)] == [None, 0, 0, 0, 0, 4]
    assert [timeline.question_after(place) for place in range(6)] == [0, 4, 4, 4, 4, None]


@given(conversations())
def test_units_hold_what_belongs_together(messages: list[Message]) -> None:
    timeline = Timeline(messages)
    places = {message.id: place for place, message in enumerate(messages)}

    assert {messages[place].id for place in timeline.strays} == strays(messages)
    for unit in units(messages):
        assert len({timeline.unit(places[id]) for id in unit}) == 1
    for first, last in spans(timeline):
        assert first == last or messages[first].role == "assistant"


@given(conversations(), st.integers(0, 60))
def test_a_timeline_with_more_is_the_timeline_of_all(messages: list[Message], cut: int) -> None:
    start, whole = Timeline(messages[:cut]), Timeline(messages)
    start.critical(CRITICAL)

    longer = start.with_more(messages[cut:])

    assert spans(longer) == spans(whole)
    for name in ("users", "systems", "strays", "pinned"):
        assert list(getattr(longer, name)) == list(getattr(whole, name))
    assert list(longer.critical(CRITICAL)) == list(whole.critical(CRITICAL))
    assert longer.tokens() == whole.tokens()
    assert len(start.messages) == len(messages[:cut])
