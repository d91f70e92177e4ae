"""The context manager: the one actor that writes a session's journal, and knows what it adds up to.

Commit, then apply, then tell. After a crash the next incarnation reads the journal and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead
from jidoka.actors.exits import Shutdown
from jidoka.core.entries import Entry
from jidoka.core.errors import DuplicateKey, Fenced, JidokaError, SessionExists, StaleSequence, Tombstoned
from jidoka.core.events import EventType
from jidoka.core.frozen import frozen
from jidoka.core.lifecycle import move
from jidoka.core.state import SessionState
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.context_turns import TurnRecords
from jidoka.sessions.context_writes import Writes
from jidoka.sessions.drafts import Draft, status_draft
from jidoka.sessions.immediate import finish_now
from jidoka.sessions.reading import read

if TYPE_CHECKING:
    from jidoka.actors.timers import Timer
    from jidoka.sessions.setup import SessionSetup

T = TypeVar("T")
Work = Coroutine[Any, Any, Any]

# In these the session works; in the others its journal is closed to new things.
OPEN = frozenset({SessionStatus.ACTIVE, SessionStatus.IDLE, SessionStatus.WAITING_INPUT})


class ContextManager(Writes, TurnRecords, Actor):
    """History, active files, file index and working context of one session, and its status."""

    mailbox_capacity: ClassVar[int] = 10_000
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

    # --- coming up -------------------------------------------------------------------------------------------

    def on_start(self) -> Any:
        """Write the first entries of a new session, or read the journal of one that exists."""
        return self._now_or_later(self._open())

    async def _open(self) -> None:
        born = self.setup.born
        if born is not None and not self.restarts:
            await self._create(born)
        else:
            await self._recover()
        self.setup.born = None
        self._touched = self.setup.house.world.monotonic()
        self._watch_the_clock(min(self.setup.config.idle_after, self.setup.config.suspend_after))

    async def _create(self, born: ask.Born) -> None:
        now = self.setup.house.world.now()
        drafts: list[Draft] = [(EventType.SESSION_CREATED, born.data), *born.drafts]
        drafts.append(BORN)
        entries = [Entry(number, type, now, data, None, 1) for number, (type, data) in enumerate(drafts, start=1)]
        if born.key is not None:
            entries[0] = entries[0]._replace(key=born.key)
        head = await self.setup.house.store.append(self.setup.session_id, entries, expected_seq=0)
        self._epoch = head.epoch
        if head.epoch != 1:
            # The id was used before, and purged.
            entries = [entry._replace(epoch=head.epoch) for entry in entries]
        self.state = SessionState.resumed(head, entries if born.drafts else ())
        self.setup.house.hub.publish(self.setup.session_id, entries)

    async def _recover(self) -> None:
        store, session_id = self.setup.house.store, self.setup.session_id
        head = await store.claim(session_id)
        if head is None:
            if self.setup.born is None:
                raise SessionExists(session_id)
            await self._create(self.setup.born)
            return
        self._epoch = head.epoch
        self.state = SessionState.resumed(head, await store.read(session_id))
        drafts = self._first_words()
        if drafts:
            await self._commit_later(drafts, None, lambda _: None)

    def _first_words(self) -> list[Draft]:
        """What a new incarnation has to say about why it is there."""
        status, drafts = self.state.status, list[Draft]()
        if status in OPEN and not self.setup.is_resuming:
            child = "context_manager" if self.restarts else "supervisor"
            self.setup.house.restarts += 1
            drafts.append((EventType.CHILD_RESTARTED, {"child": child, "restarts": self.restarts}))
        if self.state.turn is not None and not self.restarts:
            turn = {"turn_id": self.state.turn, "error": "interrupted"}
            drafts.append((EventType.TURN_FAILED, turn))
        if status in (SessionStatus.SUSPENDED, SessionStatus.FAILED):
            extra = {"incarnation": self.state.incarnation + 1} if status is SessionStatus.FAILED else {}
            drafts.append(_status(SessionStatus.ACTIVE, status, **extra))
            drafts.append((EventType.SESSION_RESUMED, {}))
        self.setup.is_resuming = False
        return drafts

    # --- messages --------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Reads are answered at once; writes when they are committed."""
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
            drafts = [_status(SessionStatus.ACTIVE, SessionStatus.IDLE), *drafts]
        return self._now_or_later(self._commit_later(drafts, key, answer))

    def _now_or_later(self, work: Coroutine[Any, Any, T]) -> T | Work:
        """What *work* makes, on the spot where the store never waits; else the work, for a worker to await."""
        return finish_now(work) if self.setup.house.store.never_waits else work

    async def _commit_later(self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], T]) -> T:
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
        self._apply(entries)
        return answer(entries)

    def unless_done(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], T]) -> T | Work:
        """Raise *refusal*, unless this very write was committed by an earlier incarnation, which could not say so."""
        self._refuse_closed()
        if self._epoch == 1:
            raise refusal
        return self._now_or_later(self._look_for(key, refusal, answer))

    async def _look_for(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], T]) -> T:
        entry = await self.setup.house.store.entry_with(self.setup.session_id, key)
        if entry is None:
            raise refusal
        return answer([entry])

    def _apply(self, entries: list[Entry]) -> None:
        apply = self.state.apply
        for entry in entries:
            apply(entry)
        self.setup.house.hub.publish(self.setup.session_id, entries)

    # --- the clock -------------------------------------------------------------------------------------------

    def _watch_the_clock(self, after: float) -> None:
        timers = self.jidoka_cell.system.timers
        self._timer = timers.after(after, _look_at_the_clock, self)

    def look_at_the_clock(self) -> None:
        """Idle long enough to say so? Long enough to be suspended?"""
        if self.state.status not in (SessionStatus.ACTIVE, SessionStatus.IDLE):
            self._watch_the_clock(self.setup.config.idle_after)
            return
        if self.state.turn is not None:
            self._touched = self.setup.house.world.monotonic()
        config, quiet = self.setup.config, self._quiet
        is_idle = self.state.status is SessionStatus.IDLE
        if quiet >= config.suspend_after:
            self._watch_the_clock(config.idle_after)
            self.setup.ask_to_suspend()
        elif is_idle or quiet < config.idle_after:
            limit = config.suspend_after if is_idle else min(config.idle_after, config.suspend_after)
            self._watch_the_clock(limit - quiet)
        else:
            self._watch_the_clock(config.suspend_after - quiet)
            self.actor_ref.tell(GoIdle())

    @property
    def _quiet(self) -> float:
        return self.setup.house.world.monotonic() - self._touched

    def may_be_suspended(self) -> bool:
        """Whether nobody has used this session for `suspend_after` seconds, and nobody waits for anything."""
        is_at_rest = self.state.status in (SessionStatus.ACTIVE, SessionStatus.IDLE) and self.state.turn is None
        return is_at_rest and self._quiet >= self.setup.config.suspend_after

    def go_idle(self, _: GoIdle) -> Any:
        """Nothing has happened for `idle_after` seconds."""
        status = self.state.status
        if (
            status is not SessionStatus.ACTIVE
            or self.state.turn is not None
            or self._quiet < self.setup.config.idle_after
        ):
            return None
        drafts: list[Draft] = [_status(SessionStatus.IDLE, status), (EventType.SESSION_IDLE, {})]
        return self._now_or_later(self._commit_later(drafts, None, lambda _: None))

    def on_stop(self) -> None:
        """Nothing of this session stays behind but its journal."""
        self._forget()

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self._forget()

    def on_kill(self, reason: Any) -> Any:
        self._forget()
        return reason

    def _forget(self) -> None:
        if self._timer is not None:
            self.jidoka_cell.system.timers.cancel(self._timer)
            self._timer = None


