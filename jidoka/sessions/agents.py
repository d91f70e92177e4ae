"""A session's agent process as a child of its supervisor, and the way to it from the session's model.

The actor is there as long as the session's other actors; the process from the first turn that needs it. When the
process ends by itself this actor crashes, and its supervisor decides. When this actor ends, however that happens, so
does the process.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.exits import ExitReason
from jidoka.actors.request import Request
from jidoka.core.agents import CHILD, agent_failed
from jidoka.core.errors import InvalidMessage, JidokaError
from jidoka.ports.agents import AgentLink
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.actors.children import Child
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor import Supervisor
    from jidoka.sessions.setup import SessionSetup


@dataclass(frozen=True, slots=True)
class BeginTurn(Request[AgentLink]):
    """A turn wants to be answered."""

    ticket: object


@dataclass(frozen=True, slots=True)
class LeaveTurn(Request[None]):
    """A turn is over."""

    ticket: object
    is_done: bool


class AgentProcess(Actor):
    """Owns the process, and lets one turn at a time have it."""

    # Whatever it waits for, a greeting for example, is given up when the session ends.
    traps_exit: ClassVar[bool] = False

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__()
        self.setup = setup
        self._link: AgentLink | None = None
        self._ticket: object | None = None
        # Where the orchestrator lives that has the process now.
        self._caller: Cell | None = None

    def __repr__(self) -> str:
        return f"<AgentProcess of {self.setup.session_id}: {self._link or 'not started'}>"

    def on_start(self) -> None:
        """The process can wait until it is needed."""
        if self.restarts:
            self._sibling("context_manager").ref.tell(ask.ChildBack(CHILD, self.restarts))
        self.setup.house.agents.arrive(self.setup.session_id, self.actor_ref)
        self.jidoka_cell.watch(self._let_go)

    async def on_receive(self, message: Any) -> Any:
        """One after the other: a turn waits until the one before it has been called off."""
        match message:
            case BeginTurn(ticket):
                return await self._begin(ticket)
            case LeaveTurn(ticket, is_done):
                return await self._leave(ticket, is_done)
            case _:
                raise InvalidMessage(f"an agent process does not know {type(message).__name__}")

    async def on_stop(self) -> None:
        """In order: SIGTERM, and force after the grace."""
        if self._link is not None:
            # Where the whole session ends, its turn stays as it is: interrupted, as with any other model.
            await self._link.close(quietly=self._supervisor().is_ending)

    def _supervisor(self) -> Supervisor:
        return cast("Supervisor", cast("Child", self.jidoka_cell.parent).owner)

    def _sibling(self, name: str) -> Cell:
        return self._supervisor().find(name).cell_in(self.jidoka_cell.system)

    def _let_go(self, _: ExitReason) -> None:
        # However this incarnation ended. A link that is closed already does not mind.
        self._forget_the_caller()
        if self._link is not None:
            self._link.kill()

    async def _begin(self, ticket: object) -> AgentLink:
        # A session has one orchestrator: whoever had the process before is gone.
        await self._leave(self._ticket, is_done=False)
        link = self._link
        if link is None or link.is_over:
            link = await self._opened()
        self._ticket = ticket
        self._caller = self._sibling("orchestrator")
        self._caller.watch(self._caller_has_ended)
        return link

    async def _opened(self) -> AgentLink:
        if self._link is not None:
            await self._link.close()
        link = self._link = self.setup.house.launcher.open(self.setup.model, self.setup.session_id)
        self.start_soon(link.run)
        try:
            await link.greet()
        except JidokaError:
            await link.close()
            raise
        return link

    async def _leave(self, ticket: object | None, is_done: bool) -> None:
        if ticket is None or ticket is not self._ticket:
            return
        self._ticket = None
        self._forget_the_caller()
        if self._link is not None and not is_done:
            await self._link.call_off()

    def _caller_has_ended(self, _: ExitReason) -> None:
        # Killed, or left behind: nobody hears any more from what it was doing, which may not even know.
        self._caller = None
        with suppress(ActorDead):
            self.jidoka_cell.admit(LeaveTurn(self._ticket, is_done=False), None)

    def _forget_the_caller(self) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.unwatch(self._caller_has_ended)


class AgentDesk:
    """An `Agents`: knows where the agent process of each session is."""

    def __init__(self) -> None:
        self._refs: dict[str, ActorRef[Any]] = {}

    def __repr__(self) -> str:
        return f"<AgentDesk of {len(self._refs)} sessions>"

    def __len__(self) -> int:
        return len(self._refs)

    def arrive(self, session_id: str, ref: ActorRef[Any]) -> None:
        """An agent process has come up."""
        self._refs[session_id] = ref

    def forget(self, session_id: str) -> None:
        """The session has no actors any more."""
        self._refs.pop(session_id, None)

    def forget_all(self) -> None:
        """None has."""
        self._refs.clear()

    async def begin(self, session_id: str, ticket: object) -> AgentLink:
        """The process. One that is being restarted is waited for."""
        while True:
            ref = self._refs.get(session_id)
            if ref is None:
                raise agent_failed("agent_not_started", "the session has no agent process")
            try:
                return await ref.call(BeginTurn(ticket), timeout=None)
            except ActorRestarted as again:
                if again.was_handled:
                    raise agent_failed("agent_not_started", str(again)) from again
            except ActorDead as dead:
                raise agent_failed("agent_ended", "the session is being ended") from dead

    def leave(self, session_id: str, ticket: object, *, is_done: bool) -> None:
        """That turn is over. Fine when nobody is there to hear it."""
        ref = self._refs.get(session_id)
        if ref is not None:
            with suppress(JidokaError):
                ref.tell(LeaveTurn(ticket, is_done))
