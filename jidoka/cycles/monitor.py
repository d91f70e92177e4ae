"""The monitor: looks, asks its session's model, and says what came of it, every so often."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from jidoka.actors.exits import text_of
from jidoka.core import checks
from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidMessage, SessionExists, SessionNotFound
from jidoka.core.frozen import thaw
from jidoka.core.json_values import Limits, json_object
from jidoka.cycles.aside import Aside
from jidoka.cycles.asking import Answer, Asker, Failure, within
from jidoka.cycles.book import Book
from jidoka.cycles.formatter import Observation, clean, format_observation
from jidoka.cycles.outcome import closed, cycle_of
from jidoka.cycles.records import Cycle, Ledger, Opened
from jidoka.cycles.retry import Retry
from jidoka.cycles.slots import Missed, Slot, next_slot

if TYPE_CHECKING:
    from jidoka.client import Client

Observe = Callable[[Any], Awaitable[Observation | str]]

# A year. The shortest is what a clock can tell apart.
_LONGEST: Final = 366 * 86_400.0
_SHORTEST: Final = 0.001
# What one cycle may leave to the next.
_FACTS: Final = Limits(depth=32, values=20_000, characters=200_000)


class Monitor:
    """Cycles in one long session: `async for cycle in Monitor(client, "web-monitor", every=60, observe=look).run()`.

    *observe* is given what the cycle before wanted to be remembered (`Observation.facts`, or None), and answers an
    `Observation` or text. A session that does not exist is created, with *llm_config* and *config*.
    *timeout* is that of a look, and of a turn. With *compare*, each question is also asked in a new session, without
    tools.

    All that a monitor knows is in the session's journal: another one, in this process or a later one, goes on where it
    was. One cycle at a time; none is run twice, and slots that passed meanwhile are treated as *missed* says.
    """

    def __init__(
        self,
        client: Client,
        session_id: str,
        *,
        every: float,
        observe: Observe,
        missed: Missed = "skip",
        retry: Retry | None = None,
        timeout: float | None = None,
        compare: bool = False,
        llm_config: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        checks.session_id(session_id)
        self._every = _interval(every)
        if missed not in get_args(Missed):
            raise InvalidMessage("missed is skip, once or catch_up", field="missed")
        self._missed: Missed = missed
        self._client = client
        self._world = client.house.world
        self._observe = observe
        self._retry = retry or Retry()
        self._timeout = checks.timeout(timeout)
        self._birth = {"llm_config": llm_config, "config": config}
        self.session = client.session(session_id)
        self._asker = Asker(self.session, self._world, self._retry, self._timeout)
        self._aside: Aside | None = None
        if compare:
            limit = self._timeout or self._every
            self._aside = Aside(
                client, self.session, partial(Asker, world=self._world, retry=self._retry, timeout=limit)
            )
        self._book = Book(self.session, self._world, self._retry)
        # On the monotonic clock: when the last slot was due.
        self._last: float | None = None
        self._is_running = False

    def __repr__(self) -> str:
        return f"<Monitor of {self.session.id}: every {self._every:g} s, {self._book.ledger.number} cycles>"

    async def ledger(self) -> Ledger:
        """What the session says of its cycles. Raises SessionNotFound."""
        return await Book(self.session, self._world, self._retry).read()

    async def run(self) -> AsyncGenerator[Cycle]:
        """Every cycle, as it ends, for ever. A cycle that was begun and not ended comes first, and is not run twice.

        Leaving early is fine at any time. Raises what asking again cannot help: SessionTerminated, SessionFailed,
        ModelNotFound, and StoreUnavailable when the store has been away for all attempts.
        """
        if self._is_running:
            raise RuntimeError("this monitor is running already")
        self._is_running = True
        try:
            await self._begin()
            is_mine = False
            while True:
                if (opened := self._book.ledger.open) is not None:
                    cycle = await self._finish(opened, resumed=not is_mine)
                    if cycle is not None:
                        yield cycle
                is_mine = await self._open(await self._slot())
        finally:
            self._is_running = False

    async def _begin(self) -> None:
        with suppress(SessionExists):
            if not await self._exists():
                await self._client.create_session(session_id=self.session.id, **_plain(self._birth))
        ledger = await self._book.read()
        if ledger.due is not None:
            # A wall clock that was set back must not keep us waiting for longer than an interval.
            elapsed = max(0.0, (self._world.now() - ledger.due).total_seconds())
            self._last = self._world.monotonic() - elapsed
        if self._aside:
            await self._aside.forget(ledger.number)

    async def _exists(self) -> bool:
        try:
            await self._retry.insist(self._world, self.session.info)
        except SessionNotFound:
            return False
        return True

    # --- when ----------------------------------------------------------------------------------------------------

    async def _slot(self) -> _Due:
        """Wait for the next slot. While the line is stopped there is none."""
        while True:
            slot, at = self._plan()
            await self._world.sleep_until(at)
            if not await self._asker.wait_while_halted():
                break
        self._last = at
        return _Due(self._world.now() + timedelta(seconds=at - self._world.monotonic()), slot.missed)

    def _plan(self) -> tuple[Slot, float]:
        now = self._world.monotonic()
        if self._last is None:
            return Slot(0, 0.0, 0), now
        slot = next_slot(now - self._last, self._every, self._missed)
        return slot, self._last + slot.steps * self._every

    # --- one cycle -----------------------------------------------------------------------------------------------

    async def _open(self, due: _Due) -> bool:
        """Look, and write down what is going to be asked. False if another monitor was quicker."""
        ledger, began = self._book.ledger, self._world.now()
        look = await self._look(ledger, due.missed)
        opened = Opened(
            number=ledger.number + 1,
            due=due.at,
            began_at=began,
            missed=due.missed,
            after=self._book.last_seq,
            **look,
        )
        return await self._book.write(ledger.model_copy(update={"due": due.at, "open": opened}))

    async def _look(self, ledger: Ledger, missed: int) -> dict[str, Any]:
        try:
            found = await self._observed(thaw(ledger.facts))
            unknown = ledger.unknown_in_a_row
            prompt = format_observation(found, number=ledger.number + 1, missed=missed, unknown=unknown)
            facts = None if isinstance(found, str) else found.facts
            return {"prompt": prompt, **json_object({"facts": facts}, field="facts", limits=_FACTS)}
        except Exception as error:
            # Whatever an observation raises: it is this cycle that knows nothing.
            return {"prompt": None, "error": clean(text_of(error), most=checks.MAX_TEXT), "facts": ledger.facts}

    async def _observed(self, facts: Any) -> Observation | str:
        if self._timeout is None:
            return await self._observe(facts)
        return await within(self._world, self._timeout, partial(self._observe, facts))

    async def _finish(self, opened: Opened, *, resumed: bool) -> Cycle | None:
        """Ask, and write down what came of it. None if another monitor has done so."""
        if opened.prompt is None:
            answer = Answer(None, Failure("observation_failed", opened.error or ""), 0, Usage())
        else:
            key = f"{self.session.id}:cycle:{opened.number}"
            answer = await self._asker.ask(opened.prompt, key, after=opened.after, resumed=resumed)
        beside = await self._aside.ask(opened.number, opened.prompt) if self._aside and opened.prompt else None
        now = self._world.now()
        ledger = closed(self._book.ledger, opened, answer, beside, now)
        is_written = await self._book.write(ledger)
        if self._aside:
            await self._aside.forget(opened.number)
        if not is_written:
            return None
        return cycle_of(self.session.id, opened, answer, beside, ledger, resumed=resumed, now=now)


class _Due(NamedTuple):
    """A slot, on the wall clock."""

    at: datetime
    missed: int


def _plain(birth: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    return {name: value if value is None else dict(value) for name, value in birth.items()}


def _interval(value: Any) -> float:
    if type(value) in {int, float} and _SHORTEST <= value <= _LONGEST:
        return float(value)
    raise InvalidMessage("every is a number of seconds, from a thousandth to a year", field="every")
