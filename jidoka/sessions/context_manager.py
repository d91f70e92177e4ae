"""The context manager: the one actor that writes a session's journal, and knows what it adds up to.

Commit, then apply, then tell. After a crash the next incarnation reads the journal and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead
from jidoka.actors.exits import Shutdown
from jidoka.core.entries import Entry
from jidoka.core.errors import STORE_TROUBLE, DuplicateKey, Fenced, JidokaError, StaleSequence, Tombstoned
from jidoka.core.events import EventType
from jidoka.core.state import SessionState
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.context_clock import Clock, GoIdle
from jidoka.sessions.context_files import FileRecords
from jidoka.sessions.context_recovery import OWED, TOLD, Recovery
from jidoka.sessions.context_tools import ToolRecords
from jidoka.sessions.context_turns import TurnRecords
from jidoka.sessions.context_writes import Writes
from jidoka.sessions.drafts import Draft
from jidoka.sessions.immediate import finish_now
from jidoka.sessions.letters import Letters
from jidoka.sessions.poison import refuse_the_dead
from jidoka.sessions.reading import read

if TYPE_CHECKING:
    from jidoka.actors.timers import Timer
    from jidoka.sessions.setup import SessionSetup

log = logging.getLogger("jidoka.sessions")

T = TypeVar("T")
Work = Coroutine[Any, Any, Any]

# In these the session works; in the others its journal is closed to new things.
OPEN = frozenset({SessionStatus.ACTIVE, SessionStatus.IDLE, SessionStatus.WAITING_INPUT})
# Where these cannot be written, nobody may crash over it.
CAREFUL = TOLD | OWED


class ContextManager(Recovery, Clock, Writes, TurnRecords, ToolRecords, FileRecords, Letters, Actor):
    """History, active files, file index and working context of one session, and its status."""

    # Clients are refused at the door, by the house's bound. What the house itself has to say always finds room.
    mailbox_capacity: ClassVar[int] = 10_000_000
    # A message that is being committed is finished before the actor is ended.
    traps_exit: ClassVar[bool] = True

    # What the journal adds up to. There is none before `on_start`.
    state: SessionState

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__()
        self.setup = setup
        self._epoch = 0
        self._touched = 0.0
        self._timer: Timer | None = None

    # --- messages --------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Reads are answered at once; writes when they are committed."""
        if self._is_in_doubt or type(message) in CAREFUL:
            return self.now_or_later(self.carefully(message))
        return self.handle(message)

    def handle(self, message: Any) -> Any:
        """Read or write: the journal is where it is believed to be."""
        if self.state.letters:
            refuse_the_dead(self.state.letters, message)
        handler = WRITES.get(cast("type[Any]", type(message)))
        if handler is None:
            self._refuse_closed()
            self._touched = self.setup.house.world.monotonic()
            return read(self.state, message, self.setup)
        if type(message) not in RESTING:
            # Also where it turns out that there is nothing to write.
            self._touched = self.setup.house.world.monotonic()
        return handler(self, message)

    def _refuse_closed(self) -> None:
        if self.state.status not in OPEN:
            # Going down. Whoever asks looks again, and finds out how the session is then.
            raise ActorDead(f"session {self.setup.session_id} is {self.state.status}")

    def do_again(self, message: ask.Again) -> Any:
        """What a dead letter asks for, as if it came now."""
        return WRITES[type(message.request)](self, message.request)

    # --- the journal -----------------------------------------------------------------------------------------

    def write(
        self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], T], *, wakes: bool = True
    ) -> T | Work:
        """Commit *drafts*, apply and tell them, and answer what *answer* makes of them. An idle session wakes.

        A *key* that was committed before is not committed again: the answer is made of the earlier entry.
        """
        self._refuse_closed()
        self._touched = self.setup.house.world.monotonic()
        if wakes and self.state.status is SessionStatus.IDLE:
            drafts = [self.status_draft(SessionStatus.ACTIVE), *drafts]
        return self.now_or_later(self.commit(drafts, key, answer))

    def now_or_later(self, work: Coroutine[Any, Any, T]) -> T | Work:
        """What *work* makes, on the spot where the store never waits; else the work, for a worker to await."""
        return finish_now(work) if self.setup.house.store.never_waits else work

    async def commit(self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], T]) -> T:
        """Write *drafts*, whatever the session's status. Raises STORE_TROUBLE, and then this actor is in doubt."""
        house, seq, epoch = self.setup.house, self.state.seq, self._epoch
        now = house.world.now()
        # The key stands on the last entry: the one that the answer is made of.
        last = seq + len(drafts)
        entries = [
            Entry(number, type, now, data, key if number == last else None, epoch)
            for number, (type, data) in enumerate(drafts, start=seq + 1)
        ]
        try:
            await house.store.append(self.setup.session_id, entries, expected_seq=seq)
        except DuplicateKey as duplicate:
            return answer([duplicate.entry])
        except (StaleSequence, Fenced, Tombstoned) as moved:
            # The journal is not where this incarnation believes it is. The next one reads it anew, and whoever asked
            # asks again, with the same key.
            raise Shutdown(str(moved)) from moved
        except STORE_TROUBLE:
            # It may have been committed all the same.
            self._is_in_doubt = True
            raise
        self.apply(entries)
        return answer(entries)

    def unless_done(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], T]) -> T | Work:
        """Raise *refusal*, unless this very write was committed by an earlier incarnation, which could not say so."""
        self._refuse_closed()
        if self._epoch == 1:
            raise refusal
        return self.now_or_later(self._look_for(key, refusal, answer))

    async def _look_for(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], T]) -> T:
        entry = await self.setup.house.store.entry_with(self.setup.session_id, key)
        if entry is None:
            raise refusal
        return answer([entry])

    def apply(self, entries: list[Entry]) -> None:
        """Take in and tell what is committed."""
        apply = self.state.apply
        for entry in entries:
            apply(entry)
        self.setup.house.hub.publish(self.setup.session_id, entries)
        if self.state.open_turn is not None and any(entry.type == EventType.DECISION_RECORDED for entry in entries):
            self.tell_decided()

    def go_idle(self, _: GoIdle) -> Any:
        """Nothing has happened for `idle_after` seconds."""
        if not self.may_go_idle():
            return None
        drafts: list[Draft] = [self.status_draft(SessionStatus.IDLE), (EventType.SESSION_IDLE, {})]
        return self.now_or_later(self.commit(drafts, None, lambda _: None))

    # --- the end ---------------------------------------------------------------------------------------------

    def on_stop(self) -> Any:
        """Nothing of this session stays behind but its journal."""
        self.stop_the_clock()
        if not self._epoch:
            return None
        is_closing = self.setup.house.system.is_leaving and self.setup.config.interrupted_turn == "fail"
        if self._is_in_doubt or (is_closing and self._leaves_a_turn):
            return self.now_or_later(self._finish(is_closing))
        return None

    @property
    def _leaves_a_turn(self) -> bool:
        """Whether there is a turn that nobody can go on with. One that waits for a person needs no process."""
        return self.state.turn is not None and self.state.status is not SessionStatus.WAITING_INPUT

    async def _finish(self, is_closing: bool) -> None:
        try:
            if self._is_in_doubt:
                await self.tell_the_rest()
            if is_closing and self._leaves_a_turn:
                # The process ends in order, and the orchestrator has ended before this.
                await self.commit(self.turn_is_over("interrupted"), None, lambda _: None)
        except (JidokaError, Shutdown) as trouble:
            # Whoever uses the session next finds out, and closes the turn.
            log.warning("a session ends in doubt: %s", trouble, extra={"session_id": self.setup.session_id})

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.stop_the_clock()

    def on_kill(self, reason: Any) -> Any:
        self.stop_the_clock()
        return reason


