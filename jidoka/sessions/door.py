"""The way from a client to a session's actors: finds them, wakes them, and asks again when they were restarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, MailboxFull
from jidoka.core.errors import SessionNotFound
from jidoka.sessions import requests as ask
from jidoka.sessions.feed import Feed
from jidoka.sessions.stream import TurnStream

if TYPE_CHECKING:
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.request import Request
    from jidoka.actors.supervisor_ref import SupervisorRef
    from jidoka.sessions.house import House
    from jidoka.sessions.root import SessionsRoot

T = TypeVar("T")


class Door:
    """Calls that survive restarts: what is asked may be asked twice, so it reads, or carries a key."""

    __slots__ = ("_number", "_prefix", "house")

    def __init__(self, house: House) -> None:
        self.house = house
        self._prefix = house.world.new_id()[:12]
        self._number = 0

    def new_key(self) -> str:
        """A key that no other write has."""
        self._number += 1
        return f"{self._prefix}-{self._number}"

    async def context(self, session_id: str, request: Request[T]) -> T:
        """Ask the session's context manager."""
        ref = self.house.registry.child(session_id, "context_manager")
        if ref is not None:
            if ref.cell.mail_count >= self.house.mailbox:
                raise MailboxFull(f"session {session_id} has {ref.cell.mail_count} messages waiting")
            try:
                return await ref.call(request, timeout=self.house.call_timeout)
            except (ActorDead, ActorRestarted):
                # It crashed, or the session is being suspended or ended: look again.
                pass
        return await self._insist(session_id, "context_manager", request)

    async def orchestrator(self, session_id: str, request: Request[T]) -> T:
        """Ask the session's orchestrator. What it has begun is not begun again; what never reached it is."""
        while True:
            ref = await self.ref(session_id, "orchestrator")
            try:
                return await ref.call(request, timeout=None)
            except (ActorDead, ActorRestarted):
                await self.manager(ask.Activate(session_id))

    async def begin_stream(self, session_id: str, prompt: ask.Prompt) -> TurnStream:
        """Begin a turn that is streamed. One that was interrupted before this was known says so in its stream."""
        while True:
            feed = Feed()
            ref = await self.ref(session_id, "orchestrator")
            try:
                await ref.call(replace(prompt, feed=feed), timeout=self.house.call_timeout)
            except (ActorDead, ActorRestarted):
                await self.manager(ask.Activate(session_id))
            else:
                return TurnStream(prompt.turn_id, feed, ref)

    async def _insist(self, session_id: str, name: str, request: Request[T]) -> T:
        clock = self.house.world.monotonic
        deadline = clock() + self.house.call_timeout
        while True:
            left = deadline - clock()
            if left <= 0:
                raise CallTimeout(f"session {session_id} did not answer in {self.house.call_timeout} s")
            ref = await self.ref(session_id, name)
            try:
                return await ref.call(request, timeout=left)
            except (ActorDead, ActorRestarted):
                # Whatever is being done to the session, this waits until it is done.
                await self.manager(ask.Activate(session_id))

    async def ref(self, session_id: str, name: str) -> ActorRef[Any]:
        """The ref of a session's child. Resumes a suspended session."""
        return await self._found(session_id, lambda: self.house.registry.child(session_id, name))

    async def supervisor(self, session_id: str) -> SupervisorRef:
        """The ref of a session's supervisor. Resumes a suspended session."""
        return await self._found(session_id, lambda: self.house.registry.supervisor(session_id))

    async def _found(self, session_id: str, look: Callable[[], Any]) -> Any:
        while True:
            ref = look()
            if ref is not None:
                return ref
            await self.manager(ask.Activate(session_id))
            ref = look()
            if ref is not None:
                return ref
            # Its supervisor is between two incarnations.
            slot = self.house.system.backend.new_slot()
            if self.house.registry.when_settled(session_id, lambda slot=slot: slot.done() or slot.set_result(None)):
                await slot

    async def has_started(self, session_id: str) -> bool:
        """Whether the session has come up. Waits while it is being started for the first time."""
        root = cast("SessionsRoot | None", self.house.root and self.house.root.supervisor)
        slot = self.house.system.backend.new_slot()
        if root is not None and root.when_started(session_id, lambda: slot.done() or slot.set_result(None)):
            await slot
        return await self.house.store.head(session_id) is not None

    async def terminate(self, session_id: str, reason: str, *, purge: bool) -> None:
        """End a session. Raises SessionNotFound."""
        manager = self.house.manager
        assert manager is not None
        request = ask.TerminateSession(session_id, reason, purge)
        is_repeated = False
        if purge and await self.house.store.head(session_id) is None:
            raise SessionNotFound(session_id)
        while True:
            try:
                return await manager.call(request, timeout=None)
            except ActorRestarted:
                is_repeated = True
            except SessionNotFound:
                # The manager was killed after it had purged.
                if not (purge and is_repeated):
                    raise
                return None

    async def manager(self, request: Request[T], *, timeout: float | None = None) -> T:
        """Ask the session manager; again, when it was restarted meanwhile."""
        manager = self.house.manager
        assert manager is not None
        while True:
            try:
                return await manager.call(request, timeout=timeout)
            except ActorRestarted:
                continue
