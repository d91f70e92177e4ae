"""The whole house, seen from outside: the supervision tree, its health, its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.actors.supervisor import Supervisor
from jidoka.core.errors import JidokaError
from jidoka.core.views import Health, Stats, TreeNode

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.actors.children import Child
    from jidoka.sessions.house import House


def tree_of(house: House) -> TreeNode:
    """Every actor, each below its supervisor."""
    assert house.top is not None
    cell = house.top.cell
    return _node(cell, id=house.system.name, type="supervisor", state="running", restarts=0, session_id=None)


def _node(cell: Cell, *, id: str, type: str, state: str, restarts: int, session_id: str | None) -> TreeNode:
    actor = cell.actor
    children = list(actor.children.values()) if isinstance(actor, Supervisor) else []
    return TreeNode(
        id=id,
        type=type,  # pyright: ignore[reportArgumentType]
        session_id=session_id,
        ref=cell.ref.actor_urn,
        state=state,  # pyright: ignore[reportArgumentType]
        restarts=restarts,
        mailbox=cell.mail_count,
        children=tuple(_below(child, cell, session_id) for child in children if not child.is_new),
    )


def _below(child: Child, parent: Cell, session_id: str | None) -> TreeNode:
    setup: Any = child.args[0] if child.args else None
    return _node(
        child.cell_in(parent.system),
        id=child.id,
        type=child.spec.type,
        state=child.state(parent.system),
        restarts=child.restarts,
        session_id=session_id or getattr(setup, "session_id", None),
    )


async def health_of(house: House) -> Health:
    """Whether the store answers, and whether anything is running that should have ended."""
    problems: list[str] = []
    try:
        await house.store.count()
    except JidokaError as error:
        problems.append(f"store: {error}")
    problems += [f"damaged: {damage.text}" for damage in house.store.known_damage]
    problems += [f"abandoned: {name}" for name, _ in house.system.abandoned]
    problems += [f"abandoned: a call of the tool {name}" for name in house.tools.abandoned]
    return Health(status="ok" if not problems else "degraded", problems=tuple(problems))


async def stats_of(house: House) -> Stats:
    """How much there is of everything, and how much there may be."""
    by_status = await house.store.count()
    return Stats(
        running=house.manager is not None and house.manager.cell.ref.is_alive(),
        sessions={str(status): count for status, count in by_status.items()},
        active_sessions=len(house.registry),
        actors=house.system.cells,
        restarts=house.restarts,
        abandoned=len(house.system.abandoned) + len(house.tools.abandoned),
        subscriptions=house.hub.count,
        max_sessions=house.max_sessions,
        mailbox=house.mailbox,
        max_context_tokens=house.max_context_tokens,
        call_timeout=house.call_timeout,
        idle_after=house.defaults.idle_after,
        suspend_after=house.defaults.suspend_after,
        max_age=house.defaults.max_age,
    )
