"""The house as it looks from outside."""

from __future__ import annotations

from typing import Literal

from jidoka.core.records import Record


class TreeNode(Record):
    """An actor and what is below it. `ref` is its URN, `mailbox` how many messages wait."""

    id: str
    type: Literal["worker", "supervisor"]
    session_id: str | None = None
    ref: str
    state: Literal["running", "restarting", "stopped", "abandoned"]
    restarts: int = 0
    mailbox: int = 0
    children: tuple[TreeNode, ...] = ()


class Health(Record):
    """Whether everything works, and if not, what does not."""

    status: Literal["ok", "degraded"]
    problems: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.status == "ok"


class Stats(Record):
    """How much there is of everything, and how much there may be."""

    running: bool
    """Whether sessions can be created: the manager is there."""
    sessions: dict[str, int]
    """By status, the ended ones among them."""
    active_sessions: int
    """With live actors."""
    max_sessions: int
    actors: int
    restarts: int
    abandoned: int
    subscriptions: int
    mailbox: int
    """Messages that may wait for one actor."""
    max_context_tokens: int
    call_timeout: float
    """Seconds until a call is given up. The next three: of a session that says nothing else."""
    idle_after: float
    suspend_after: float
    max_age: float | None


class Damage(Record):
    """Part of a store that cannot be trusted: the entries from `first_seq` to `last_seq` of a session.

    Without numbers it is the session as a whole; without a session it is something that all of them need.
    """

    session_id: str | None
    first_seq: int | None = None
    last_seq: int | None = None
    text: str
