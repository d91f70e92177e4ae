"""When the next cycle is due, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.cycles.slots import MOST_CAUGHT_UP, Missed, Slot, next_slot

POLICIES: list[Missed] = ["skip", "once", "catch_up"]


@pytest.mark.parametrize("missed", POLICIES)
@pytest.mark.parametrize(("elapsed", "wait"), [(0, 60), (20, 40), (59.5, 0.5)])
def test_who_is_in_time_waits_for_the_next_slot(missed: Missed, elapsed: float, wait: float) -> None:
    assert next_slot(elapsed, 60, missed) == Slot(1, wait, 0)


@pytest.mark.parametrize("missed", POLICIES)
def test_a_slot_at_its_very_time_is_not_missed(missed: Missed) -> None:
    assert next_slot(60, 60, missed) == Slot(1, 0, 0)
    assert next_slot(0.1 + 0.2, 0.3, missed) == Slot(1, 0, 0)


@pytest.mark.parametrize(
    ("elapsed", "missed", "slot"),
    [
        (70, "skip", Slot(2, 50, 1)),
        (70, "once", Slot(1, 0, 0)),
        (70, "catch_up", Slot(1, 0, 0)),
        (200, "skip", Slot(4, 40, 3)),
        (200, "once", Slot(3, 0, 2)),
        (200, "catch_up", Slot(1, 0, 0)),
        (180, "skip", Slot(3, 0, 2)),
        (60 * 250, "catch_up", Slot(151, 0, 150)),
    ],
)
def test_slots_that_passed_are_treated_as_it_was_said(elapsed: float, missed: Missed, slot: Slot) -> None:
    assert next_slot(elapsed, 60, missed) == slot


@given(st.floats(0, 1e6), st.floats(0.01, 1e4), st.sampled_from(POLICIES))
def test_the_grid_stays_and_every_slot_is_used_or_counted(elapsed: float, every: float, missed: Missed) -> None:
    slot = next_slot(elapsed, every, missed)

    assert slot.steps == slot.missed + 1
    assert slot.wait >= 0
    due_in = slot.steps * every - elapsed
    assert slot.wait == pytest.approx(max(0.0, due_in), abs=every / 1e3)
    if missed == "skip":
        assert due_in >= -every / 1e3
    if missed == "once":
        assert due_in > -every
    if missed == "catch_up":
        assert elapsed - slot.steps * every <= MOST_CAUGHT_UP * every


@pytest.mark.parametrize("missed", POLICIES)
def test_a_clock_that_was_set_back_costs_no_more_than_an_interval(missed: Missed) -> None:
    assert next_slot(-1e9, 60, missed) == Slot(1, 60, 0)
