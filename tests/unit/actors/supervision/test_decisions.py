"""The decisions behind the table, as tables of their own: judge, affected, Budget, Backoff."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.actors.errors import InvalidChildSpec
from jidoka.actors.exits import ExitKind, ExitReason, Shutdown, Stop, exit_of, text_of
from jidoka.actors.restarts import NO_BACKOFF, Backoff, Budget, Verdict, affected, judge
from jidoka.actors.specs import Restart

CLEAN = {"normal", "shutdown"}
AGAIN, KEEP, FORGET = Verdict.START_AGAIN, Verdict.KEEP_STOPPED, Verdict.FORGET


@pytest.mark.parametrize("kind", get_args(ExitKind))
@pytest.mark.parametrize("restart", get_args(Restart))
def test_s30_s31_s32_s33_who_comes_back(restart: Restart, kind: ExitKind) -> None:
    expected = {"permanent": AGAIN, "transient": KEEP if kind in CLEAN else AGAIN, "temporary": FORGET}

    assert judge(restart, ExitReason(kind)) is expected[restart]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Stop(), "normal"),
        (Shutdown("done"), "shutdown"),
        (ValueError("no"), "crash"),
        (SystemExit(3), "crash"),
        (KeyboardInterrupt(), "crash"),
        (GeneratorExit(), "crash"),
    ],
)
def test_what_an_exception_says_about_the_end(error: BaseException, kind: str) -> None:
    assert exit_of(error).kind == kind


def test_an_error_that_cannot_be_printed_still_has_a_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(Mute()) == "Mute: unprintable"
    assert text_of(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("strategy", "ended", "who"),
    [
        ("one_for_one", "b", "b"),
        ("one_for_all", "b", "abcd"),
        ("rest_for_one", "a", "abcd"),
        ("rest_for_one", "b", "bcd"),
        ("rest_for_one", "d", "d"),
    ],
)
def test_s44_s45_s46_whom_a_restart_takes_along(strategy: Any, ended: str, who: str) -> None:
    assert affected(strategy, list("abcd"), ended) == list(who)


def fate(budget: Budget, times: list[float]) -> list[bool]:
    return [budget.spend(time) for time in times]


@pytest.mark.parametrize(
    ("intensity", "period", "times", "expected"),
    [
        pytest.param(0, 5, [0], [False], id="S64"),
        pytest.param(2, 5, [0, 1, 2], [True, True, False], id="S63"),
        pytest.param(1, 1, [0, 2.1, 4.2], [True, True, True], id="S65"),
        pytest.param(1, 1, [0, 1.0], [True, False], id="S74-now-minus-t-equals-period"),
        pytest.param(1, 1, [0, 1.0000001], [True, True], id="S74-just-beyond"),
        pytest.param(2, 5, [0, 4, 6, 9.5], [True, True, True, True], id="S65-sliding"),
        pytest.param(2, 5, [0, 4, 5, 5.1], [True, True, False, False], id="S65-too-many"),
    ],
)
def test_a_budget(intensity: int, period: float, times: list[float], expected: list[bool]) -> None:
    assert fate(Budget(intensity, period), times)[: len(expected)] == expected


@pytest.mark.parametrize("gap", [0.5, 0.9, 1.1, 1.3, 1.6, 1.9, 2.1])
@pytest.mark.parametrize("phase", [0.0, 0.3, 0.7, 0.95])
def test_s74_the_window_is_exact_whatever_the_phase(gap: float, phase: float) -> None:
    exact = fate(Budget(1, 1), [phase, phase + gap])
    strict = fate(Budget(1, 1, strict=True), [phase, phase + gap])

    assert exact == [True, gap > 1]
    # OTP: whole seconds, inclusively.
    assert strict == [True, int(phase + gap) - int(phase) > 1]


@given(
    st.integers(0, 4),
    st.integers(1, 10),
    st.lists(st.integers(0, 8), max_size=40),
)
def test_a_budget_never_allows_more_than_intensity_in_a_period(intensity: int, period: int, gaps: list[int]) -> None:
    budget, now, events = Budget(intensity, period), 0, list[int]()
    for gap in gaps:
        now += gap
        events.append(now)

        assert budget.spend(now) == (sum(now - event <= period for event in events) <= intensity)


def test_a_backoff_grows_up_to_its_maximum() -> None:
    backoff = Backoff(base=0.1, factor=2, maximum=1, jitter=0)

    assert [backoff.delay(n, 0.5) for n in range(7)] == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1, 1])
    assert backoff.delay(10**9, 0.5) == 1


def test_jitter_shortens_a_wait() -> None:
    backoff = Backoff(base=1, jitter=0.25)

    assert (backoff.delay(1, 0), backoff.delay(1, 0.5), backoff.delay(1, 1)) == (1, 0.875, 0.75)


def test_strict_supervisors_do_not_wait() -> None:
    assert [NO_BACKOFF.delay(n, 0.5) for n in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "wrong", [{"base": -1}, {"factor": 0.5}, {"maximum": float("inf")}, {"jitter": 2}, {"jitter": -0.1}]
)
def test_a_backoff_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidChildSpec):
        Backoff(**wrong)
