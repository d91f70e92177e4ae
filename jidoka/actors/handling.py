"""What an actor does while it lives: messages in batches, hooks and handlers that wait, work beside the messages.

Everything here runs on the loop's thread, and nothing here waits: what has to be awaited is handed to a worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from anyio import CancelScope

from jidoka.actors import reports
from jidoka.actors.exits import KILLED, ExitReason, Shutdown, Stop, exit_of
from jidoka.actors.mailbox import PYKKA
from jidoka.actors.place import Place, Work
from jidoka.actors.states import RUNNING, STARTING, acting

if TYPE_CHECKING:
    from jidoka.actors.actor import Actor

# Messages in a row before the next cell has its turn.
BATCH = 64

# Words about control flow: a caller never sees them raised.
NEVER_RAISED_AT_CALLERS = (Stop, Shutdown, StopIteration, StopAsyncIteration)

# What `_awaited` answers when the code was interrupted from outside.
INTERRUPTED = object()


class Handling(Place):
    """The part of a cell that runs an incarnation's code."""

    __slots__ = ()

    # --- handling messages ---------------------------------------------------------------------------

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
        has_work = self.state is RUNNING and (self._mail is not None or self._is_told_to_end)
        if has_work or self._todo is not None:
            self.system.scheduler.add(self)
        else:
            self._queued = False

    def _batch(self) -> Work | None:  # noqa: C901, PLR0912  # the hot path: kept flat on purpose
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
                message, self._slot = mail.popleft()
                if not mail:
                    self._mail = None
            else:
                message, self._slot = mail  # pyright: ignore[reportAttributeAccessIssue]  # a pair: not a deque
                self._mail = None
            try:
                answer = on_receive(message) if type(message) not in PYKKA else actor.receive_as_pykka(message)
            except BaseException as error:
                waiting = self._raised(error)
                if waiting is not None or self.actor is not actor or self.state is not RUNNING:
                    return waiting
                continue
            if type(answer) is CoroutineType:
                return self._handling(cast("Work", answer))
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

    # --- work the actor owns -------------------------------------------------------------------------

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        """Run `await function(*args)` beside the messages. It ends with this incarnation; its failure is a crash."""
        assert self.actor is not None
        if self._jobs is None:
            self._jobs = set()
        scope = CancelScope()
        self._jobs.add(scope)
        self.system.tasks.start_soon(self._job, scope, self.actor, function, args)

    async def _job(
        self,
        scope: CancelScope,
        actor: Actor,
        function: Callable[..., Coroutine[Any, Any, object]],
        args: tuple[Any, ...],
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

    def crash(self, error: BaseException) -> None:
        """End as if a handler had raised *error*: work that the actor owns has failed."""
        if self.state is RUNNING and self._killing is None:
            reports.failure(self, error)
            self.kill(exit_of(error))

    # --- ending: the other half of a cell ------------------------------------------------------------

    def kill(self, reason: ExitReason = KILLED) -> None:
        """End now, by force."""
        raise NotImplementedError

    def _obey(self) -> Work | None:
        """End as one was told to."""
        raise NotImplementedError

    def _close(
        self, reason: ExitReason, *, failure: BaseException | None = None, stops_all: bool = False
    ) -> Work | None:
        """End in order."""
        raise NotImplementedError
