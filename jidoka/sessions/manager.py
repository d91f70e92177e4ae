"""The session manager: creates, activates, suspends and terminates sessions. It holds no session's life.

When it is killed the sessions go on; the next incarnation finds them in the supervision tree, and finishes what the
one before it had begun.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, ChildNotFound, ChildStartError
from jidoka.actors.exits import ExitReason, text_of
from jidoka.core.errors import (
    InvalidMessage,
    InvalidTransition,
    JidokaError,
    Refused,
    SessionExists,
    SessionFailed,
    SessionLimitReached,
    SessionNotFound,
    SessionTerminated,
)
from jidoka.core.lifecycle import LIVE
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.keeper import purge, retire, suspend_stale, tell_the_end, write_last_words
from jidoka.sessions.setup import SessionSetup

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.core.heads import Head
    from jidoka.sessions.house import House
    from jidoka.sessions.root import SessionsRoot

log = logging.getLogger("jidoka.sessions")

Work = Callable[[], Coroutine[Any, Any, Any]]


class SessionManager(Actor):
    """Slow things happen in a lane of the session they concern, so that no session delays another."""

    mailbox_capacity: ClassVar[int] = 1_000_000

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self._lanes: dict[str, deque[tuple[Slot | None, Work]]] = {}
        self._present: dict[str, Slot | None] = {}

    @property
    def root(self) -> SessionsRoot:
        """The supervisor of the sessions."""
        assert self.house.root is not None
        return self.house.root.supervisor  # pyright: ignore[reportReturnType]

    # --- coming up -------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """The sessions are where they were: the registry is their supervisor's. What was half done is done."""
        self.jidoka_cell.watch(self._answer_the_rest)
        if self.restarts:
            self.start_soon(self._finish, self._look_for_terminations, self._look_for_suspensions)

    @staticmethod
    async def _finish(*looks: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            for look_for in looks:
                await look_for()
        except JidokaError:
            log.exception("what was half done could not be looked for")

    async def _look_for_suspensions(self) -> None:
        for session_id in self.house.registry:
            head = await self.house.store.head(session_id)
            if head is not None and head.status is SessionStatus.SUSPENDED:
                self._in_lane(session_id, None, lambda id=session_id: self._is_left_over(id))

    async def _look_for_terminations(self) -> None:
        after: int | None = None
        while True:
            found = await self.house.store.heads(status=SessionStatus.TERMINATING, after=after, limit=100)
            for arrival, head in found:
                after = arrival
                self._in_lane(head.session_id, None, lambda id=head.session_id: self._finish_termination(id))
            if not found:
                return

    async def _finish_termination(self, session_id: str) -> None:
        head = await self.house.store.head(session_id)
        if head is None or head.status is not SessionStatus.TERMINATING:
            # Finished since it was found, and its id may be somebody else's by now.
            return
        # The last word of its journal is that it is terminating, and why.
        entries = await self.house.store.read(session_id, after=head.seq - 1, limit=1)
        reason = str(entries[-1].data.get("reason", "requested")) if entries else "requested"
        purge = bool(entries and entries[-1].data.get("purge"))
        await self._terminate(ask.TerminateSession(session_id, reason, purge))

    def _answer_the_rest(self, reason: ExitReason) -> None:
        slots = [slot for lane in self._lanes.values() for slot, _ in lane]
        for slot in (*slots, *self._present.values()):
            if slot is not None and not slot.done():
                slot.set_exception(ActorRestarted(f"the session manager is being restarted: {reason}"))

    # --- messages --------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        match message:
            case ask.CreateSession():
                return self._create(message)
            case ask.Activate(session_id):
                return self._in_lane(session_id, self.answer_later(), lambda: self._activate(message))
            case ask.TerminateSession(session_id):
                return self._in_lane(session_id, self.answer_later(), lambda: self._terminate(message))
            case ask.SuspendSession(session_id):
                return self._in_lane(session_id, self.answer_later(), lambda: self._suspend(message))
            case ask.SuspendStale(session_id, seen):
                return self._in_lane(
                    session_id, self.answer_later(), lambda: self._care(suspend_stale, session_id, seen)
                )
            case ask.Retire(session_id, seen):
                return self._in_lane(session_id, self.answer_later(), lambda: self._care(retire, session_id, seen))
            case ask.FinishTerminations():
                return self.start_soon(self._finish, self._look_for_terminations)
            case _:
                raise InvalidMessage(f"a session manager does not know {type(message).__name__}")

    # --- lanes -----------------------------------------------------------------------------------------------

    def _in_lane(self, session_id: str, slot: Slot | None, work: Work) -> None:
        """Do *work* after whatever else is under way for this session, and answer *slot*."""
        lane = self._lanes.get(session_id)
        if lane is not None:
            lane.append((slot, work))
            return
        self._lanes[session_id] = deque([(slot, work)])
        self.start_soon(self._drive, session_id)

    async def _drive(self, session_id: str) -> None:
        lane = self._lanes[session_id]
        while lane:
            slot, work = lane.popleft()
            self._present[session_id] = slot
            try:
                answer = await work()
            except Exception as error:
                if slot is None and not isinstance(error, Refused):
                    log.warning("left for later: %s", error, extra={"session_id": session_id})
                if slot is not None and not slot.done():
                    slot.set_exception(error if isinstance(error, JidokaError) else _unexpected(session_id, error))
            else:
                if slot is not None and not slot.done():
                    slot.set_result(answer)
        self._present.pop(session_id, None)
        del self._lanes[session_id]

    # --- creating --------------------------------------------------------------------------------------------

    def _create(self, message: ask.CreateSession) -> None:
        session_id, born = message.session_id, message.born
        if session_id in self.root.children or session_id in self._lanes:
            raise SessionExists(session_id)
        self._refuse_beyond_the_limit()
        config = self.house.defaults.with_options(born.data.get("config"))
        setup = SessionSetup(session_id, self.house, config, born.data.get("llm_config") or {}, born=born)
        self._start(setup, self.answer_later())

    def _refuse_beyond_the_limit(self) -> None:
        running = len(self.root.children)
        if running >= self.house.max_sessions:
            raise SessionLimitReached(running=running, max_sessions=self.house.max_sessions)

    def _start(self, setup: SessionSetup, slot: Slot | None) -> None:
        def started(error: BaseException | None) -> None:
            if slot is None or slot.done():
                return
            if error is None:
                slot.set_result(None)
            else:
                slot.set_exception(_cause_of(setup.session_id, error))

        self.root.start_session(setup, started)

    # --- activating ------------------------------------------------------------------------------------------

    async def _activate(self, message: ask.Activate) -> None:
        session_id = message.session_id
        await self._wait_until_recorded(session_id)
        if session_id not in self.house.registry:
            # An earlier manager may have begun to start it.
            await self._until(self.root.when_started, session_id)
        if session_id in self.house.registry and not await self._is_left_over(session_id):
            return
        head = await self._head(session_id)
        if head.status is SessionStatus.FAILED and not message.resume:
            raise SessionFailed(session_id, error=head.error)
        self._refuse_beyond_the_limit()
        config = self.house.defaults.with_options(head.config)
        setup = SessionSetup(session_id, self.house, config, head.llm_config or {}, is_resuming=True)
        setup.seen_epoch = message.seen_epoch
        slot = self.jidoka_cell.system.backend.new_slot()
        self._start(setup, slot)
        await slot

    async def _is_left_over(self, session_id: str) -> bool:
        """Whether its journal says that it rests or has ended, and its actors, now ended, were still there."""
        head = await self.house.store.head(session_id)
        if head is not None and head.status in LIVE:
            return False
        await self._take_down(session_id)
        return True

    async def _head(self, session_id: str) -> Head:
        head = await self.house.store.head(session_id)
        if head is None:
            raise SessionNotFound(session_id)
        if head.status in (SessionStatus.TERMINATED, SessionStatus.TERMINATING):
            raise SessionTerminated(session_id)
        return head

    async def _wait_until_recorded(self, session_id: str) -> None:
        await self._until(self.root.when_recorded, session_id)

    async def _until(self, when: Callable[[str, Callable[[], object]], bool], session_id: str) -> None:
        """Wait for what *when* tells of, if it is to come."""
        slot = self.jidoka_cell.system.backend.new_slot()
        if when(session_id, lambda: None if slot.done() else slot.set_result(None)):
            await slot

    async def _care(self, act: Callable[[House, str, int], Coroutine[Any, Any, bool]], id: str, seen: int) -> bool:
        """Do it unless the session has come to life here meanwhile."""
        return id not in self.root.children and await act(self.house, id, seen)

    # --- suspending and terminating --------------------------------------------------------------------------

    async def _suspend(self, message: ask.SuspendSession) -> None:
        session_id = message.session_id
        await self._wait_until_recorded(session_id)
        if session_id not in self.house.registry or await self._is_left_over(session_id):
            head = await self._head(session_id)
            if head.status is SessionStatus.SUSPENDED:
                return None
            if head.status is SessionStatus.FAILED:
                raise InvalidTransition(status=head.status, target=SessionStatus.SUSPENDED)
            await self._activate(ask.Activate(session_id))
        try:
            context = self.house.registry.child(session_id, "context_manager")
            if context is None:
                raise ActorRestarted(f"session {session_id} is being restarted")
            is_suspended = await context.call(ask.Suspend(message.is_automatic), timeout=self.house.call_timeout)
        except (ActorDead, ActorRestarted):
            # Killed meanwhile: once more, when it is up again.
            await self._until(self.house.registry.when_settled, session_id)
            return await self._suspend(message)
        if is_suspended:
            await self._take_down(session_id)
        return None

    async def _terminate(self, message: ask.TerminateSession) -> None:
        session_id, store = message.session_id, self.house.store
        await self._wait_until_recorded(session_id)
        head = await store.head(session_id)
        if head is None:
            # Whoever had purged it may not have come to saying so.
            self.house.hub.end(session_id)
            raise SessionNotFound(session_id)
        if head.status is SessionStatus.TERMINATED:
            await tell_the_end(self.house, head)
        else:
            await self._say_that_it_ends(message)
            await self._take_down(session_id)
            if not message.purge:
                await write_last_words(self.house, session_id, reason=message.reason)
        if message.purge:
            await purge(self.house, session_id, reason=message.reason)

    async def _say_that_it_ends(self, message: ask.TerminateSession) -> None:
        context = self.house.registry.child(message.session_id, "context_manager")
        if context is None:
            return
        try:
            await context.call(ask.BeginEnding(message.reason, message.purge), timeout=self.house.call_timeout)
        except (ActorDead, ActorRestarted, CallTimeout):
            # It cannot say so itself: the last words say it.
            return

    async def _take_down(self, session_id: str) -> None:
        slot = self.jidoka_cell.system.backend.new_slot()
        try:
            self.root.end_child(session_id, slot)
        except ChildNotFound:
            return
        await slot
        self.house.files.clear_session(session_id)


def _cause_of(session_id: str, error: BaseException) -> JidokaError:
    """What the session's own actor raised when it was started, without its supervisors' words around it."""
    cause: BaseException | None = error
    while isinstance(cause, ChildStartError) and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause if isinstance(cause, JidokaError) else _unexpected(session_id, error)


def _unexpected(session_id: str, error: BaseException) -> ChildStartError:
    failure = ChildStartError(session_id, text_of(error))
    failure.__cause__ = error
    return failure