WRITES: dict[type[Any], Callable[[ContextManager, Any], Any]] = {
    ask.AddMessage: ContextManager.add_message,
    ask.ClearHistory: ContextManager.clear_history,
    ask.UpdateMetadata: ContextManager.update_metadata,
    ask.AddFile: ContextManager.add_file,
    ask.RemoveFile: ContextManager.remove_file,
    ask.IndexFile: ContextManager.index_file,
    ask.ReadWorkspace: ContextManager.workspace,
    ask.ReadKnownFiles: ContextManager.known_files,
    ask.RefreshFiles: ContextManager.refresh_files,
    ask.ChildBack: ContextManager.child_back,
    ask.PutWorking: ContextManager.put_working,
    ask.DeleteWorking: ContextManager.delete_working,
    ask.Again: ContextManager.do_again,
    ask.PutAside: ContextManager.put_aside,
    ask.RemoveLetter: ContextManager.remove_letter,
    ask.BeginEnding: ContextManager.begin_ending,
    ask.Suspend: ContextManager.suspend,
    ask.Wake: ContextManager.wake,
    ask.Halt: ContextManager.halt,
    ask.Decide: ContextManager.decide,
    ask.TakeInput: ContextManager.take_input,
    ask.OrchestratorBack: ContextManager.orchestrator_back,
    ask.StartTurn: ContextManager.start_turn,
    ask.NextStep: ContextManager.next_step,
    ask.AddSummary: ContextManager.add_summary,
    ask.BeginCall: ContextManager.begin_call,
    ask.EndCall: ContextManager.end_call,
    ask.AskPerson: ContextManager.ask_person,
    ask.CompleteTurn: ContextManager.complete_turn,
    ask.EndTurn: ContextManager.end_turn,
    GoIdle: ContextManager.go_idle,
}

# These do not count as using the session.
RESTING = frozenset({GoIdle, ask.Suspend, ask.BeginEnding, ask.ReadKnownFiles, ask.RefreshFiles, ask.ChildBack})
