"""Which actor system `Actor.start()` means: the one around the caller, or the one that runs in this process."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jidoka.actors.system import ActorSystem

around: ContextVar[ActorSystem | None] = ContextVar("jidoka_system", default=None)

# The systems that run, oldest first: threads that were not started inside one use the newest.
running: list[ActorSystem] = []


def system() -> ActorSystem:
    """The system to start actors in. Raises RuntimeError when none runs."""
    near = around.get()
    if near is not None and near.is_running:
        return near
    if running:
        return running[-1]
    raise RuntimeError("no ActorSystem is running: use `async with ActorSystem()` or `with ActorSystem.threaded()`")
