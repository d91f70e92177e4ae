"""A cell is an actor's place together with the lives that are led there: how one begins, and every way it ends.

Everything here runs on the loop's thread, and nothing here waits: what has to be awaited is handed to a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, cast

from jidoka.actors import mailbox, reports
from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.exits import KILLED, NORMAL, SHUTDOWN, ExitReason, Ignore, Stop, exit_of
from jidoka.actors.handling import INTERRUPTED, Handling
from jidoka.actors.mailbox import ActorStop
from jidoka.actors.place import Work
from jidoka.actors.request import is_durable
from jidoka.actors.states import CLOSING, DEAD, NEW, RUNNING, STARTING, WAITING

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.specs import Patience


class Cell(Handling):
    """One actor's place, and the incarnations that live there one after another."""

    __slots__ = ()

    # --- starting ------------------------------------------------------------------------------------

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
            # Half made: it has no children that could be ended.
            self.actor = None
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
            self._later(self._entering(cast("Work", waiting)))
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
            # Up, and about to end: in its turn, so that one that is always started again holds up nobody.
            self._stopping = NORMAL
            self._up()
            return
        if self.registered and not isinstance(error, Ignore):
            reports.failure(self, error)
        self.cls.kill_children(self, lambda: self._not_started(error))

    def _not_started(self, error: BaseException) -> None:
        self._end(NORMAL if isinstance(error, Ignore) else exit_of(error))
        self.parent.child_failed(self, error)
        self._answer_as_restarted(exit_of(error))

    # --- ending --------------------------------------------------------------------------------------

    def stop_in_order(self, slot: Slot | None) -> None:
        """Pykka's stop message has its turn: end normally, and answer *slot* when that is done."""
        if slot is not None:
            self.watch(lambda _: None if slot.done() else slot.set_result(None))
        raise Stop

    def terminate(self, patience: Patience, reason: ExitReason = SHUTDOWN) -> None:
        """The parent asks for the end: the present message may finish, `on_stop` runs, then force is used."""
        if patience == "kill" or not patience:
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
        why = self._killing.detail if self._killing is not None else ""
        self._fall(ExitReason("abandoned", why or "did not end when it was cancelled"))

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
        try:
            if failure is None:
                waiting = actor.on_stop()
            else:
                waiting = actor.on_failure(type(failure), failure, failure.__traceback__)
        except BaseException as error:
            reports.failure(self, error)
            waiting = None
        if type(waiting) is CoroutineType:
            self.busy = True
            if self._deadline is None and self._stopping is None:
                self._deadline = self.system.timers.after(self.system.patience, self._overdue)
            return self._leaving(cast("Work", waiting), reason)
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
        self._answer_as_restarted(reason)

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
        if self._ref is not None or self.restarts:
            # Also where nobody has asked for it yet: whoever does before the next incarnation hears of this one.
            self.ref.exit_reason = reason
        watchers, self._watchers = self._watchers, None
        for call in watchers or ():
            call(reason)

    def _collect_calls(self) -> None:
        """Callers are owed an answer. What was only told, and durable calls, stay for the next incarnation."""
        present, self._slot = self._slot, None
        # Those of the incarnation before it are not answered yet when this one could not even start.
        owed: list[mailbox.Envelope] = list(self._owed or ())
        if present is not None:
            owed.append((mailbox.HANDLED, present))
        if self._mail is not None:
            kept: list[mailbox.Envelope] = []
            for envelope in mailbox.listed(self._mail):
                message, slot = envelope
                survives = slot is None or is_durable(message)
                (kept if survives and type(message) is not ActorStop else owed).append(envelope)
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
            self._answer(waiting, lambda _: ActorDead(text, reason=reason))

    def _answer_as_restarted(self, reason: ExitReason) -> None:
        waiting, self._owed = self._owed, None
        if waiting:
            text = f"{self.name} crashed and is started again: {reason}"
            self._answer(
                waiting,
                lambda message: ActorRestarted(text, reason=reason, was_handled=message is mailbox.HANDLED),
            )

    @staticmethod
    def _answer(waiting: list[mailbox.Envelope], error: Callable[[object], Exception]) -> None:
        for message, slot in waiting:
            if slot is None or slot.done():
                continue
            if type(message) is ActorStop:
                slot.set_result(None)
            else:
                slot.set_exception(error(message))

    def end(self, reason: ExitReason) -> None:
        """The actor's own decision, or its supervisor machinery's: end in order, after the present message."""
        if self.state not in {STARTING, RUNNING} or self._stopping is not None:
            return
        self._stopping = reason
        if self.state is RUNNING and not self.busy:
            self._work_off(self._obey())
