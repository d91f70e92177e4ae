"""A cell is an actor's address: its mailbox, its place in the tree, and the incarnations that live there.

The actor behind a cell is replaced when it is restarted; the cell, its refs and the messages told to it stay.
Everything here runs on the loop's thread, and nothing here waits: what has to be awaited is handed to a worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol

from anyio import CancelScope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from jidoka.actors import mailbox, reports
from jidoka.actors.errors import ActorDead, ActorRestarted, MailboxFull
from jidoka.actors.exits import KILLED, NORMAL, SHUTDOWN, ExitReason, Ignore, Shutdown, Stop, exit_of
from jidoka.actors.request import Request
from jidoka.actors.states import CLOSING, DEAD, NEW, RUNNING, STARTING, WAITING, acting

if TYPE_CHECKING:
    from jidoka.actors.actor import Actor
    from jidoka.actors.backend import Slot
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.specs import Patience
    from jidoka.actors.system import ActorSystem
    from jidoka.actors.timers import Timer

Work = Coroutine[Any, Any, Any]

# Messages in a row before the next cell has its turn.
BATCH = 64

# Messages that Pykka's refs and proxies send.
PYKKA = frozenset((_ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr))

# Words about control flow: a caller never sees them raised.
NEVER_RAISED_AT_CALLERS = (Stop, Shutdown, StopIteration, StopAsyncIteration)

# What `_awaited` answers when the code was interrupted from outside.
INTERRUPTED = object()


class Parent(Protocol):
    """Whoever owns a cell: a supervisor, or the system itself."""

    restarts_children: bool

    def child_up(self, cell: Cell) -> None:
        """*cell* has come up."""

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        """*cell* did not come up. `Ignore` means that it chose not to."""

    def child_down(self, cell: Cell, reason: ExitReason) -> None:
        """*cell*'s incarnation has ended. The parent lets the cell go, starts it again, or keeps it for later."""


