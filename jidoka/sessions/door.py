"""The way from a client to a session's actors: finds them, wakes them, and asks again when they were restarted.

What crashes its handler each time it is asked is not asked for ever: it becomes a dead letter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, MailboxFull
from jidoka.core.errors import SessionNotFound
from jidoka.sessions import requests as ask
from jidoka.sessions.feed import Feed
from jidoka.sessions.poison import MAX_CRASHES, blame, key_of, letter_for, put_aside
from jidoka.sessions.stream import TurnStream

if TYPE_CHECKING:
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.request import Request
    from jidoka.actors.supervisor_ref import SupervisorRef
    from jidoka.sessions.house import House
    from jidoka.sessions.root import SessionsRoot

log = logging.getLogger("jidoka.sessions")

T = TypeVar("T")


class Door:
    """Calls that survive restarts: what is asked may be asked twice, so it reads, or carries a key."""

    __slots__ = ("_number", "_prefix", "_waiting", "house")

    def __init__(self, house: House) -> None:
        self.house = house
        self._prefix = house.world.new_id()[:12]
        self._number = 0
        # By session, how many callers wait for it to be there.
        self._waiting: dict[str, int] = {}

    def new_key(self) -> str:
        """A key that no other write has."""
        self._number += 1
        return f"{self._prefix}-{self._number}"

    async def context(self, session_id: str, request: Request[T]) -> T:
        """Ask the session's context manager.

        Raises MailboxFull when too many others wait, ActorRestarted for what crashes it again and again.
        """
        crash: str | None = None
        ref = self.house.registry.child(session_id, "context_manager")
        waiting = self._waiting.get(session_id, 0) if self._waiting else 0
        if ref is not None:
            waiting += ref.cell.mail_count
        if waiting >= self.house.mailbox:
            raise MailboxFull(f"session {session_id} has {waiting} messages waiting")
        if ref is not None:
            try:
                return await ref.call(request, timeout=self.house.call_timeout)
            except Exception as error:
                # It crashed, or the session is being suspended or ended: look again.
                crash = blame(error)
        return await self._insist(session_id, request, crash)

    async def at_once(self, session_id: str, request: Request[T]) -> T:
        """Ask the session's context manager ahead of all that waits for it, however much that is."""
        return await self._insist(session_id, request, None, is_urgent=True)

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
            except BaseException:
                # Whoever asked is gone, or has given up. It may have begun all the same, and nobody would hear it.
                if ref.is_alive():
                    ref.tell(ask.CancelTurn(feed))
                raise
            else:
                return TurnStream(prompt.turn_id, feed, ref)

    async def _insist(
        self,
        session_id: str,
        request: Request[T],
        crash: str | None,
        *,
        most: int = MAX_CRASHES,
        is_urgent: bool = False,
    ) -> T:
        """Ask until there is an answer. What was let in once is not refused later for want of room."""
        clock = self.house.world.monotonic
        deadline = clock() + self.house.call_timeout
        key = key_of(request) or self.new_key()
        while True:
            if crash is not None and self.house.crashes.one_more(session_id, key) >= most:
                letter_id = await self._bury(session_id, request, crash)
                self.house.crashes.forget(session_id, key)
                raise put_aside(crash, letter_id)
            with self._in_time(session_id, deadline), self._one_more_waits(session_id):
                ref = await self.ref(session_id, "context_manager")
            left = max(0.0, deadline - clock())
            try:
                return await (ref.call_first(request, left) if is_urgent else ref.call(request, timeout=left))
            except Exception as error:
                crash = blame(error)
                # Whatever is being done to the session, this waits until it is done.
                with self._in_time(session_id, deadline), self._one_more_waits(session_id):
                    await self.manager(ask.Activate(session_id))

    @contextmanager
    def _in_time(self, session_id: str, deadline: float) -> Generator[None]:
        """Raises CallTimeout at *deadline*."""
        scope, timers = anyio.CancelScope(), self.house.system.timers
        timer = timers.after(deadline - timers.clock(), lambda _: scope.cancel())
        try:
            with scope:
                yield
        finally:
            timers.cancel(timer)
        if scope.cancelled_caught or deadline <= timers.clock():
            raise CallTimeout(f"session {session_id} did not answer in {self.house.call_timeout} s")

    @contextmanager
    def _one_more_waits(self, session_id: str) -> Generator[None]:
        waiting = self._waiting
        waiting[session_id] = waiting.get(session_id, 0) + 1
        try:
            yield
        finally:
            waiting[session_id] -= 1
            if not waiting[session_id]:
                del waiting[session_id]

    async def _bury(self, session_id: str, request: Request[Any], crash: str) -> str | None:
        """Make a dead letter of *request*; its id. None for what has none: a read, or what had taken effect."""
        letter = letter_for(request, f"letter_{self.house.world.new_id()}", crash, MAX_CRASHES)
        if letter is None:
            return None
        log.error("a request crashed its handler again and again", extra={"session_id": session_id, "error": crash})
        for body in (letter, {**letter, "request": None}):
            aside = ask.PutAside(body, f"{letter['id']}:{letter['crashes']}")
            try:
                return await self._insist(session_id, aside, None, most=1)
            except ActorRestarted:
                # What it was called with cannot be stored either.
                continue
        return None

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
