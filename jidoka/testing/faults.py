"""Breaking things on purpose: the crashes that a runtime has to survive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.actors.errors import ChildNotFound
from jidoka.actors.exits import KILLED

if TYPE_CHECKING:
    from jidoka.actors.exits import ExitReason
    from jidoka.actors.ref import ActorRef
    from jidoka.client import Client
    from jidoka.session import Session


async def kill_child(session: Session, name: str) -> ExitReason:
    """Kill `context_manager` or `orchestrator`, and wait until it is gone. Its supervisor has then decided."""
    for child in await session.which_children():
        if child.id == name:
            return await _kill(child.ref)
    raise ChildNotFound(f"session {session.id} has no child {name!r}")


async def kill_supervisor(session: Session) -> ExitReason:
    """Kill the session's own supervisor, with everything below it."""
    return await _kill(await session.get_ref())


async def kill_manager(client: Client) -> ExitReason:
    """Kill the session manager. The sessions go on without it."""
    manager = client.house.manager
    assert manager is not None
    return await _kill(manager.cell.ref)


async def _kill(ref: ActorRef[Any]) -> ExitReason:
    if ref.cell.actor is None:
        # Between two incarnations: there is nobody, and whoever comes next has done nothing.
        return KILLED
    ref.kill()
    return await ref.wait_stopped()
