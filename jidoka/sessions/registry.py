"""Which sessions have live actors, and where. Anybody on the loop may read it without asking an actor.

The sessions' supervisor keeps it: a row is its own record of a child. A killed manager takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from jidoka.actors.children import Child
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor import Supervisor
    from jidoka.actors.supervisor_ref import SupervisorRef


class Registry:
    """Derived from the supervision tree: rows are the records that the sessions' supervisor keeps anyway."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[str, Child] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rows))

    def add(self, session_id: str, row: Child) -> None:
        """A session has come up."""
        self._rows[session_id] = row

    def remove(self, session_id: str) -> None:
        """A session has no actors any more."""
        self._rows.pop(session_id, None)

    def supervisor(self, session_id: str) -> SupervisorRef | None:
        """The session's supervisor."""
        row = self._rows.get(session_id)
        if row is None or row.cell is None:
            return None
        return row.cell.ref  # pyright: ignore[reportReturnType]

    def child(self, session_id: str, name: str) -> ActorRef[Any] | None:
        """A child of the session's supervisor: `context_manager` or `orchestrator`. None while there is none."""
        row = self._rows.get(session_id)
        if row is None or row.cell is None or row.cell.actor is None:
            return None
        child = cast("Supervisor", row.cell.actor).children.get(name)
        if child is None or child.cell is None:
            return None
        return child.cell.ref

    def when_settled(self, session_id: str, then: Callable[[], object]) -> bool:
        """Call *then* when the session's supervisor is up again, or could not come up. False if there is none."""
        row = self._rows.get(session_id)
        if row is None or row.is_running:
            return False
        row.settled = [*(row.settled or ()), then]
        return True
