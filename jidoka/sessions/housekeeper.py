"""The housekeeper: looks after sessions that have no actors here. What was left behind is finished, what is over goes.

It reads the store page by page and asks the manager to act, so that nothing is done to a session beside anything
else. It holds nothing: killed, it begins again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio.lowlevel

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.core.care import WORKING, Care, care_for
from jidoka.core.errors import Fenced, InvalidMessage, JidokaError, StoreUnavailable
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from datetime import datetime

    from jidoka.actors.request import Request
    from jidoka.core.heads import Head
    from jidoka.sessions.house import House

log = logging.getLogger("jidoka.sessions")

PAGE: Final = 100
MOST: Final = 1_000
"""Sessions that one round looks at, of those that are still there and of those that have had their time."""


class Housekeeper(Actor):
    """One round when it comes up, then one every `housekeeping_every` seconds."""

    mailbox_capacity: ClassVar[int] = 1

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        # Where the last round stopped among the sessions that work.
        self._reached: int | None = None
        # Set during the first walk through all of them: whose turn is to be run again?
        self._opened_at: datetime | None = house.world.now()

    def on_start(self) -> None:
        self.start_soon(self._keep_house)

    def on_receive(self, message: Any) -> Any:
        raise InvalidMessage(f"a housekeeper does not know {type(message).__name__}")

    async def _keep_house(self) -> None:
        world = self.house.world
        while True:
            for part in (self._finish_terminations, self._look_after, self._retire):
                await self._try(part)
            await world.sleep_until(world.monotonic() + self.house.housekeeping_every)

    async def _try(self, part: Callable[[], Awaitable[None]], session_id: str | None = None) -> None:
        """Whatever goes wrong is not the end of it: the next round tries again."""
        try:
            await part()
        except (Fenced, ActorDead, ActorRestarted):
            # Somebody else was first, or the manager, or everything, is going down.
            return
        except JidokaError as error:
            if session_id is not None and isinstance(error, StoreUnavailable):
                # It would be the same with all the others.
                raise
            log.warning("housekeeping goes on later: %s", error, extra={"session_id": session_id})
        except Exception:
            log.exception("housekeeping goes on later", extra={"session_id": session_id})

    # --- its parts -------------------------------------------------------------------------------------------

    async def _finish_terminations(self) -> None:
        if self.house.manager is not None:
            self.house.manager.tell(ask.FinishTerminations())

    async def _look_after(self) -> None:
        """Sessions that work, says the journal, and whose process is gone."""
        if self._opened_at is not None:
            await self._walk(most=None)
            self._opened_at = None
        else:
            await self._walk(most=MOST)

    async def _walk(self, *, most: int | None) -> None:
        seen = 0
        while most is None or seen < most:
            found = await self.house.store.heads(status=WORKING, after=self._reached, limit=PAGE)
            for arrival, head in found:
                await self._try(lambda head=head: self._look_at(head), head.session_id)
                self._reached = arrival
            seen += len(found)
            if len(found) < PAGE:
                # All the way round.
                self._reached = None
                return
            await anyio.lowlevel.checkpoint()

    async def _look_at(self, head: Head) -> None:
        house, session_id = self.house, head.session_id
        if session_id in house.registry:
            return
        config = house.defaults.with_options(head.config)
        now, grace = house.world.now(), house.stale_grace
        match care_for(head, config, now=now, grace=grace, opened_at=self._opened_at):
            case Care.SUSPEND:
                await self._ask(ask.SuspendStale(session_id, head.epoch))
            case Care.RESUME:
                await self._ask(ask.Activate(session_id, seen_epoch=head.epoch))
            case Care.LEAVE:
                pass

    async def _retire(self) -> None:
        """Sessions that rest or have ended, and have had their `max_age`."""
        async for head in self._expired(self.house.world.now()):
            await self._try(lambda head=head: self._ask(ask.Retire(head.session_id, head.epoch)), head.session_id)

    async def _expired(self, now: datetime) -> AsyncIterator[Head]:
        after: int | None = None
        for _ in range(MOST // PAGE):
            found = await self.house.store.heads(expired_before=now, after=after, limit=PAGE)
            for arrival, head in found:
                after = arrival
                yield head
            if len(found) < PAGE:
                return
            await anyio.lowlevel.checkpoint()

    async def _ask(self, request: Request[Any]) -> None:
        manager = self.house.manager
        if manager is not None:
            await manager.call(request, timeout=self.house.call_timeout)
