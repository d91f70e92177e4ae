"""The LLM orchestrator: runs one turn at a time with the session's model.

The turn belongs to this actor, not to whoever asked for it: a client that goes away does not lose it. What the
turn says is written by the context manager; this actor keeps nothing that a crash could lose.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

import anyio

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout
from jidoka.actors.exits import ExitReason, text_of
from jidoka.core import checks
from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.errors import (
    STORE_TROUBLE,
    InvalidMessage,
    InvalidTransition,
    JidokaError,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
)
from jidoka.core.events import EventType, live_event
from jidoka.core.json_values import sound_text
from jidoka.core.messages import Context, Message
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.poison import MAX_CRASHES, blame, put_aside

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.children import Child
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor import Supervisor
    from jidoka.sessions.feed import Feed
    from jidoka.sessions.setup import SessionSetup


class Turn:
    """A turn that is under way."""

    __slots__ = ("feed", "gate", "id", "is_cancelled", "is_late", "prompt", "scope", "slot")

    def __init__(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        self.id = prompt.turn_id
        self.prompt = prompt
        self.slot = slot
        self.feed: Feed | None = prompt.feed
        self.scope = anyio.CancelScope()
        self.is_cancelled = False
        self.is_late = False
        # Set while the line is stopped: opened by the decision.
        self.gate: anyio.Event | None = None

    @property
    def is_unheard(self) -> bool:
        """Whether nobody waits for it."""
        return self.slot is None and self.feed is None

    def is_for(self, prompt: ask.Prompt) -> bool:
        """Whether *prompt* asks for the same."""
        return (prompt.turn_id, prompt.content) == (self.id, self.prompt.content)

    def expire(self) -> None:
        """Its time is up."""
        self.is_late = True
        self.scope.cancel()

    def settle(self, answer: Message | None, error: Exception | None) -> None:
        """Tell whoever asked. Once."""
        if self.feed is not None:
            self.feed.end(answer, error)
        if self.slot is None or self.slot.done():
            return
        if error is not None:
            self.slot.set_exception(error)
        else:
            self.slot.set_result(answer)


class Orchestrator(Actor):
    """The session's one place where a model is called."""

    mailbox_capacity: ClassVar[int] = 1_000

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__()
        self.setup = setup
        self._turn: Turn | None = None

    def on_start(self) -> None:
        """A new incarnation ends the turn of the one before it; one in a new process may have to run it again."""
        if self.restarts:
            self._context().tell(ask.OrchestratorBack(self.restarts))
        unfinished, self.setup.unfinished = self.setup.unfinished, None
        if unfinished is not None:
            self._begin(unfinished, None)

    def on_receive(self, message: Any) -> Any:
        match message:
            case ask.Prompt():
                return self._start_turn(message)
            case ask.CancelTurn(turn_id):
                return self._cancel(turn_id)
            case ask.GoOn(approved):
                return self._go_on(approved)
            case _:
                raise InvalidMessage(f"an orchestrator does not know {type(message).__name__}")

    # --- one turn at a time ----------------------------------------------------------------------------------

    def _start_turn(self, prompt: ask.Prompt) -> None:
        turn = self._turn
        if turn is not None:
            if not (turn.is_unheard and prompt.feed is None and turn.is_for(prompt)):
                raise TurnInProgress(self.setup.session_id)
            # Asked again, with the same key, after the process in which it began had ended.
            turn.slot = self.answer_later()
            return
        # Whoever streams is answered at once, and hears the rest through the feed.
        self._begin(prompt, self.answer_later() if prompt.feed is None else None)

    def _begin(self, prompt: ask.Prompt, slot: Slot | None) -> None:
        turn = self._turn = Turn(prompt, slot)
        self.jidoka_cell.watch(self._end_with_me(turn))
        self.start_soon(self._run, turn)

    def _end_with_me(self, turn: Turn) -> Callable[[ExitReason], None]:
        def ended(reason: ExitReason) -> None:
            turn.settle(None, self._failure(turn, f"interrupted: {reason}"))

        return ended

    def _cancel(self, turn_id: str | None) -> bool:
        turn = self._turn
        if turn is None or (turn_id is not None and turn.id != turn_id):
            return False
        turn.is_cancelled = True
        turn.scope.cancel()
        return True

    def _go_on(self, approved: bool) -> None:
        turn = self._turn
        if turn is None:
            return
        if not approved:
            self._cancel(turn.id)
        elif turn.gate is not None:
            turn.gate.set()
            turn.gate = None

    # --- the turn itself -------------------------------------------------------------------------------------

    async def _run(self, turn: Turn) -> None:
        answer: Message | None = None
        error: Exception | None = None
        try:
            with turn.scope, self._in_time(turn):
                answer = await self._converse(turn)
        except ActorRestarted as crashed:
            # What this turn had to say crashed the context manager each time.
            error = self._failed_by(turn, crashed)
        except JidokaError as refused:
            error = refused
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

    @contextmanager
    def _in_time(self, turn: Turn) -> Generator[None]:
        limit, timers = turn.prompt.timeout, self.jidoka_cell.system.timers
        if limit is None:
            yield
            return
        timer = timers.after(limit, Turn.expire, turn)
        if not limit:
            turn.expire()
        try:
            yield
        finally:
            timers.cancel(timer)

    def _failed_by(self, turn: Turn, failure: Exception) -> TurnFailed:
        known = failure if isinstance(failure, TurnFailed) and failure.reason is not None else None
        error = self._failure(turn, text_of(failure) if known is None else known.error)
        if known is not None:
            error.reason, error.retry_after = known.reason, known.retry_after
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
        try:
            return await self._tell_context(ask.EndTurn(turn.id, said))
        except STORE_TROUBLE:
            # The context manager owes it to the journal now.
            return None

    async def _converse(self, turn: Turn) -> Message:
        config = self._llm_config()
        model = self.setup.house.models.find(config.model)
        start = await self._tell_context(ask.StartTurn(turn.id, turn.prompt.content, config.model))
        if start.context is None:
            assert start.answer is not None
            return start.answer
        text, usage = await self._listen(turn, model, start.context, config)
        while True:
            try:
                return await self._tell_context(ask.CompleteTurn(turn.id, turn.prompt.content, text, usage))
            except InvalidTransition as stopped:
                if stopped.status is not SessionStatus.WAITING_INPUT:
                    raise
                await self._wait_for_a_person(turn)

    @staticmethod
    async def _wait_for_a_person(turn: Turn) -> None:
        # Nothing is handled between the refusal and this line: the decision comes as a message, and finds the gate.
        gate = turn.gate = anyio.Event()
        await gate.wait()

    async def _listen(self, turn: Turn, model: Any, context: Context, config: LLMConfig) -> tuple[str, dict[str, Any]]:
        pieces: list[str] = []
        usage: dict[str, Any] = {}
        try:
            async with _closing(model.respond(context, config)) as chunks:
                async for chunk in chunks:
                    piece = chunk if isinstance(chunk, str) else chunk.text
                    if isinstance(chunk, Chunk) and chunk.usage is not None:
                        usage = chunk.usage.model_dump(exclude_none=True)
                    if piece:
                        pieces.append(sound_text(piece, "output"))
                        self._say(turn, piece)
            return checks.content("".join(pieces), field="answer"), usage
        except Exception as failure:
            # Whatever a model raises, also if it is one of ours: it is this turn that has failed.
            raise self._failed_by(turn, failure) from failure

    def _say(self, turn: Turn, piece: str) -> None:
        if turn.feed is not None:
            turn.feed.push(piece)
        hub, session_id = self.setup.house.hub, self.setup.session_id
        if hub.is_heard(session_id):
            world = self.setup.house.world
            data = {"turn_id": turn.id, "text": piece}
            hub.publish_live(live_event(session_id, EventType.OUTPUT_RECEIVED, data, id=world.new_id(), at=world.now()))

    def _llm_config(self) -> LLMConfig:
        llm = self.setup.llm
        return llm if isinstance(llm, LLMConfig) else LLMConfig.model_validate(llm)

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


@asynccontextmanager
async def _closing(chunks: Any) -> AsyncGenerator[Any]:
    """What a model has begun to say, and does not finish, is closed here rather than by the garbage collector."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
