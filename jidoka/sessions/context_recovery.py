"""How a context manager comes to know its journal: at birth, after a crash, and after the store was away.

An incarnation that does not know where its journal stands is in doubt. It answers nothing before it has claimed the
journal and read on, and as long as that cannot be done, whoever asks is told why. It does not crash over it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from jidoka.actors.errors import ActorDead
from jidoka.actors.exits import Shutdown
from jidoka.core.entries import Entry
from jidoka.core.errors import STORE_TROUBLE, CorruptRecord, Fenced, JidokaError, SessionNotFound
from jidoka.core.events import EventType
from jidoka.core.frozen import frozen
from jidoka.core.lifecycle import LIVE
from jidoka.core.state import SessionState
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.context_clock import GoIdle
from jidoka.sessions.drafts import Draft, status_draft

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.sessions.setup import SessionSetup

log = logging.getLogger("jidoka.sessions")

Work = Coroutine[Any, Any, Any]

# How every session begins: one dict for all of them, which nobody can change.
BORN: Draft = (
    EventType.SESSION_STATUS,
    frozen({"status": str(SessionStatus.ACTIVE), "previous_status": str(SessionStatus.INITIALIZING)}),
)

# Told rather than asked: nobody hears what becomes of them.
TOLD = frozenset({GoIdle, ask.OrchestratorBack, ask.ChildBack})
# What these say has happened, whether or not it can be written down at once.
OWED = frozenset({ask.EndTurn, ask.OrchestratorBack, ask.ChildBack})


class Recovery:
    """The part of the context manager that reads and claims."""

    setup: SessionSetup
    state: SessionState
    jidoka_cell: Cell
    # 0 as long as the journal was never read.
    _epoch: int
    _is_in_doubt: bool = False
    # Whether it has yet to say why it is there.
    _is_unheard: bool = False

    if TYPE_CHECKING:

        @property
        def restarts(self) -> int: ...

        def start_the_clock(self) -> None: ...
        def turn_is_interrupted(self, *, may_go_on: bool) -> tuple[list[Draft], ask.Prompt | None]: ...
        def now_or_later(self, work: Coroutine[Any, Any, Any]) -> Any: ...
        def handle(self, message: Any) -> Any: ...
        def tell_decided(self) -> None: ...
        def apply(self, entries: list[Entry]) -> None: ...

        async def commit(
            self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], Any]
        ) -> Any: ...

    # --- coming up -------------------------------------------------------------------------------------------

    def on_start(self) -> Any:
        """Write the first entries of a new session, or read the journal of one that exists."""
        return self.now_or_later(self._open())

    async def _open(self) -> None:
        born, is_wanted = self.setup.born, self.setup.born is not None or self.setup.is_resuming
        try:
            if born is not None and not self.restarts:
                await self._create(born)
            else:
                await self._recover()
        except (*STORE_TROUBLE, SessionNotFound) as trouble:
            if is_wanted:
                # Somebody waits for this start, and is told.
                raise
            self._is_in_doubt = self._is_unheard = True
            self._log(trouble)
        self.setup.born = None
        self.start_the_clock()

    async def _create(self, born: ask.Born) -> None:
        now = self.setup.house.world.now()
        drafts: list[Draft] = [(EventType.SESSION_CREATED, born.data), *born.drafts]
        drafts.append(BORN)
        entries = [Entry(number, type, now, data, None, 1) for number, (type, data) in enumerate(drafts, start=1)]
        if born.key is not None:
            entries[0] = entries[0]._replace(key=born.key)
        head = await self.setup.house.store.append(self.setup.session_id, entries, expected_seq=0)
        if head.epoch != 1:
            # The id was used before, and purged.
            entries = [entry._replace(epoch=head.epoch) for entry in entries]
        self._know(SessionState.resumed(head, entries if born.drafts else ()))
        self.setup.house.hub.publish(self.setup.session_id, entries)

    async def _recover(self) -> None:
        store, session_id = self.setup.house.store, self.setup.session_id
        seen, self.setup.seen_epoch = self.setup.seen_epoch, None
        head = await store.claim(session_id, expected_epoch=seen)
        if head is None:
            if self.setup.born is None:
                raise SessionNotFound(session_id)
            await self._create(self.setup.born)
            return
        entries = await store.read(session_id)
        self._know(SessionState.resumed(head, entries))
        await self._say_why()

    def _know(self, state: SessionState) -> None:
        self.state, self._epoch = state, state.epoch

    async def _say_why(self) -> None:
        drafts = self._first_words()
        if drafts:
            await self.commit(drafts, None, lambda _: None)
        self._is_unheard = self.setup.is_resuming = False
        if self.restarts:
            # It may have been committed when the incarnation before this one crashed.
            self.tell_decided()
        if self.state.status not in LIVE:
            # Somebody else has ended it: there is nothing left to do here.
            self.setup.ask_to_suspend()

    def _first_words(self) -> list[Draft]:
        """What a new incarnation has to say about why it is there."""
        status, is_wanted, drafts = self.state.status, self.setup.is_resuming, list[Draft]()
        if status in LIVE and not is_wanted:
            child = "context_manager" if self.restarts else "supervisor"
            self.setup.house.restarts += 1
            drafts.append((EventType.CHILD_RESTARTED, {"child": child, "restarts": self.restarts}))
        if self.state.turn is not None and not self.restarts:
            # No process runs it any more.
            closing, self.setup.unfinished = self.turn_is_interrupted(may_go_on=is_wanted)
            drafts += closing
        if status is SessionStatus.SUSPENDED or (status is SessionStatus.FAILED and is_wanted):
            extra = {"incarnation": self.state.incarnation + 1} if status is SessionStatus.FAILED else {}
            drafts.append(status_draft(SessionStatus.ACTIVE, status, **extra))
            drafts.append((EventType.SESSION_RESUMED, {}))
        return drafts

    # --- in doubt --------------------------------------------------------------------------------------------

    async def carefully(self, message: Any) -> Any:
        """Find out where the journal stands, where that is not known; then handle *message*."""
        try:
            if self._is_in_doubt:
                await self._settle()
            return await self._handled(message)
        except (*STORE_TROUBLE, ActorDead) as trouble:
            if type(message) in OWED and isinstance(trouble, STORE_TROUBLE):
                self.setup.owed = [*(self.setup.owed or ()), message]
            if type(message) not in TOLD:
                raise
            self._log(trouble)
            return None

    async def _settle(self) -> None:
        """Raises StoreUnavailable and CorruptRecord as long as it cannot be known, ActorDead when it is all over."""
        try:
            await (self._read_on() if self._epoch else self._recover())
        except SessionNotFound as gone:
            self.setup.ask_to_suspend()
            raise ActorDead(str(gone)) from gone
        if self._is_unheard:
            await self._say_why()
        self._is_in_doubt = False
        await self._pay()

    async def _pay(self) -> None:
        """Write down what could not be written when it happened."""
        while self.setup.owed:
            unfinished = await self._handled(self.setup.owed[0])
            del self.setup.owed[0]
            orchestrator = self.setup.house.registry.child(self.setup.session_id, "orchestrator")
            if isinstance(unfinished, ask.Prompt) and orchestrator is not None:
                # It had asked what it is to go on with, and could not be told.
                orchestrator.tell(unfinished)

    async def _handled(self, message: Any) -> Any:
        answer: Any = self.handle(message)
        return await cast("Work", answer) if isinstance(answer, CoroutineType) else answer

    async def tell_the_rest(self) -> None:
        """What was committed without anybody knowing is told, though this incarnation writes nothing more."""
        self.apply(await self.setup.house.store.read(self.setup.session_id, after=self.state.seq))

    async def _read_on(self) -> None:
        store, session_id = self.setup.house.store, self.setup.session_id
        try:
            head = await store.claim(session_id, expected_epoch=self._epoch)
        except Fenced as moved:
            # Also when an earlier claim of this incarnation took effect and nobody could tell: the next one claims.
            raise Shutdown(str(moved)) from moved
        if head is None:
            raise SessionNotFound(session_id)
        self._epoch = head.epoch
        await self.tell_the_rest()
        if self.state.seq != head.seq:
            text = f"the journal ends with entry {self.state.seq}, and its head says {head.seq}"
            raise CorruptRecord(text, place="journal", session_id=session_id)

    def _log(self, trouble: JidokaError) -> None:
        log.warning("a session cannot reach its journal: %s", trouble, extra={"session_id": self.setup.session_id})
