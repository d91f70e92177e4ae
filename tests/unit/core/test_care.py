"""What is to be done about sessions that have no actors."""

from datetime import timedelta

import pytest

from jidoka.core.care import Care, care_for, is_stale
from jidoka.core.config import SessionConfig
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus
from jidoka.testing.entries import A, birth

RESUME, FAIL = SessionConfig(interrupted_turn="resume"), SessionConfig()


def a_head(status: str = "active", turn: str | None = None) -> Head:
    head = Head.of(A, birth())
    head.status, head.turn = SessionStatus(status), turn
    return head


@pytest.mark.parametrize(
    ("status", "turn", "config", "quiet", "at_opening", "later"),
    [
        ("active", None, FAIL, 0, Care.LEAVE, Care.LEAVE),
        ("active", None, FAIL, 1860, Care.LEAVE, Care.LEAVE),
        ("active", None, FAIL, 1861, Care.SUSPEND, Care.SUSPEND),
        ("idle", None, FAIL, 1861, Care.SUSPEND, Care.SUSPEND),
        ("active", "t", FAIL, 0, Care.LEAVE, Care.LEAVE),
        ("active", "t", FAIL, 1861, Care.SUSPEND, Care.SUSPEND),
        ("active", "t", RESUME, 0, Care.RESUME, Care.LEAVE),
        ("active", "t", RESUME, 1861, Care.RESUME, Care.RESUME),
        ("active", None, RESUME, 0, Care.LEAVE, Care.LEAVE),
        *((status, "t", RESUME, 10**6, Care.LEAVE, Care.LEAVE) for status in ("waiting_input", "suspended", "failed")),
        *((status, None, FAIL, 10**6, Care.LEAVE, Care.LEAVE) for status in ("terminating", "terminated")),
        ("active", None, SessionConfig(suspend_after=10), 71, Care.SUSPEND, Care.SUSPEND),
        ("active", None, SessionConfig(suspend_after=3600), 1861, Care.LEAVE, Care.LEAVE),
    ],
)
def test_what_is_due(
    status: str, turn: str | None, config: SessionConfig, quiet: float, at_opening: Care, later: Care
) -> None:
    head = a_head(status, turn)
    now = head.last_activity_at + timedelta(seconds=quiet)

    assert care_for(head, config, now=now, grace=60, opened_at=now) is at_opening
    assert care_for(head, config, now=now, grace=60, opened_at=None) is later


def test_a_turn_that_was_begun_after_the_opening_is_somebody_elses() -> None:
    head = a_head(turn="t")
    begun = head.last_activity_at

    assert care_for(head, RESUME, now=begun, grace=60, opened_at=begun) is Care.RESUME
    assert care_for(head, RESUME, now=begun, grace=60, opened_at=begun - timedelta(seconds=1)) is Care.LEAVE


def test_a_clock_that_went_back_makes_nothing_stale() -> None:
    head = a_head()

    assert not is_stale(head, FAIL, now=head.last_activity_at - timedelta(days=9), grace=0)
