"""Which moves a session's status may make: the whole table."""

from itertools import product

import pytest

from jidoka.core.errors import InvalidTransition
from jidoka.core.lifecycle import LIVE, MOVES, is_final, is_live, move
from jidoka.core.status import SessionStatus

TABLE = {
    "initializing": {"active", "failed", "terminated"},
    "active": {"idle", "waiting_input", "suspended", "terminating", "failed"},
    "idle": {"active", "suspended", "terminating", "failed"},
    "waiting_input": {"active", "suspended", "terminating", "failed"},
    "suspended": {"active", "terminating"},
    "terminating": {"terminated", "failed"},
    "failed": {"active", "terminating"},
    "terminated": set[str](),
}


@pytest.mark.parametrize(("status", "target"), [*product(SessionStatus, SessionStatus)])
def test_each_move_is_as_the_table_says(status: SessionStatus, target: SessionStatus) -> None:
    if target in TABLE[status]:
        assert move(status, target) is target
    else:
        with pytest.raises(InvalidTransition) as caught:
            move(status, target)
        assert (caught.value.status, caught.value.target) == (status, target)
        assert str(caught.value) == f"a session that is {status} cannot become {target}"


def test_the_table_speaks_of_every_status_and_cannot_be_changed() -> None:
    assert set(MOVES) == set(SessionStatus) == set(TABLE)
    with pytest.raises(TypeError):
        MOVES[SessionStatus.TERMINATED] = frozenset()  # pyright: ignore[reportIndexIssue]


def test_only_terminated_is_final() -> None:
    assert [status for status in SessionStatus if is_final(status)] == [SessionStatus.TERMINATED]


def test_a_live_session_is_one_with_actors() -> None:
    assert {status for status in SessionStatus if is_live(status)} == LIVE
    assert {str(status) for status in LIVE} == {"initializing", "active", "idle", "waiting_input"}


def test_every_session_can_reach_its_end() -> None:
    def ends(status: SessionStatus, seen: frozenset[SessionStatus]) -> bool:
        return is_final(status) or any(ends(next, seen | {next}) for next in MOVES[status] if next not in seen)

    assert all(ends(status, frozenset({status})) for status in SessionStatus)


def test_a_status_is_text() -> None:
    assert f"{SessionStatus.WAITING_INPUT}" == "waiting_input"
    assert SessionStatus("idle") is SessionStatus.IDLE
