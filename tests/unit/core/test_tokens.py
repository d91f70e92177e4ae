"""How many tokens a message takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.tally import BLOCK, Tally
from jidoka.core.tokens import ATTACHMENT, calibrated, estimated_tokens, multiplied, must_prune, tokens_of
from tests.unit.core.conversations import calls, conversation, result, said, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("abc", 1),
        ("x" * 400, 100),
        ("字" * 400, 300),
        ("é" * 400, 200),
        ("🎉" * 400, 400),
        ("\ud800", 1),
    ],
)
def test_four_bytes_are_a_token(text: str, expected: int) -> None:
    assert estimated_tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        # What o200k_base makes of them; cl100k_base takes up to twice as many.
        ("今天天气很好，我们一起去公园散步，然后在河边的小餐馆吃午饭。", 20),
        ("今日はとても良い天気です。すぐに対応する必要があります。", 17),
        ("오늘은 날씨가 아주 좋습니다. 즉시 조치가 필요합니다.", 17),
        ("🎉🚀🔥😀🥳🤖", 12),
        ("The quick brown fox jumps over the lazy dog.", 10),
    ],
)
def test_the_estimate_is_of_the_right_size_in_every_script(text: str, truth: int) -> None:
    assert 0.4 <= estimated_tokens(text) / truth <= 1.6


def message(content: str, role: str = "user", **metadata: object) -> int:
    return tokens_of(conversation(said(role, content, **metadata))[0])


def test_blocks_are_what_counts() -> None:
    blocks = [{"type": "text", "text": "x" * 400}, {"type": "text", "text": "y" * 40}]

    assert message("x", content_blocks=blocks) == 110
    assert message("x" * 40, content_blocks=[]) == 10
    assert message("x" * 40, content_blocks="nonsense") == 10


def test_a_picture_is_not_counted_by_its_size() -> None:
    picture = {"type": "image", "source": {"type": "base64", "data": "A" * 1_000_000}}

    assert message("x", content_blocks=[picture]) == ATTACHMENT
    assert message("x", content_blocks=[{"type": "tool_result", "content": [picture]}]) == ATTACHMENT
    assert message("x", content_blocks=[{"type": "tool_result", "content": "x" * 400}]) >= 100
    assert message("x", content_blocks=[{"type": "tool_use", "input": {"a": "x" * 400}}]) >= 100
    assert message("x", content_blocks=["x" * 400, 3]) >= 100


def test_the_calls_that_a_message_makes_are_counted() -> None:
    (asked,) = conversation(calls("a", "b"))

    assert tokens_of(asked) > estimated_tokens(asked.content) + 10


def test_no_message_takes_nothing() -> None:
    def nothing(_: str) -> int:
        return 0

    assert [tokens_of(one, nothing) for one in conversation("x", result("a"), said("user", "x", content_blocks=[""]))]
    assert all(tokens_of(one, nothing) == 1 for one in conversation("x", result("a"), calls("b")))


# --- when to prune --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((96_000,), False),
        ((96_001,), True),
        ((0,), False),
        ((820, 0.8, 1000), True),
        ((800, 0.8, 1000), False),
        ((801, 0.8, 1000), True),
        ((1000, 1.0, 1000), False),
    ],
)
def test_more_than_the_threshold_is_too_much(arguments: tuple[int, ...], expected: bool) -> None:
    assert must_prune(*arguments) is expected


# --- calibration ----------------------------------------------------------------------------------


def test_a_factor_goes_where_the_provider_says() -> None:
    factor = 1.0
    for _ in range(30):
        factor = calibrated(factor, estimated=1000, reported=1500)

    assert factor == pytest.approx(1.5, abs=0.01)
    assert calibrated(1.0, estimated=1000, reported=1500) == pytest.approx(1.15)
    assert calibrated(1.0, estimated=1000, reported=1500, weight=1) == 1.5


@pytest.mark.parametrize(("estimated", "reported"), [(0, 0), (0, 1000), (1000, 0), (10, 500), (1000, -5)])
def test_a_report_that_says_nothing_changes_nothing(estimated: int, reported: int) -> None:
    assert calibrated(1.2, estimated=estimated, reported=reported) == 1.2


@given(st.floats(0.25, 4), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_a_factor_stays_within_bounds(factor: float, reports: list[tuple[int, int]]) -> None:
    for estimated, reported in reports:
        factor = calibrated(factor, estimated=estimated, reported=reported)

        assert 0.25 <= factor <= 4


def test_what_is_multiplied_is_never_less() -> None:
    assert (multiplied(10, 1.0), multiplied(10, 1.01), multiplied(0, 3)) == (10, 11, 0)


# --- many messages --------------------------------------------------------------------------------

SIZES = st.lists(st.integers(1, 60), max_size=4 * BLOCK)


def tally_of(sizes: list[int]) -> Tally:
    tally = Tally(conversation(*("x" * 4 * size for size in sizes)), estimated_tokens)
    tally.catch_up()
    return tally


@given(SIZES, st.data())
def test_room_reaches_as_far_back_as_it_is_enough(sizes: list[int], data: st.DataObject) -> None:
    tally = tally_of(sizes)
    start = data.draw(st.integers(0, len(sizes)))
    floor = data.draw(st.integers(0, start))
    room = data.draw(st.integers(-5, 60 * 200))
    free = data.draw(st.sets(st.integers(0, max(0, len(sizes) - 1)), max_size=9)) if sizes else set[int]()
    cost = [0 if place in free else size for place, size in enumerate(sizes)]

    found, spent = tally.reach(start, floor, room, free)

    assert floor <= found <= start
    assert spent == sum(cost[found:start]) and (found == start or spent <= room)
    assert found == floor or spent + cost[found - 1] > room
    assert tally.total() == sum(sizes)
    assert tally.is_at_most(room) == (sum(sizes) <= room or not sizes)


def test_no_more_is_counted_than_is_asked_for() -> None:
    counted: list[str] = []

    def counter(text: str) -> int:
        counted.append(text)
        return 10

    messages = conversation(*(f"message {number}" for number in range(10_000)))
    tally, estimate = Tally(messages, counter), Tally(messages, estimated_tokens)
    tally.catch_up()
    estimate.catch_up()

    for _ in range(3):
        assert tally.reach(len(messages), 0, 1000).start == len(messages) - 100

    assert len(counted) == len(set(counted)) <= 100 + 2 * BLOCK
    assert tally.total(estimate) < tokens(messages) + 10 * 200
    assert len(counted) <= 100 + 2 * BLOCK
