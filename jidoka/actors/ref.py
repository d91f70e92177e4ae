"""Refs: what others hold of an actor. Pykka's, plus `call`, `kill` and `wait_stopped`."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import anyio
import pykka

from jidoka.actors.errors import ActorDead, CallTimeout, WouldDeadlock
from jidoka.actors.exits import NORMAL, ExitReason
from jidoka.actors.futures import Future
from jidoka.actors.mailbox import ActorStop
from jidoka.actors.request import Request
from jidoka.actors.states import NEW, STARTING, acting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jidoka.actors.backend import Slot
    from jidoka.actors.cell import Cell
    from jidoka.actors.system import ActorSystem

A = TypeVar("A", bound=pykka.Actor)
T = TypeVar("T")


def _expire(slot: Slot) -> None:
    if not slot.done():
        slot.set_exception(CallTimeout("no answer in time"))


class ActorRef(pykka.ActorRef[A]):
    """A reference to an actor's place. Messages reach whichever incarnation lives there.

    `actor_urn`, `exit_reason` and `wait_stopped` belong to the incarnation this ref was made for.
    """

    __slots__ = ("_urn", "cell", "exit_reason")

    def __init__(self, cell: Cell) -> None:
        # Not Pykka's constructor: everything that it copies is looked up here.
        self.cell = cell
        self.exit_reason: ExitReason | None = None
        self._urn: str | None = None

    # --- Pykka's attributes --------------------------------------------------------------------------

    @property
    def actor_class(self) -> type[A]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return cast("type[A]", self.cell.actor_class)

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._urn is None:
            system = cast("ActorSystem | None", self.cell.system)
            made = uuid.UUID(system.world.new_id()) if system is not None else uuid.uuid4()  # noqa: TID251
            self._urn = made.urn
        return self._urn

    @property
    def actor_inbox(self) -> Inbox:  # pyright: ignore[reportIncompatibleVariableOverride]
        return Inbox(self)

    @property
    def actor_stopped(self) -> StopFlag:  # pyright: ignore[reportIncompatibleVariableOverride]
        return StopFlag(self)

    @property
    def _actor_weakref(self) -> Callable[[], Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        actor = self.cell.actor
        return lambda: None if actor is None else actor.subject

    def is_alive(self) -> bool:
        """Whether messages are taken."""
        return self.cell.is_open

    # --- messages ------------------------------------------------------------------------------------

    def tell(self, message: Any) -> None:
        """Send *message* without waiting. Safe from any thread. Raises ActorDead, MailboxFull."""
        cell = self.cell
        system = cell.system
        if system is not None and threading.get_ident() != system.thread:  # pyright: ignore[reportUnnecessaryComparison]
            system.tell_from_thread(cell, message, None)
            return
        me = acting.get()
        if me is not None:
            _refuse_the_abandoned(me[0])
        cell.push(message, None)

    @overload
    async def call(self, message: Request[T], timeout: float | None = 5.0) -> T: ...

    @overload
    async def call(self, message: object, timeout: float | None = 5.0) -> Any: ...

    async def call(self, message: Any, timeout: float | None = 5.0) -> Any:
        """Send *message* and wait for its answer, at most *timeout* seconds (None: for ever).

        Raises what the handler raised, ActorDead, ActorRestarted, CallTimeout, MailboxFull; WouldDeadlock when
        an actor calls itself. Always comes back: a late answer is dropped.
        """
        cell = self.cell
        system = cell.system
        me = acting.get()
        if me is not None:
            if me[1] and (me[0] is cell.actor or (cell.state is STARTING and _is_awaited(me[0], cell))):
                raise WouldDeadlock(f"{self} calls itself: it cannot answer before it has its answer")
            _refuse_the_abandoned(me[0])
        if threading.get_ident() != system.thread:
            return await self._call_from_afar(message, timeout)
        slot = system.backend.new_slot()
        cell.push(message, slot)
        if timeout is None:
            return await slot
        timers = system.timers
        timer = timers.after(timeout, _expire, slot)
        try:
            return await slot
        finally:
            if timer[2] is not None:
                timers.cancel(timer)

    async def call_first(self, message: Request[T], timeout: float) -> T:
        """`call`, ahead of all that waits and however full the mailbox is: for what may not wait. On the loop only."""
        cell = self.cell
        timers = cell.system.timers
        slot = cell.system.backend.new_slot()
        cell.push_first(message, slot)
        timer = timers.after(timeout, _expire, slot)
        try:
            return await slot
        finally:
            timers.cancel(timer)

    async def _call_from_afar(self, message: Any, timeout: float | None) -> Any:
        """`call` on the loop of another thread, whose own clock counts."""
        asked: Future[Any] = self.ask(message, block=False)
        with anyio.move_on_after(timeout):
            return await asked
        raise CallTimeout("no answer in time")

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Pykka's ask, for other threads: blocks for the answer, or gives a future.

        Raises WouldDeadlock on the loop.
        """
        system = self.cell.system
        if block and system.is_here:
            raise WouldDeadlock(f"ask() would block the event loop that {self} lives on: use await call()")
        future: Future[Any] = Future()
        try:
            _send(self.cell, message, future)
        except pykka.ActorDeadError as error:
            future.set_exception(error)
        return future.get(timeout=timeout) if block else future

    # --- the end -------------------------------------------------------------------------------------

    def stop(self, *, block: bool | None = None, timeout: float | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ask the actor to end, after the messages that wait already.

        On the loop: `await ref.stop(timeout=5.0)`. From other threads: blocks, as Pykka's does. True when this ended
        it, False when it was dead already. Raises CallTimeout when it takes longer; the actor still ends in its turn.
        """
        on_loop = self.cell.system.is_here
        if block and on_loop:
            raise WouldDeadlock(f"stop(block=True) would block the loop that {self} lives on: use await stop()")
        future: Future[bool] = Future()
        if not self.is_alive():
            future.set(False)
        else:
            asked: Future[Any] = self.ask(ActorStop(), block=False)
            asked.when_done(lambda: future.done() or future.set(_was_stopped(asked)))
        if block is None and on_loop:
            return self._stopped(future, 5.0 if timeout is None else timeout)
        return future if block is False else future.get(timeout=timeout)

    def _stopped(self, future: Future[bool], timeout: float) -> Awaitable[bool]:
        timers = self.cell.system.timers
        timer = timers.after(timeout, _expire, future)
        future.when_done(lambda: timers.cancel(timer))
        return future

    def kill(self) -> None:
        """End the actor now: no `on_stop`, its suspended code is cancelled. Safe from any thread."""
        if self.cell.system.is_here:
            self.cell.kill()
        else:
            self.cell.system.run_soon(self.cell.kill)

    async def wait_stopped(self) -> ExitReason:
        """Wait until this incarnation has ended, and tell how. Any number may wait."""
        if self.exit_reason is not None:
            return self.exit_reason
        if not self.cell.is_open and self.cell.actor is None:
            return NORMAL
        slot = self.cell.system.backend.new_slot()

        def ended(reason: ExitReason) -> None:
            if not slot.done():
                slot.set_result(reason)

        self.cell.watch(ended)
        try:
            return await slot
        finally:
            self.cell.unwatch(ended)


def _was_stopped(asked: Future[Any]) -> bool:
    try:
        asked.get(timeout=0)
    except pykka.ActorDeadError:
        return False
    return True


def _is_awaited(actor: Any, cell: Cell) -> bool:
    """Whether the supervisor in *cell* comes up only when *actor* has come up."""
    mine = actor.jidoka_cell
    while mine is not cell and mine.state is STARTING and hasattr(mine.parent, "owner"):
        mine = mine.parent.owner.jidoka_cell
    return mine is cell


def _send(cell: Cell, message: Any, slot: Any) -> None:
    system = cast("ActorSystem | None", cell.system)
    if system is None or system.is_here:
        cell.push(message, slot)
    else:
        system.tell_from_thread(cell, message, slot)


def _refuse_the_abandoned(actor: Any) -> None:
    cell = actor.jidoka_cell
    if cell.actor is not actor:
        raise ActorDead(f"an abandoned {cell.name} may not send messages any more")


class Inbox:
    """A mailbox as Pykka's machinery wants it."""

    __slots__ = ("_ref",)

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._ref = ref

    def put(self, envelope: Any, /) -> None:
        _send(self._ref.cell, envelope.message, envelope.reply_to)

    def get(self) -> Any:
        raise NotImplementedError("only the event loop takes messages out")

    def empty(self) -> bool:
        return self._ref.cell.mail_count == 0


class StopFlag:
    """Pykka's `actor_stopped`: like a `threading.Event` that is set once no more messages are taken."""

    __slots__ = ("_ref",)

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._ref = ref

    def is_set(self) -> bool:
        return not self._ref.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        """Block this thread until the actor has ended."""
        if self.is_set() or self._ref.cell.state is NEW:
            return self.is_set()
        system = self._ref.cell.system
        if system.is_here:
            raise WouldDeadlock("actor_stopped.wait() would block the event loop: use await wait_stopped()")
        ended = threading.Event()

        def look() -> None:
            if self.is_set():
                ended.set()
            else:
                self._ref.cell.watch(lambda _: ended.set())

        system.run_soon(look)
        return ended.wait(timeout)
