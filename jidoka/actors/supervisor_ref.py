"""A supervisor's ref: an actor's ref with the operations on its children."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.ref import ActorRef
from jidoka.actors.specs import ChildCounts, ChildInfo, ChildSpec

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.supervisor import Supervisor


class SupervisorRef(ActorRef[Any]):
    """What may be asked of a supervisor. For use on the loop. Everything raises ActorDead or ActorRestarted
    when the supervisor is not there."""

    __slots__ = ()

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor itself, to look at. Nobody but its own children's records changes it."""
        actor = self.cell.actor
        if actor is None:
            if self.cell.is_open:
                raise ActorRestarted(f"{self} is being restarted")
            raise ActorDead(f"{self} not found", reason=self.exit_reason)
        return actor  # pyright: ignore[reportReturnType]

    async def _ask(self, operation: Callable[[Slot], object]) -> Any:
        slot = self.cell.system.backend.new_slot()
        operation(slot)
        return await slot

    async def which_children(self) -> list[ChildInfo]:
        """The children, in start order."""
        return self.supervisor.infos()

    async def count_children(self) -> ChildCounts:
        """How many children there are, and of what kind."""
        return self.supervisor.counts()

    async def child(self, id: str) -> ActorRef[Any]:
        """The ref of a child. Raises ChildNotFound."""
        return self.supervisor.find(id).cell_in(self.cell.system).ref

    async def spec(self, id: str) -> ChildSpec:
        """A child's spec, with nothing left out. Raises ChildNotFound."""
        return self.supervisor.find(id).spec

    async def start_child(self, *spec: Any, **kwargs: Any) -> ActorRef[Any]:
        """Start one more child and wait until it is up. A dynamic supervisor takes the arguments of its template.

        Raises ChildStartError (already_started, already_present, max_children, shutdown, timeout, or the child's
        own failure), InvalidChildSpec. A caller that is cancelled leaves a child that is up, or none.
        """
        return await self._ask(lambda slot: self.supervisor.add_from(spec, kwargs, slot))

    async def terminate_child(self, id: str | ActorRef[Any]) -> None:
        """End a child, and keep it ended. Fine when it is ended already. Raises ChildNotFound."""
        await self._ask(lambda slot: self.supervisor.end_child(self.supervisor.id_of(id), slot))

    async def restart_child(self, id: str) -> ActorRef[Any]:
        """Start a child that is ended. Raises ChildStartError (running, restarting), ChildNotFound."""
        return await self._ask(lambda slot: self.supervisor.revive_child(self.supervisor.id_of(id), slot))

    async def delete_child(self, id: str) -> None:
        """Forget a child that is ended. Raises ChildStartError (running, restarting), ChildNotFound."""
        await self._ask(lambda slot: self.supervisor.delete_child(self.supervisor.id_of(id), slot))


def spec_from(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChildSpec | Mapping[str, Any]:
    """The spec in a call of `start_child`: one positional argument, or its keys."""
    return args[0] if len(args) == 1 and not kwargs else ChildSpec(*args, **kwargs)
