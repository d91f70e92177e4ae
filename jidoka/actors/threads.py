"""Pykka's own ThreadingActor as a supervised child: blocking work on a thread, with everybody else's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import pykka
from pykka._envelope import Envelope

from jidoka.actors.actor import Actor
from jidoka.actors.cell import Cell
from jidoka.actors.errors import ActorDead
from jidoka.actors.exits import NORMAL, ExitReason, text_of
from jidoka.actors.futures import Future
from jidoka.actors.mailbox import ActorStop

if TYPE_CHECKING:
    from types import TracebackType

    from jidoka.actors.backend import Slot
    from jidoka.actors.place import Parent
    from jidoka.actors.system import ActorSystem


def cell_for(
    system: ActorSystem,
    parent: Parent,
    cls: type[pykka.Actor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Cell:
    """A place for an actor of *cls*: on the loop, or the loop's side of a thread."""
    # Asked of every child that is started: issubclass() of an abstract class is slow.
    if hasattr(cls, "mailbox_capacity"):
        return Cell(system, parent, cast("type[Actor]", cls), args, kwargs)
    bridge: Any = type(cls.__name__, (Bridge,), {"bridges": cls})
    return Cell(system, parent, bridge, (cls, args, kwargs or {}))


class ThreadCrash(Exception):
    """Code on a thread raised what is not an Exception. It ends that actor, and nothing more."""


class Watched(pykka.Actor):
    """Mixed into an actor that has a thread: tells its bridge how it fares."""

    jidoka_bridge: ClassVar[Bridge]
    jidoka_failure: BaseException | None = None

    def _actor_loop(self) -> None:
        try:
            super()._actor_loop()
        except BaseException as error:
            self._crashed(error)
        finally:
            self.jidoka_bridge.hear("down", self.jidoka_failure)

    def _actor_loop_setup(self) -> None:
        try:
            super()._actor_loop_setup()
        except BaseException as error:
            self._crashed(error)
        self.jidoka_bridge.hear("up", self.jidoka_failure)

    def _handle_receive(self, message: Any) -> Any:
        try:
            return super()._handle_receive(message)
        except Exception:
            raise
        except BaseException as error:
            # Pykka would stop every actor there is.
            raise self._crashed(error) from error
        finally:
            if self.jidoka_bridge.is_crowded:
                self.jidoka_bridge.hear("room", None)

    def _crashed(self, error: BaseException) -> ThreadCrash:
        crash = ThreadCrash(text_of(error))
        if self.jidoka_failure is None:
            self._handle_failure(type(error), error, error.__traceback__)
            self.jidoka_failure = crash
        return crash

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.jidoka_failure is None:
            self.jidoka_failure = exception_value
            super()._handle_failure(exception_type, exception_value, traceback)


class Bridge(Actor):
    """Stands on the loop for an actor that has a thread, and passes messages on.

    Killing it leaves the thread behind, for Python cannot end one: it is reported `abandoned`, and listed so
    until it ends by itself.
    """

    traps_exit = True

    def __init__(self, cls: type[pykka.Actor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self._made = (cls, args, kwargs)
        self._inner: pykka.ActorRef[Any] | None = None
        self._up: Slot | None = None
        self._down: Slot | None = None
        self._is_down = False
        # Set when the thread's mailbox is full and a message waits for room.
        self._room: Slot | None = None
        self._owed: set[Slot] = set()

    @property
    def subject(self) -> pykka.Actor | None:
        """The actor on the thread."""
        return None if self._inner is None else self._inner._actor_weakref()  # pyright: ignore[reportPrivateUsage]

    # --- what the thread tells -----------------------------------------------------------------------

    @property
    def is_crowded(self) -> bool:
        """Whether a message waits for room. The thread looks after every message it has handled."""
        return self._room is not None

    def hear(self, what: str, error: BaseException | None) -> None:
        """Called on the thread: it has come `up`, has gone `down`, or has `room`."""
        self.jidoka_cell.system.run_soon(self._heard, what, error)

    def _heard(self, what: str, error: BaseException | None) -> None:
        _settle(self._room, None)
        if what == "room":
            return
        _settle(self._up, error)
        if what == "up":
            return
        self._is_down = True
        _settle(self._down, None)
        cell = self.jidoka_cell
        cell.system.abandoned_ended(self)
        if cell.actor is self:
            cell.end(NORMAL) if error is None else cell.crash(error)

    # --- its life ------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        up = self._up = self.jidoka_cell.system.backend.new_slot()
        self.jidoka_cell.watch(self._leave_the_rest)
        cls, args, kwargs = self._made
        watched: type[Any] = type(cls.__name__, (Watched, cls), {"jidoka_bridge": self})
        self._inner = watched.start(*args, **kwargs)
        error = await up
        if error is not None:
            raise error

    async def on_stop(self) -> None:
        self._ask_to_end()
        if self._inner is not None and not self._is_down:
            self._down = self.jidoka_cell.system.backend.new_slot()
            await self._down

    def on_kill(self, reason: ExitReason) -> ExitReason:
        """The thread goes on until it sees that it should end. Say so."""
        self._ask_to_end()
        if self._inner is None or self._is_down:
            return reason
        self.jidoka_cell.system.abandoned_began(self)
        return ExitReason("abandoned", reason.detail or "its thread cannot be ended")

    def _ask_to_end(self) -> None:
        if self._inner is not None and self._inner.is_alive():
            self._inner.actor_inbox.put(Envelope(ActorStop()))

    # --- messages ------------------------------------------------------------------------------------

    def _handle_receive(self, message: Any) -> Any:
        # What a proxy asks is for the actor on the thread, too.
        return super()._handle_receive(message) if type(message) is ActorStop else self.on_receive(message)

    def on_receive(self, message: Any) -> Any:
        return self._wait_for_room(message) if self._is_full else self._hand_on(message)

    @property
    def _is_full(self) -> bool:
        assert self._inner is not None
        waiting = getattr(self._inner.actor_inbox, "qsize", int)()
        return waiting >= self.mailbox_capacity

    async def _wait_for_room(self, message: Any) -> None:
        """Hold the mail up, so that whoever sends more is refused."""
        while self._is_full and not self._is_down:
            self._room = self.jidoka_cell.system.backend.new_slot()
            # The thread may have taken one before it could see that somebody waits.
            if self._is_full:
                await self._room
            self._room = None
        self._hand_on(message)

    def _hand_on(self, message: Any) -> None:
        assert self._inner is not None
        slot = self.answer_later()
        future: Future[Any] | None = None
        if slot is not None:
            future = Future()
            self._owed.add(slot)
            answered, run_soon = future, self.jidoka_cell.system.run_soon
            future.when_done(lambda: run_soon(self._pass_on, answered, slot))
        self._inner.actor_inbox.put(Envelope(message, reply_to=future))

    def _pass_on(self, future: Future[Any], slot: Slot) -> None:
        self._owed.discard(slot)
        if slot.done():
            return
        try:
            answer = future.get(timeout=0)
        except pykka.ActorDeadError as error:
            slot.set_exception(ActorDead(str(error)))
        except (StopIteration, StopAsyncIteration) as error:
            slot.set_exception(ThreadCrash(text_of(error)))
        except Exception as error:
            slot.set_exception(error)
        else:
            slot.set_result(answer)

    def _leave_the_rest(self, _: ExitReason) -> None:
        self.jidoka_cell.owe(self._owed)
        self._owed.clear()


def _settle(slot: Slot | None, answer: object) -> None:
    if slot is not None and not slot.done():
        slot.set_result(answer)
