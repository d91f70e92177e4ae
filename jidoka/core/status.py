"""How a session is doing."""

from enum import StrEnum


class SessionStatus(StrEnum):
    """Where a session is in its life. Which moves are legal: `jidoka.core.lifecycle`."""

    INITIALIZING = "initializing"
    ACTIVE = "active"
    IDLE = "idle"
    WAITING_INPUT = "waiting_input"
    SUSPENDED = "suspended"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"
