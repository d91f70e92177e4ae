"""The actor: Pykka's, living on the event loop instead of on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pykka

from jidoka.actors import current
from jidoka.actors.cell import Cell
from jidoka.actors.futures import Future
from jidoka.actors.ref import ActorRef, Inbox, StopFlag
from jidoka.core.errors import JidokaError

if TYPE_CHECKING:
    from types import TracebackType

    from jidoka.actors.backend import Slot
    from jidoka.actors.exits import ExitReason


class Actor(pykka.Actor):
    """Handles one message at a time, in order per sender. Hooks and handlers may be sync or async.

    `on_start`, `on_receive`, `on_stop` and `on_failure` are Pykka's: see its documentation. A class that has its own
    `on_stop` is let to finish the message it is handling when its supervisor ends it; any other is interrupted at
    its next await (OTP: trapping exits).
    """

    # Raised while answering a call, these reach the caller and leave the actor running. Anything else is a crash.
    reply_errors: ClassVar[tuple[type[BaseException], ...]] = (JidokaError,)
    # Messages that may wait. One more is refused with MailboxFull.
    mailbox_capacity: ClassVar[int] = 100_000
    # Whether the message being handled is finished before the actor is ended.
    traps_exit: ClassVar[bool] = False
    # Supervisors have their own.
    ref_type: ClassVar[type[ActorRef[Any]]] = ActorRef
    has_children: ClassVar[bool] = False
    # The class of the actor that this one stands for.
    bridges: ClassVar[type[pykka.Actor] | None] = None

    # How this incarnation ended; set before `on_stop` and `on_failure`.
    exit_reason: ExitReason | None = None
    # Where it lives.
    jidoka_cell: Cell

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # Not Pykka's constructor: its URN, inbox and event are made when somebody asks for them.
        if "jidoka_cell" not in self.__dict__:
            self.jidoka_cell = Cell(None, None, type(self))
            self.jidoka_cell.actor = self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "traps_exit" not in cls.__dict__:
            cls.traps_exit = cls.traps_exit or "on_stop" in cls.__dict__

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Pykka's way to start an actor, inside the running system. Raises RuntimeError without one."""
        return current.system().adopt(cls(*args, **kwargs))

    # --- what a handler may use ----------------------------------------------------------------------

    @property
    def restarts(self) -> int:
        """How often this actor's place has been given a new incarnation."""
        return self.jidoka_cell.restarts

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        """Run `await function(*args)` beside the messages. It ends with the actor, and its failure is a crash."""
        self.jidoka_cell.start_soon(function, *args)

    def answer_later(self) -> Slot | None:
        """Take over the answer to the present message: call `set_result` on it once. None when nobody waits."""
        return self.jidoka_cell.take_slot()

    def stop(self) -> None:
        """End normally, after the messages that wait already."""
        if self.jidoka_cell.is_open:
            super().stop()

    def on_kill(self, reason: ExitReason) -> ExitReason:
        """The actor was killed: no time for cleaning up. Says what is to be reported."""
        return reason

    @property
    def supervisor(self) -> ActorRef[Any] | None:
        """The ref of the supervisor this actor is a child of."""
        owner = getattr(self.jidoka_cell.parent, "owner", None)
        return None if owner is None else owner.actor_ref

    if TYPE_CHECKING:
        # Pykka's hooks, which may be async here.
        def on_start(self) -> Any: ...
        def on_stop(self) -> Any: ...
        def on_failure(
            self,
            exception_type: type[BaseException] | None,
            exception_value: BaseException | None,
            traceback: TracebackType | None,
        ) -> Any: ...

    @property
    def subject(self) -> pykka.Actor | None:
        """Whom proxies look at: this actor, unless it stands for another."""
        return self

    # --- Pykka's points for other kinds of actor -----------------------------------------------------

    @property
    def actor_ref(self) -> ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # invariant
        """The actor's ref, for others to hold."""
        return self.jidoka_cell.ref

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A URN of this incarnation."""
        return self.jidoka_cell.ref.actor_urn

    @property
    def actor_inbox(self) -> Inbox:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mailbox, as Pykka sees it."""
        return self.jidoka_cell.ref.actor_inbox

    @property
    def actor_stopped(self) -> StopFlag:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the actor takes no more messages."""
        return self.jidoka_cell.ref.actor_stopped

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise NotImplementedError("the mailbox belongs to the cell")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def receive_as_pykka(self, message: Any) -> Any:
        """Handle what Pykka's refs and proxies send."""
        return self._handle_receive(message)

    def _start_actor_loop(self) -> None:
        current.system().adopt(self)

    def _stop(self) -> None:
        self.jidoka_cell.stop_in_order(self.jidoka_cell.take_slot())

    # --- children: supervisors have them -------------------------------------------------------------

    @staticmethod
    def stop_children(cell: Cell, then: Callable[[], object]) -> None:
        """End the children of the actor in *cell*, in order, then go on."""
        then()

    @staticmethod
    def kill_children(cell: Cell, then: Callable[[], object] | None) -> None:
        """End the children of the actor in *cell* by force, then go on."""
        if then is not None:
            then()
