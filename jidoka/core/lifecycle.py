"""Which moves a session's status may make."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jidoka.core.errors import InvalidTransition
from jidoka.core.status import SessionStatus

_S = SessionStatus

MOVES: Mapping[SessionStatus, frozenset[SessionStatus]] = MappingProxyType(
    {
        _S.INITIALIZING: frozenset({_S.ACTIVE, _S.FAILED, _S.TERMINATED}),
        _S.ACTIVE: frozenset({_S.IDLE, _S.WAITING_INPUT, _S.SUSPENDED, _S.TERMINATING, _S.FAILED}),
        _S.IDLE: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.TERMINATING, _S.FAILED}),
        _S.WAITING_INPUT: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.TERMINATING, _S.FAILED}),
        _S.SUSPENDED: frozenset({_S.ACTIVE, _S.TERMINATING}),
        _S.TERMINATING: frozenset({_S.TERMINATED, _S.FAILED}),
        _S.FAILED: frozenset({_S.ACTIVE, _S.TERMINATING}),
        _S.TERMINATED: frozenset(),
    }
)

# Its actors run: it takes messages without being woken first.
LIVE = frozenset({_S.INITIALIZING, _S.ACTIVE, _S.IDLE, _S.WAITING_INPUT})


def move(status: SessionStatus, target: SessionStatus) -> SessionStatus:
    """*target*, if a session may go there from *status*. Raises InvalidTransition."""
    if target not in MOVES[status]:
        raise InvalidTransition(status, target)
    return target


def is_live(status: SessionStatus) -> bool:
    """Whether a session of this status has running actors."""
    return status in LIVE


def is_final(status: SessionStatus) -> bool:
    """Whether this is the end: no move leads out of it."""
    return not MOVES[status]
