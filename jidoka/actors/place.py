"""A place is an actor's address: its mailbox, and where it stands in the tree and in the run queue.

The actor that lives there is replaced when it is restarted; the place, its refs and the messages told to it stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

from jidoka.actors import mailbox
from jidoka.actors.errors import ActorDead, MailboxFull
from jidoka.actors.mailbox import ActorStop
from jidoka.actors.states import CLOSING, DEAD, NEW, RUNNING, State

if TYPE_CHECKING:
    import pykka
    from anyio import CancelScope

    from jidoka.actors.actor import Actor
    from jidoka.actors.backend import Slot
    from jidoka.actors.cell import Cell
    from jidoka.actors.exits import ExitReason
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.system import ActorSystem
    from jidoka.actors.timers import Timer

# What a worker has to await.
Work = Coroutine[Any, Any, Any]


class Parent(Protocol):
    """Whoever owns a cell: a supervisor, or the system itself."""

    restarts_children: bool

    def child_up(self, cell: Cell) -> None:
        """*cell* has come up."""

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        """*cell* did not come up. `Ignore` means that it chose not to."""

    def child_down(self, cell: Cell, reason: ExitReason) -> None:
        """*cell*'s incarnation has ended. The parent lets the cell go, starts it again, or keeps it for later."""


class Place:
    """The part of a cell that lasts: address and mailbox."""

    __slots__ = (
        "_deadline",
        "_jobs",
        "_killing",
        "_mail",
        "_owed",
        "_queued",
        "_ref",
        "_run",
        "_scope",
        "_slot",
        "_stopping",
        "_todo",
        "_watchers",
        "actor",
        "args",
        "busy",
        "cls",
        "kwargs",
        "parent",
        "registered",
        "restarts",
        "state",
        "system",
    )

    def __init__(
        self,
        system: ActorSystem | None,
        parent: Parent | None,
        cls: type[Actor],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        # None only between an actor's constructor and its `start()`, when nobody runs it.
        self.system: ActorSystem = cast("ActorSystem", system)
        self.parent: Parent = cast("Parent", parent)
        self.cls = cls
        self.args = args
        self.kwargs = kwargs
        self.actor: Actor | None = None
        self.state: State = NEW
        # Incarnations before this one, the ones that did not come up among them.
        self.restarts: int = 0
        # Known to Pykka's registry: started through Pykka's own `start()`.
        self.registered = False
        # In a handler or a hook: on the stack, or suspended.
        self.busy = False
        # In the run queue, or in a worker's hands.
        self._queued = False
        # Grows when a worker's hands are left behind (K2): what it does from then on does not count.
        self._run = 0
        self._mail: mailbox.Mail = None
        # Where the answer to the message being handled goes.
        self._slot: Slot | None = None
        # The calls of an incarnation that has just ended, while the parent decides.
        self._owed: list[mailbox.Envelope] | None = None
        self._todo: Work | None = None
        # Asked to end by its parent, in order; asked to end by force.
        self._stopping: ExitReason | None = None
        self._killing: ExitReason | None = None
        self._deadline: Timer | None = None
        self._scope: CancelScope | None = None
        self._jobs: set[CancelScope] | None = None
        self._ref: ActorRef[Any] | None = None
        self._watchers: list[Callable[[ExitReason], object]] | None = None

    # --- the address ---------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The class's name, for people."""
        return self.cls.__name__

    @property
    def actor_class(self) -> type[pykka.Actor]:
        """The class that was asked for: not the bridge to a thread, but what is on the other side."""
        return self.cls.bridges or self.cls

    @property
    def ref(self) -> ActorRef[Any]:
        """The ref of this incarnation. Refs of earlier ones reach the same mailbox."""
        if self._ref is None:
            self._ref = self.cls.ref_type(cast("Cell", self))
        return self._ref

    @property
    def is_open(self) -> bool:
        """Whether messages are taken. A supervised cell takes them until its supervisor has let it go."""
        return self.state is not DEAD and (self.state is not CLOSING or self.parent.restarts_children)

    @property
    def mail_count(self) -> int:
        """How many messages wait."""
        return mailbox.count(self._mail)

    def push(self, message: Any, slot: Slot | None) -> None:
        """Put a message in the mailbox. Raises ActorDead, MailboxFull."""
        if self.state is not RUNNING and not self.is_open:
            raise ActorDead(f"{self.ref} not found")
        mail = self._mail
        if mail is None:
            self._mail = (message, slot)
        elif type(mail) is deque:
            if len(mail) >= self.cls.mailbox_capacity and type(message) is not ActorStop:
                raise MailboxFull(f"{self.ref} has {len(mail)} messages waiting")
            mail.append((message, slot))
        else:
            if self.cls.mailbox_capacity < 2 and type(message) is not ActorStop:
                raise MailboxFull(f"{self.ref} has a message waiting")
            # `is deque` leaves the type checker in doubt here, and is what is fast.
            self._mail = deque((mail, (message, slot)))  # pyright: ignore[reportAttributeAccessIssue]
        if not self._queued and self.state is RUNNING:
            self._queued = True
            self.system.scheduler.add(self)

    def admit(self, message: Any, slot: Slot | None) -> None:
        """`push` for what was let in when it was sent: it is not refused for want of room. Raises ActorDead."""
        try:
            self.push(message, slot)
        except MailboxFull:
            self._mail = mailbox.with_one_more(self._mail, (message, slot))

    def push_first(self, message: Any, slot: Slot | None) -> None:
        """`push` for what may not wait behind the others: it is the next to be handled, however full it is."""
        if self.state is not RUNNING and not self.is_open:
            raise ActorDead(f"{self.ref} not found")
        self._mail = mailbox.with_one_before(self._mail, (message, slot))
        if self.state is RUNNING:
            self._queue()

    def watch(self, call: Callable[[ExitReason], object]) -> None:
        """Call *call* once, with the reason, when this incarnation has ended."""
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(call)

    def unwatch(self, call: Callable[[ExitReason], object]) -> None:
        """Forget *call*."""
        if self._watchers is not None and call in self._watchers:
            self._watchers.remove(call)

    def owe(self, slots: Iterable[Slot]) -> None:
        """These calls too are answered by what the parent decides about an incarnation that has just ended."""
        self._owed = [*(self._owed or ()), *((None, slot) for slot in slots)]

    def take_slot(self) -> Slot | None:
        """Where the answer to the present message goes, for a handler that answers later."""
        slot, self._slot = self._slot, None
        return slot

    # --- standing in the run queue -------------------------------------------------------------------

    def run(self) -> Work | None:
        """A worker's visit. What it has to await comes back."""
        raise NotImplementedError

    def _queue(self) -> None:
        if not self._queued:
            self._queued = True
            self.system.scheduler.add(self)

    def _later(self, todo: Work) -> None:
        """Have a worker await *todo* before anything else."""
        self._todo = todo
        self._queue()

    def _work_off(self, waiting: Work | None) -> None:
        if waiting is not None:
            self._later(waiting)

    @property
    def _is_told_to_end(self) -> bool:
        return self._stopping is not None or self._killing is not None
