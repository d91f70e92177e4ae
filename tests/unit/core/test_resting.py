"""When a session is to say that it is idle, to warn, and to be suspended."""

import pytest

from jidoka.core.config import SessionConfig
from jidoka.core.resting import Rest, next_look, rest_after

USUAL = SessionConfig()
SHORT = SessionConfig(idle_after=10, suspend_after=60)
BOTH_AT_ONCE = SessionConfig(idle_after=300, suspend_after=600)


@pytest.mark.parametrize(
    ("config", "quiet", "is_idle", "is_warned", "due", "next_in"),
    [
        (USUAL, 0, False, False, Rest.NOTHING, 300),
        (USUAL, 299, False, False, Rest.NOTHING, 1),
        (USUAL, 300, False, False, Rest.GO_IDLE, 0),
        (USUAL, 300, True, False, Rest.NOTHING, 1200),
        (USUAL, 1499, True, False, Rest.NOTHING, 1),
        (USUAL, 1500, True, False, Rest.WARN, 0),
        (USUAL, 1500, True, True, Rest.NOTHING, 300),
        (USUAL, 1800, True, True, Rest.SUSPEND, 0),
        (USUAL, 1800, True, False, Rest.SUSPEND, 0),
        (USUAL, 9999, False, False, Rest.SUSPEND, 0),
        (SHORT, 0, False, False, Rest.NOTHING, 10),
        (SHORT, 10, False, False, Rest.GO_IDLE, 0),
        (SHORT, 59, True, False, Rest.NOTHING, 1),
        (SHORT, 60, True, False, Rest.SUSPEND, 0),
        (BOTH_AT_ONCE, 300, False, False, Rest.GO_IDLE, 0),
        (BOTH_AT_ONCE, 300, True, False, Rest.WARN, 0),
        (SessionConfig(suspend_after=300), 0, False, False, Rest.NOTHING, 300),
        (SessionConfig(suspend_after=301), 1, False, False, Rest.WARN, 0),
        (SessionConfig(idle_after=1000, suspend_after=900), 600, False, False, Rest.WARN, 0),
        (SessionConfig(idle_after=1000, suspend_after=900), 600, False, True, Rest.NOTHING, 300),
    ],
)
def test_what_is_due(
    config: SessionConfig, quiet: float, is_idle: bool, is_warned: bool, due: Rest, next_in: float
) -> None:
    assert rest_after(quiet, config, is_idle=is_idle, is_warned=is_warned) is due
    assert next_look(quiet, config, is_idle=is_idle, is_warned=is_warned) == next_in
