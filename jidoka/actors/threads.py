"""Pykka's own ThreadingActor as a supervised child: blocking work on a thread, with the same life as everybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from jidoka.actors.actor import Actor
from jidoka.actors.cell import Cell, Parent
from jidoka.actors.errors import ActorDead, MailboxFull
from jidoka.actors.exits import NORMAL, ExitReason, text_of
from jidoka.actors.futures import Future

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.system import ActorSystem

# What a thread tells: that it came up or why not, and that it ended and why.
Tell = Callable[[str, BaseException | None], object]


def cell_for(
    system: ActorSystem, parent: Parent, cls: type[pykka.Actor], args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> Cell:
    """A place for an actor of *cls*: on the loop, or the loop's side of a thread."""
    if issubclass(cls, Actor):
        return Cell(system, parent, cls, args, kwargs)
    return Cell(system, parent, Bridge, (cls, args, kwargs or {}))


class ThreadCrash(Exception):
    """A handler on a thread raised what is not an Exception. It ends that actor, and nothing more."""


def watched(cls: type[Any], tell: Tell) -> type[Any]:
    """*cls*, telling how it fares."""

    class Watched(cls):
        jidoka_failure: BaseException | None = None

        def _actor_loop(self) -> None:
            try:
                super()._actor_loop()
            finally:
                tell("down", self.jidoka_failure)

        def _actor_loop_setup(self) -> None:
            super()._actor_loop_setup()
            tell("up", self.jidoka_failure)

        def _handle_receive(self, message: Any) -> Any:
            try:
                return super()._handle_receive(message)
            except Exception:
                raise
            except BaseException as error:
                raise ThreadCrash(text_of(error)) from error

        def _handle_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            self.jidoka_failure = exception_value
            super()._handle_failure(exception_type, exception_value, traceback)

    Watched.__name__ = cls.__name__
    Watched.__qualname__ = cls.__qualname__
    return Watched


class Bridge(Actor):
    """Stands on the loop for an actor that has a thread, and passes messages on.

    Killing it leaves the thread behind, for Python cannot end one: it is reported `abandoned`, and listed so until it
    ends by itself.
    """

    traps_exit = True

    def __init__(self, cls: type[pykka.Actor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self._made = (cls, args, kwargs)
        self._inner: pykka.ActorRef[Any] | None = None
        self._up: Slot | None = None
        self._ended: Slot | None = None
        self._owed: set[Slot] = set()

    async def on_start(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        system = self.jidoka_cell.system
        self._up, self._ended = system.backend.new_slot(), system.backend.new_slot()
        self.jidoka_cell.watch(self._answer_the_rest)
        cls, args, kwargs = self._made

        def tell(what: str, error: BaseException | None) -> None:
            system.run_soon(self._heard, what, error)

        self._inner = watched(cls, tell).start(*args, **kwargs)
        error = await self._up
        if error is not None:
            raise error

    def _heard(self, what: str, error: BaseException | None) -> None:
        assert self._up is not None
        assert self._ended is not None
        if not self._up.done():
            self._up.set_result(error)
        if what == "up":
            return
        if not self._ended.done():
            self._ended.set_result(None)
        cell = self.jidoka_cell
        cell.system.abandoned_ended(self)
        if cell.actor is self:
            cell.end(NORMAL) if error is None else cell.crash(error)

    def on_receive(self, message: Any) -> Any:
        assert self._inner is not None
        slot = self.answer_later()
        future: Future[Any] | None = None
        if slot is not None:
            future = Future()
            self._owed.add(slot)
            answered, run_soon = future, self.jidoka_cell.system.run_soon
            future.when_done(lambda: run_soon(self._pass_on, answered, slot))
        if getattr(self._inner.actor_inbox, "qsize", int)() >= self.mailbox_capacity:
            raise MailboxFull(f"{self._inner} has too many messages waiting")
        self._inner.actor_inbox.put(Envelope(message, reply_to=future))

    def _pass_on(self, future: Future[Any], slot: Slot) -> None:
        self._owed.discard(slot)
        if slot.done():
            return
        try:
            answer = future.get(timeout=0)
        except pykka.ActorDeadError as error:
            slot.set_exception(ActorDead(str(error)))
        except Exception as error:
            slot.set_exception(error)
        else:
            slot.set_result(answer)

    def _answer_the_rest(self, reason: ExitReason) -> None:
        for slot in self._owed:
            if not slot.done():
                slot.set_exception(ActorDead(f"the thread did not answer: {reason}", reason=reason))
        self._owed.clear()

    async def on_stop(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._ask_to_end()
        if self._ended is not None:
            await self._ended

    def on_kill(self, reason: ExitReason) -> ExitReason:
        """The thread goes on until it sees that it should end. Say so."""
        self._ask_to_end()
        if self._ended is None or self._ended.done():
            return reason
        self.jidoka_cell.system.abandoned_began(self)
        return ExitReason("abandoned", reason.detail or "its thread cannot be ended")

    def _ask_to_end(self) -> None:
        if self._inner is not None and self._inner.is_alive():
            self._inner.actor_inbox.put(Envelope(_ActorStop()))