# How every session begins: one dict for all of them, which nobody can change.
BORN: Draft = (
    EventType.SESSION_STATUS,
    frozen({"status": str(SessionStatus.ACTIVE), "previous_status": str(SessionStatus.INITIALIZING)}),
)


class GoIdle:
    """The context manager tells itself."""


def _look_at_the_clock(actor: ContextManager) -> None:
    if actor.jidoka_cell.actor is actor:
        actor.look_at_the_clock()


def _status(status: SessionStatus, previous: SessionStatus, **more: Any) -> Draft:
    move(previous, status)
    return status_draft(status, previous, **more)


WRITES: dict[type[Any], Callable[[ContextManager, Any], Any]] = {
    ask.AddMessage: ContextManager.add_message,
    ask.ClearHistory: ContextManager.clear_history,
    ask.UpdateMetadata: ContextManager.update_metadata,
    ask.AddFile: ContextManager.add_file,
    ask.RemoveFile: ContextManager.remove_file,
    ask.IndexFile: ContextManager.index_file,
    ask.PutWorking: ContextManager.put_working,
    ask.DeleteWorking: ContextManager.delete_working,
    ask.BeginEnding: ContextManager.begin_ending,
    ask.Suspend: ContextManager.suspend,
    ask.Wake: ContextManager.wake,
    ask.Halt: ContextManager.halt,
    ask.Decide: ContextManager.decide,
    ask.TakeInput: ContextManager.take_input,
    ask.OrchestratorBack: ContextManager.orchestrator_back,
    ask.StartTurn: ContextManager.start_turn,
    ask.CompleteTurn: ContextManager.complete_turn,
    ask.EndTurn: ContextManager.end_turn,
    GoIdle: ContextManager.go_idle,
}

# These do not count as using the session.
RESTING = frozenset({GoIdle, ask.Suspend, ask.BeginEnding})
