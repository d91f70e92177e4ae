"""A chat: asks for a line, and does what it says, until somebody leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jidoka.cli import slash
from jidoka.cli.halts import Halt, last_halt, open_turn
from jidoka.cli.shown_turn import ShownTurn
from jidoka.core.errors import (
    JidokaError,
    SessionNotFound,
    SessionTerminated,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
)
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.cli.lines import Lines
    from jidoka.cli.voice import Voice
    from jidoka.client import Client
    from jidoka.ports.store import Store
    from jidoka.session import Session

# After these there is nothing left to talk to.
_THE_END: Final = (SessionNotFound, SessionTerminated)
_YES: Final = frozenset({"y", "yes", "approve"})
_NO: Final = frozenset({"n", "no", "reject"})


class Conversation:
    """One person and one session, or its fork later on. Whatever a turn or a command comes to, the chat goes on."""

    def __init__(self, client: Client, session: Session, lines: Lines, voice: Voice, *, by: str | None = None) -> None:
        self.client = client
        self.session = session
        self.lines = lines
        self.voice = voice
        self.by = by
        """Who decides, for the journal."""
        self.halt: Halt | None = None
        """Why the session waits for a person, where it does."""
        self.is_over = False
        self._turn: ShownTurn | None = None
        # Typed while a turn was under way.
        self._ahead: deque[str] = deque()
        self._failed: str | None = None

    @property
    def store(self) -> Store:
        """Where the session's journal is."""
        return self.client.house.store

    @property
    def is_in_turn(self) -> bool:
        """Whether a turn is being shown."""
        return self._turn is not None

    async def run(self) -> None:
        """Until the person leaves. Raises SessionTerminated, SessionNotFound where nobody can go on."""
        with self._trying():
            await self._catch_up()
        while not self.is_over:
            with self._trying():
                await self._look()
            if (line := await self._next()) is None:
                return
            await self.hear(line)

    async def _catch_up(self) -> None:
        info = await self.session.info()
        await self._look()
        if info.status is not SessionStatus.FAILED:
            # Wakes it: what a dead process has left open is closed, or done again.
            await self.session.context_stats()
        if self.halt is None:
            await self.follow(info.last_seq)

    def leave(self) -> None:
        """That was it. What waits for a decision goes on waiting."""
        self.is_over = True

    def interrupt(self) -> bool:
        """Ctrl-C: cancels the turn. False when there is none, or it is not the first: then the chat is over."""
        if self._turn is None or not self._turn.interrupt():
            return False
        self._ahead.clear()
        self.voice.after_interrupt()
        return True

    async def _look(self) -> None:
        """How the session is, as far as somebody has to do something about it."""
        info = await self.session.info()
        if info.status is not SessionStatus.WAITING_INPUT:
            self.halt = None
        elif self.halt is None:
            self.stop(await last_halt(self.store, self.session.id) or Halt("unknown"))
        if info.status is SessionStatus.FAILED and info.error != self._failed:
            self.voice.tell(
                "session_failed", f"The session failed: {info.error}. /resume starts it again.", error=info.error
            )
        self._failed = info.error if info.status is SessionStatus.FAILED else None

    def stop(self, halt: Halt) -> None:
        """The line has stopped. What was typed before is no decision about it."""
        self.halt = halt
        self._ahead.clear()
        self.voice.halted(halt)

    async def _next(self) -> str | None:
        if self._ahead:
            return self._ahead.popleft()
        self.voice.prompt("" if self.halt is None else "decide")
        return await self.next_line()

    async def next_line(self) -> str | None:
        """What is typed next. None: whoever typed has gone."""
        line = await self.lines.next()
        if line is not None:
            self.voice.entered()
        return line

    # --- what is said ----------------------------------------------------------------------------------------

    async def hear(self, line: str) -> bool:
        """Do what *line* says. True when it has decided about a halt."""
        text = line.strip()
        if not text:
            return False
        with self._trying():
            if text.startswith("/") and not text.startswith("//"):
                return await slash.carry_out(self, text)
            if self.halt is not None:
                return await self._answer(line)
            await self._prompt(line.replace("//", "/", 1) if text.startswith("//") else line)
        return False

    async def hear_meanwhile(self, line: str) -> None:
        """A line that is typed while a turn is under way: some commands are for it, everything else is for later."""
        if line.split()[:1] in slash.AT_ONCE:
            await self.hear(line)
        else:
            self._ahead.append(line)

    async def _prompt(self, content: str) -> None:
        after = (await self.session.info()).last_seq
        try:
            await self._show(lambda turn: turn.run(content))
        except TurnInProgress as error:
            self.fail(error)
            await self.follow(after)

    async def follow(self, after: int) -> None:
        """Show the turn that is open without us, if one is, with what has happened since entry *after*."""
        turn_id = await open_turn(self.store, self.session.id)
        if turn_id is not None:
            await self._show(lambda turn: turn.follow(turn_id, after))

    async def _show(self, work: Callable[[ShownTurn], Awaitable[None]]) -> None:
        turn = self._turn = ShownTurn(self)
        try:
            await work(turn)
        finally:
            self._turn = None

    # --- what is decided -------------------------------------------------------------------------------------

    async def _answer(self, text: str) -> bool:
        assert self.halt is not None
        word = text.strip().lower()
        if self.halt.is_question:
            return await self.send_input(text)
        if word in _YES | _NO:
            return await self.decide("approve" if word in _YES else "reject")
        self.voice.tell("note", "That is no decision: y, n, /approve, /reject, or /answer TEXT.", note="no decision")
        return False

    async def decide(self, decision: str, note: str = "") -> bool:
        """Approve or reject what waits."""
        by, told = self.by, "Approved." if decision == "approve" else "Rejected."
        return await self._go_on(partial(self.session.approve, decision=decision, note=note or None, by=by), told)

    async def send_input(self, text: str) -> bool:
        """Tell the turn that waits something."""
        return await self._go_on(partial(self.session.send_input, text), "Answered.")

    async def resume(self) -> bool:
        """Go on, whatever it was that has stopped the session."""
        return await self._go_on(self.session.resume, "Resumed.")

    async def _go_on(self, decide: Callable[[], Awaitable[Any]], told: str) -> bool:
        after = (await self.session.info()).last_seq
        await decide()
        self.voice.tell("decided", told, decision=told.rstrip(".").lower())
        if self._turn is None:
            self.halt = None
            await self.follow(after)
        return True

    # --- what goes wrong -------------------------------------------------------------------------------------

    @contextmanager
    def _trying(self) -> Generator[None]:
        try:
            yield
        except JidokaError as error:
            self.fail(error)

    def fail(self, error: JidokaError) -> None:
        """Say what went wrong. Raised again when it is the end."""
        if isinstance(error, _THE_END):
            raise error
        if isinstance(error, TurnCancelled):
            self.voice.tell("turn_cancelled", "Cancelled: nothing of the turn is in the history.")
            return
        self.voice.fail(error)
        if isinstance(error, TurnFailed) and error.retry_after:
            self.voice.tell("note", f"Try again in {error.retry_after:.0f} s.", note="retry", after=error.retry_after)
