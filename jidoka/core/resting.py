"""When a session rests: what its clock says of a session that has not been used for so long."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from jidoka.core.config import SessionConfig

WARNING: Final = 300.0
"""So many seconds before it is suspended a session says that it will be."""


class Rest(Enum):
    """What is due."""

    NOTHING = auto()
    GO_IDLE = auto()
    WARN = auto()
    SUSPEND = auto()


def rest_after(quiet: float, config: SessionConfig, *, is_idle: bool, is_warned: bool) -> Rest:
    """What a session is to do that has been quiet for *quiet* seconds."""
    if quiet >= config.suspend_after:
        return Rest.SUSPEND
    if not is_idle and quiet >= config.idle_after:
        return Rest.GO_IDLE
    if not is_warned and config.suspend_after > WARNING and quiet >= config.suspend_after - WARNING:
        return Rest.WARN
    return Rest.NOTHING


def first_look(config: SessionConfig) -> float:
    """In how many seconds something will be due for a session that was used just now."""
    later = config.suspend_after
    return min(config.idle_after, later - WARNING if later > WARNING else later)


def next_look(quiet: float, config: SessionConfig, *, is_idle: bool, is_warned: bool) -> float:
    """In how many seconds something will be due; 0 when it is."""
    return max(0.0, min(_limits(config, is_idle=is_idle, is_warned=is_warned)) - quiet)


def _limits(config: SessionConfig, *, is_idle: bool, is_warned: bool) -> Iterator[float]:
    yield config.suspend_after
    if not is_idle:
        yield config.idle_after
    if not is_warned and config.suspend_after > WARNING:
        yield config.suspend_after - WARNING
