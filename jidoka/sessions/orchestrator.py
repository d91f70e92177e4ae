"""The LLM orchestrator: runs one turn at a time with the session's model.

The turn belongs to this actor, not to whoever asked for it: a client that goes away does not lose it. What the
turn says is written by the context manager; this actor keeps nothing that a crash could lose.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, MailboxFull
from jidoka.actors.exits import ExitReason, text_of
from jidoka.core.errors import (
    STORE_TROUBLE,
    InvalidMessage,
    InvalidTransition,
    JidokaError,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
)
from jidoka.core.messages import Message
from jidoka.sessions import requests as ask
from jidoka.sessions.poison import MAX_CRASHES, blame, put_aside
from jidoka.sessions.turn import Turn
from jidoka.sessions.turn_run import TurnRun

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.children import Child
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor import Supervisor
    from jidoka.sessions.feed import Feed
    from jidoka.sessions.setup import SessionSetup

MOST_WAITING: Final = 1_000
"""Prompts that may wait for one session, where it queues them."""


class Orchestrator(Actor):
    """The session's one place where a model is called."""

    mailbox_capacity: ClassVar[int] = 1_000

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__()
        self.setup = setup
        self._turn: Turn | None = None
        # Prompts that wait, where the session queues them.
        self._waiting: deque[tuple[ask.Prompt, Slot | None]] | None = None
        # What comes before it is known whether there is a turn to go on with.
        self._early: deque[tuple[Any, Slot | None]] | None = None
        self._is_watched = False

    def on_start(self) -> None:
        """A new incarnation finds out what became of its turn; one in a new process may have to go on with it."""
        if self.restarts:
            self._early = deque()
            self._watch()
            self.start_soon(self._take_up)
        unfinished, self.setup.unfinished = self.setup.unfinished, None
        if unfinished is not None:
            self._begin(unfinished, None)

    async def _take_up(self) -> None:
        unfinished = await self._tell_context(ask.OrchestratorBack(self.restarts))
        if unfinished is not None:
            self._begin(unfinished, None)
        early, self._early = self._early, None
        while early:
            self._answer(*early.popleft())

    def on_receive(self, message: Any) -> None:
        slot = self.answer_later()
        if self._early is None:
            self._answer(message, slot)
        elif len(self._early) < MOST_WAITING or not isinstance(message, ask.Prompt):
            self._early.append((message, slot))
        elif slot is not None:
            slot.set_exception(self._full(len(self._early)))

    def _answer(self, message: Any, slot: Slot | None) -> None:
        try:
            if isinstance(message, ask.Prompt):
                self._start_turn(message, slot)
                return
            answer = self._do(message)
        except JidokaError as refusal:
            if slot is not None and not slot.done():
                slot.set_exception(refusal)
        else:
            _tell(slot, answer)

    def _do(self, message: Any) -> Any:
        match message:
            case ask.CancelTurn(feed):
                return self._cancel(feed)
            case ask.GoOn():
                return self._go_on(message)
            case _:
                raise InvalidMessage(f"an orchestrator does not know {type(message).__name__}")

    # --- one turn at a time ----------------------------------------------------------------------------------

    def _start_turn(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        turn = self._turn
        if turn is not None and turn.is_for(prompt):
            # Asked again, with the same key.
            turn.join(prompt, slot)
            return
        if turn is None:
            self._begin(prompt, slot if prompt.feed is None else None)
        elif self.setup.config.when_busy == "queue":
            self._wait(prompt, slot if prompt.feed is None else None)
        else:
            raise TurnInProgress(self.setup.session_id)
        if prompt.feed is not None:
            # Whoever streams is answered at once, and hears the rest through the feed.
            _tell(slot, None)

    def _wait(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= MOST_WAITING:
            raise self._full(len(self._waiting))
        self._waiting.append((prompt, slot))

    def _full(self, count: int) -> MailboxFull:
        return MailboxFull(f"session {self.setup.session_id} has {count} prompts waiting")

    def _begin(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        turn = self._turn = Turn(prompt)
        turn.join(prompt, slot)
        self._watch()
        self.start_soon(self._run, turn)

    def _watch(self) -> None:
        """Once: most sessions never have a turn."""
        if not self._is_watched:
            self._is_watched = True
            self.jidoka_cell.watch(self._ended)

    def _ended(self, reason: ExitReason) -> None:
        """Nobody waits for this incarnation any more."""
        turn = self._turn
        if turn is not None:
            turn.settle(None, self._failure(turn, f"interrupted: {reason}"))
        for waiting in (self._early, self._waiting):
            if waiting:
                _refuse(waiting, reason)

    def _cancel(self, feed: Feed | None) -> bool:
        turn = self._turn
        if feed is not None and (turn is None or turn.feed is not feed):
            return self._let_go(feed)
        if turn is None:
            return False
        turn.cancel()
        return True

    def _let_go(self, feed: Feed) -> bool:
        """Whoever was to stream a turn does not wait for it any more: it is not begun."""
        waiting = self._waiting or deque[tuple[ask.Prompt, "Slot | None"]]()
        for place, (prompt, _) in enumerate(waiting):
            if prompt.feed is feed:
                del waiting[place]
                feed.end(None, TurnCancelled(session_id=self.setup.session_id, turn_id=prompt.turn_id))
                return True
        return False

    def _go_on(self, decision: ask.GoOn) -> None:
        turn = self._turn
        if turn is None or turn.id != decision.turn_id:
            return
        if decision.cancels:
            turn.cancel()
        else:
            turn.hear(decision.decided)

    # --- the turn itself -------------------------------------------------------------------------------------

    async def _run(self, turn: Turn) -> None:
        answer: Message | None = None
        error: Exception | None = None
        try:
            with turn.scope:
                answer = await self._converse(turn)
        except ActorRestarted as crashed:
            # What this turn had to say crashed the context manager each time.
            error = self._failed_by(turn, crashed)
        except JidokaError as refused:
            error = refused
            # A person has rejected it, and this is how it hears so.
            turn.is_cancelled |= isinstance(refused, TurnCancelled)
        except Exception as failure:
            error = self._failed_by(turn, failure)
        if answer is None:
            error = self._why(turn, error)
            complete = await self._record_the_end(turn, error)
            if turn.is_cancelled or turn.is_late or isinstance(error, STORE_TROUBLE):
                # The answer had been committed before: too late, or without anybody knowing.
                answer = complete
        self._turn = None
        turn.settle(answer, None if answer is not None else error)
        if self._waiting:
            self._begin(*self._waiting.popleft())

    async def _converse(self, turn: Turn) -> Message:
        """The answer, in the time that there is for it."""
        run, limit = TurnRun(self.setup, turn, self._tell_context), turn.prompt.timeout
        if limit is None:
            return await run.converse()
        timers = self.jidoka_cell.system.timers
        timer = timers.after(limit, Turn.expire, turn)
        if not limit:
            turn.expire()
        try:
            return await run.converse()
        finally:
            timers.cancel(timer)

    def _failed_by(self, turn: Turn, failure: Exception) -> TurnFailed:
        error = self._failure(turn, text_of(failure))
        error.__cause__ = failure
        return error

    def _failure(self, turn: Turn, error: str) -> TurnFailed:
        return TurnFailed(f"the turn failed: {error}", session_id=self.setup.session_id, turn_id=turn.id, error=error)

    def _why(self, turn: Turn, error: Exception | None) -> Exception:
        if turn.is_cancelled:
            return TurnCancelled(session_id=self.setup.session_id, turn_id=turn.id)
        if turn.is_late:
            return CallTimeout(f"the turn took longer than {turn.prompt.timeout} s")
        if isinstance(error, ActorDead) and turn.feed is not None:
            # Being suspended. Whoever waits for the answer alone asks again; a stream has begun.
            return self._failed_by(turn, error)
        return error or self._failure(turn, "interrupted")

    async def _record_the_end(self, turn: Turn, error: Exception) -> Message | None:
        """The answer, if the turn was complete before it could be ended."""
        if isinstance(error, TurnInProgress | InvalidTransition):
            return None
        said = None if turn.is_cancelled else _said_of(error)
        reason = error.reason if isinstance(error, TurnFailed) else None
        usage = TurnRun.usage_of(turn.said, turn.allowance)
        try:
            end = ask.EndTurn(turn.id, said, reason, turn.said.text, usage, turn.is_late)
            return await self._tell_context(end)
        except STORE_TROUBLE:
            # The context manager owes it to the journal now.
            return None

    # --- the context manager ---------------------------------------------------------------------------------

    def _context(self) -> ActorRef[Any]:
        # Not the registry: while the session is coming up, it is not in there.
        supervisor = cast("Supervisor", cast("Child", self.jidoka_cell.parent).owner)
        return supervisor.find("context_manager").cell_in(self.jidoka_cell.system).ref

    async def _tell_context(self, request: Any) -> Any:
        """What a turn writes is written once, however often the context manager is restarted meanwhile.

        What crashes it each time is given up: raises ActorRestarted.
        """
        crashes = 0
        while True:
            try:
                return await self._context().call(request, timeout=None)
            except ActorDead:
                raise
            except Exception as error:
                crash = blame(error)
                crashes += crash is not None
                if crash is not None and crashes >= MAX_CRASHES:
                    raise put_aside(crash, None) from error


def _said_of(error: Exception) -> str:
    """What the journal keeps of *error*. Where there is one word for it, that comes first."""
    return error.error if isinstance(error, TurnFailed) and error.reason is not None else text_of(error)


def _tell(slot: Slot | None, answer: Any) -> None:
    if slot is not None and not slot.done():
        slot.set_result(answer)


def _refuse(waiting: deque[tuple[Any, Slot | None]], reason: ExitReason) -> None:
    """None of them was begun: whoever asked asks the next incarnation."""
    while waiting:
        message, slot = waiting.popleft()
        error = ActorRestarted(f"the orchestrator is being restarted: {reason}")
        if isinstance(message, ask.Prompt) and message.feed is not None:
            # One that was let in, though not begun: whoever streams it hears what all others do.
            why = f"interrupted: {reason}"
            message.feed.end(None, TurnFailed(f"the turn failed: {why}", turn_id=message.turn_id, error=why))
        if slot is not None and not slot.done():
            slot.set_exception(error)