class Cell:
    """One actor's place: address, mailbox, lifecycle."""

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
        "restarts",
        "registered",
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
        self.system: ActorSystem = system  # pyright: ignore[reportAttributeAccessIssue]
        self.parent: Parent = parent  # pyright: ignore[reportAttributeAccessIssue]
        self.cls = cls
        self.args = args
        self.kwargs = kwargs
        self.actor: Actor | None = None
        self.state = NEW
        # Incarnations before this one, the ones that did not come up among them.
        self.restarts = 0
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

    # --- the address -----------------------------------------------------------------------------------------

    @property
    def ref(self) -> ActorRef[Any]:
        """The ref of this incarnation. Refs of earlier ones reach the same mailbox."""
        if self._ref is None:
            self._ref = self.cls.ref_type(self)
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
            if len(mail) >= self.cls.mailbox_capacity and type(message) is not _ActorStop:
                raise MailboxFull(f"{self.ref} has {len(mail)} messages waiting")
            mail.append((message, slot))
        else:
            self._mail = deque((mail, (message, slot)))  # pyright: ignore[reportAttributeAccessIssue]
        if not self._queued and self.state is RUNNING:
            self._queued = True
            self.system.scheduler.add(self)

    def watch(self, call: Callable[[ExitReason], object]) -> None:
        """Call *call* once, with the reason, when this incarnation has ended."""
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(call)

    def unwatch(self, call: Callable[[ExitReason], object]) -> None:
        """Forget *call*."""
        if self._watchers is not None and call in self._watchers:
            self._watchers.remove(call)

    def take_slot(self) -> Slot | None:
        """Where the answer to the present message goes, for a handler that answers later."""
        slot, self._slot = self._slot, None
        return slot

    # --- starting --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the actor and run its `on_start`: here and now, unless that has to wait.

        The parent hears `child_up` or `child_failed`, possibly before this returns.
        """
        if self.state is WAITING:
            self.restarts += 1
            self._ref = None
        else:
            self.system.cells += 1
        self.state = STARTING
        try:
            actor = self.cls.__new__(self.cls, *self.args, **(self.kwargs or {}))
            actor.jidoka_cell = self
            self.actor = actor
            actor.__init__(*self.args, **(self.kwargs or {}))
        except BaseException as error:
            self._start_failed(error)
            return
        self.enter()

    def enter(self) -> None:
        """Run `on_start` of the actor that is made already."""
        assert self.actor is not None
        self.state = STARTING
        self.busy = True
        try:
            waiting = self.actor.on_start()
        except BaseException as error:
            self._start_failed(error)
            return
        if type(waiting) is CoroutineType:
            self._later(self._entering(waiting))
        else:
            self._up()

    def begin_soon(self) -> None:
        """Have a worker run `on_start` of the actor that is made already."""
        self.state = STARTING
        self._later(self._beginning())

    async def _beginning(self) -> None:
        if self._is_told_to_end:
            self._fall(self._killing or self._stopping or SHUTDOWN)
        else:
            self.enter()

    async def _entering(self, waiting: Work) -> None:
        run = self._run
        error, answer = await self._awaited(waiting)
        if self._run != run:
            return
        if self._killing is not None:
            self._fall(self._killing)
        elif answer is INTERRUPTED:
            self.state = CLOSING
            self.busy = False
            self.cls.stop_children(self, lambda: self._finish(self._killing or self._stopping or SHUTDOWN))
        elif error is not None:
            self._start_failed(error)
        else:
            self._up()

    def _up(self) -> None:
        self.state = RUNNING
        self.busy = False
        self.parent.child_up(self)
        if self.state is RUNNING and (self._mail is not None or self._is_told_to_end):
            self._queue()

    def _start_failed(self, error: BaseException) -> None:
        self.busy = False
        if isinstance(error, Stop):
            self._up()
            self._work_off(self._close(NORMAL) if self.state is RUNNING else None)
            return
        if self.registered and not isinstance(error, Ignore):
            reports.failure(self, error)
        self.cls.kill_children(self, lambda: self._not_started(error))

    def _not_started(self, error: BaseException) -> None:
        self._end(NORMAL if isinstance(error, Ignore) else exit_of(error))
        self.parent.child_failed(self, error)
        self._answer_as_restarted()

    # --- handling messages -----------------------------------------------------------------------------------

    @property
    def _is_told_to_end(self) -> bool:
        return self._stopping is not None or self._killing is not None

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

    def run(self) -> Work | None:
        """Handle a batch of messages. What a worker has to await comes back."""
        if self._todo is not None:
            waiting, self._todo = self._todo, None
        else:
            waiting = self._batch() if self.state is RUNNING else None
        if waiting is not None:
            return self._awaiting(waiting)
        self._rest()
        return None

    async def _awaiting(self, waiting: Work) -> None:
        run = self._run
        await waiting
        if self._run == run:
            self._rest()

    def _rest(self) -> None:
        """Leave the worker's hands, or stand in the queue again."""
        if self._todo is not None or (self.state is RUNNING and (self._mail is not None or self._is_told_to_end)):
            self.system.scheduler.add(self)
        else:
            self._queued = False

    def _batch(self) -> Work | None:
        if self._is_told_to_end:
            return self._obey()
        actor = self.actor
        assert actor is not None
        on_receive = actor.on_receive
        self.busy = True
        for _ in range(BATCH):
            mail = self._mail
            if mail is None:
                break
            if type(mail) is deque:
                message, slot = mail.popleft()
                if not mail:
                    self._mail = None
            else:
                message, slot = mail
                self._mail = None
            self._slot = slot
            try:
                answer = on_receive(message) if type(message) not in PYKKA else actor._handle_receive(message)
            except BaseException as error:
                waiting = self._raised(error)
                if waiting is not None or self.actor is not actor or self.state is not RUNNING:
                    return waiting
                continue
            if type(answer) is CoroutineType:
                return self._handling(answer)
            slot = self._slot
            if slot is not None:
                self._slot = None
                if not slot.done():
                    slot.set_result(answer)
            if self._stopping is not None or self._killing is not None:
                break
        self.busy = False
        return None

    async def _handling(self, waiting: Work) -> None:
        """The part of a message's handling that has to be awaited."""
        run = self._run
        error, answer = await self._awaited(waiting)
        if self._run != run:
            return
        if self._killing is not None or answer is INTERRUPTED:
            self.busy = False
            return
        if error is not None:
            more = self._raised(error)
            if more is not None:
                await more
            elif self.state is RUNNING:
                self.busy = False
            return
        self.busy = False
        slot, self._slot = self._slot, None
        if slot is not None and not slot.done():
            slot.set_result(answer)

    async def _awaited(self, waiting: Work) -> tuple[BaseException | None, Any]:
        """Await user code in a scope of its own, so that a kill reaches it and only it."""
        actor = self.actor
        assert actor is not None
        scope = self._scope = CancelScope()
        if self._killing is not None:
            self.kill()
        elif self._stopping is not None and self.state is STARTING:
            scope.cancel()
        run, system, token = self._run, self.system, acting.set((actor, True))
        try:
            with scope:
                try:
                    return None, await waiting
                except Exception as error:
                    return error, None
        except BaseException as error:
            if not scope.cancel_called and system.backend.is_being_cancelled():
                raise
            return error, None
        finally:
            acting.reset(token)
            if self._run == run:
                self._scope = None
            else:
                system.abandoned_ended(actor)
        return None, INTERRUPTED

    def _raised(self, error: BaseException) -> Work | None:
        """A handler raised: answer the caller, and end unless the actor may go on."""
        actor = self.actor
        assert actor is not None
        is_ours = isinstance(error, NEVER_RAISED_AT_CALLERS)
        if self._slot is not None and isinstance(error, Exception) and not is_ours:
            slot, self._slot = self._slot, None
            if not slot.done():
                slot.set_exception(error)
                reports.returned(self, error)
            if isinstance(error, actor.reply_errors):
                return None
        if isinstance(error, (Stop, Shutdown)):
            return self._close(exit_of(error))
        if reports.is_pykkas_stop_all(self, error):
            return self._close(exit_of(error), stops_all=True)
        reports.failure(self, error)
        return self._close(exit_of(error), failure=error)

    # --- ending ----------------------------------------------------------------------------------------------

    def stop_in_order(self, slot: Slot | None) -> None:
        """Pykka's stop message has its turn: end normally, and answer *slot* when that is done."""
        if slot is not None:
            self.watch(lambda _: None if slot.done() else slot.set_result(None))
        raise Stop

    def terminate(self, patience: Patience, reason: ExitReason = SHUTDOWN) -> None:
        """The parent asks for the end: the present message may finish, `on_stop` runs, then force is used."""
        if patience == "kill" or patience == 0:
            self._stopping = reason
            self.kill(KILLED)
            return
        if patience != "infinity" and self._deadline is None:
            self._deadline = self.system.timers.after(patience, self._overdue)
        if self._stopping is not None:
            return
        self._stopping = reason
        if self._scope is not None:
            if self.state is STARTING or (self.state is RUNNING and not self.cls.traps_exit):
                self._scope.cancel()
        elif self.state is RUNNING and not self.busy:
            self._work_off(self._obey())

    def _overdue(self, _: object) -> None:
        self._deadline = None
        self.kill(KILLED)

    def kill(self, reason: ExitReason = KILLED) -> None:
        """K1: end now, without `on_stop`. Code that is suspended is cancelled, and left behind if it will not end."""
        if self.state in {WAITING, DEAD, NEW}:
            return
        if self._killing is None:
            self._killing = reason
            if self._deadline is not None:
                self.system.timers.cancel(self._deadline)
                self._deadline = None
        if self._scope is not None:
            self._scope.cancel()
            if self._deadline is None:
                self._deadline = self.system.timers.after(self.system.grace, self._abandon)
        elif self.state is CLOSING and not self.busy:
            self.cls.kill_children(self, None)
        else:
            self._queue()

    def kill_now(self, reason: ExitReason = KILLED) -> None:
        """Like `kill`, without standing in the queue first."""
        self.kill(reason)
        if self.state is RUNNING and not self.busy:
            self._obey()

    def crash(self, error: BaseException) -> None:
        """End as if a handler had raised *error*: work that the actor owns has failed."""
        if self.state is RUNNING and self._killing is None:
            reports.failure(self, error)
            self.kill(exit_of(error))

    def _abandon(self, run: object) -> None:
        """K2: the code does not end. Leave it behind the fence, and go on without it."""
        self._deadline = None
        if self._scope is None:
            return
        assert self.actor is not None
        self.system.abandoned_began(self.actor)
        self._run += 1
        self._scope = None
        self._queued = False
        self._fall(ExitReason("abandoned", "did not end when it was cancelled"))

    def _obey(self) -> Work | None:
        if self._killing is not None:
            self._fall(self._killing)
            return None
        assert self._stopping is not None
        return self._close(self._stopping)

    def _fall(self, reason: ExitReason) -> None:
        """End without a hook. A supervisor's children fall first."""
        self.state = CLOSING
        self.busy = False
        self.cls.kill_children(self, lambda: self._finish(reason))

    def _close(
        self, reason: ExitReason, *, failure: BaseException | None = None, stops_all: bool = False
    ) -> Work | None:
        """End in order. A supervisor's children end first."""
        self.state = CLOSING
        self.busy = False
        assert self.actor is not None
        self.actor.exit_reason = reason
        reports.closing(self)
        if not self.cls.has_children:
            return self._leave(reason, failure, stops_all)
        self.cls.stop_children(self, lambda: self._work_off(self._leave(reason, failure, stops_all)))
        return None

    def _leave(self, reason: ExitReason, failure: BaseException | None, stops_all: bool) -> Work | None:
        if self._killing is not None:
            self._finish(self._killing)
            return None
        actor = self.actor
        assert actor is not None
        waiting: Any = None
        try:
            if failure is None:
                waiting = actor.on_stop()
            else:
                waiting = actor.on_failure(type(failure), failure, failure.__traceback__)
        except BaseException as error:
            reports.failure(self, error)
        if type(waiting) is CoroutineType:
            self.busy = True
            if self._deadline is None and self._stopping is None:
                self._deadline = self.system.timers.after(self.system.patience, self._overdue)
            return self._leaving(waiting, reason)
        self._finish(reason)
        if stops_all:
            reports.stop_all()
        return None

    async def _leaving(self, waiting: Work, reason: ExitReason) -> None:
        run = self._run
        error, _ = await self._awaited(waiting)
        if self._run != run:
            return
        if error is not None:
            reports.failure(self, error)
        self.busy = False
        self._finish(self._killing or reason)

    def _finish(self, reason: ExitReason) -> None:
        """This incarnation is over. The parent decides what follows, and everybody who waits is answered."""
        if reason.kind == "killed" and self.actor is not None:
            reason = self.actor.on_kill(reason)
        self._end(reason)
        self.parent.child_down(self, reason)
        self._answer_as_restarted()

    def _end(self, reason: ExitReason) -> None:
        """Take the incarnation apart."""
        reports.closing(self)
        self.state = WAITING
        self.busy = False
        self.actor = None
        self._killing = self._stopping = None
        if self._deadline is not None:
            self.system.timers.cancel(self._deadline)
            self._deadline = None
        if self._jobs is not None:
            for scope in self._jobs:
                scope.cancel()
            self._jobs = None
        self._collect_calls()
        if self._ref is not None:
            self._ref.exit_reason = reason
        watchers, self._watchers = self._watchers, None
        for call in watchers or ():
            call(reason)

    def _collect_calls(self) -> None:
        """Callers are owed an answer. What was only told, and durable calls, stay for the next incarnation."""
        present, self._slot = self._slot, None
        owed: list[mailbox.Envelope] = [] if present is None else [(None, present)]
        if self._mail is not None:
            kept: list[mailbox.Envelope] = []
            for envelope in mailbox.listed(self._mail):
                message, slot = envelope
                survives = slot is None or (isinstance(message, Request) and message.durable)
                (kept if survives and type(message) is not _ActorStop else owed).append(envelope)
            self._mail = mailbox.packed(kept)
        self._owed = owed or None

    def let_go(self, reason: ExitReason) -> None:
        """No incarnation follows: the parent says so. Everybody who waits is answered ActorDead."""
        if self.state is DEAD:
            return
        if self.state is not NEW:
            self.system.cells -= 1
        self.state = DEAD
        self.args, self.kwargs = (), None
        waiting = [*(self._owed or ()), *mailbox.listed(self._mail)]
        self._owed = self._mail = None
        if waiting:
            text = f"{self.name} stopped before handling the message: {reason}"
            self._answer(waiting, lambda: ActorDead(text, reason=reason))

    def _answer_as_restarted(self) -> None:
        waiting, self._owed = self._owed, None
        if waiting:
            self._answer(waiting, lambda: ActorRestarted(f"{self.name} crashed and is started again"))

    @staticmethod
    def _answer(waiting: list[mailbox.Envelope], error: Callable[[], Exception]) -> None:
        for message, slot in waiting:
            if slot is None or slot.done():
                continue
            if type(message) is _ActorStop:
                slot.set_result(None)
            else:
                slot.set_exception(error())

    def end(self, reason: ExitReason) -> None:
        """The actor's own decision, or its supervisor machinery's: end in order, after the present message."""
        if self.state is not RUNNING or self._stopping is not None:
            return
        self._stopping = reason
        if not self.busy:
            self._work_off(self._obey())

    @property
    def name(self) -> str:
        """The class's name, for people."""
        return self.cls.__name__

    # --- work the actor owns ---------------------------------------------------------------------------------

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        """Run `await function(*args)` beside the messages. It ends with this incarnation; its failure is a crash."""
        assert self.actor is not None
        if self._jobs is None:
            self._jobs = set()
        scope = CancelScope()
        self._jobs.add(scope)
        self.system.tasks.start_soon(self._job, scope, self.actor, function, args)

    async def _job(
        self, scope: CancelScope, actor: Actor, function: Callable[..., Coroutine[Any, Any, object]], args: Any
    ) -> None:
        acting.set((actor, False))
        failure: BaseException | None = None
        try:
            with scope:
                try:
                    await function(*args)
                except Exception as error:
                    failure = error
        except BaseException as error:
            if not scope.cancel_called and self.system.backend.is_being_cancelled():
                raise
            failure = error
        if self.actor is actor:
            if self._jobs is not None:
                self._jobs.discard(scope)
            if failure is not None and not scope.cancel_called:
                self.crash(failure)
