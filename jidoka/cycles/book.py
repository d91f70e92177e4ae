"""The ledger of a session's cycles, as this process knows it, and the way to change it: one writer at a time wins."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jidoka.core.errors import VersionConflict
from jidoka.cycles.records import Ledger, ledger_of, patch_of

if TYPE_CHECKING:
    from jidoka.core.messages import SessionInfo
    from jidoka.cycles.retry import Retry
    from jidoka.ports.world import World
    from jidoka.session import Session


class Book:
    """Reads and writes the ledger, which is part of the session's metadata and so of its journal."""

    def __init__(self, session: Session, world: World, retry: Retry) -> None:
        self._session = session
        self._world = world
        self._retry = retry
        self._me = world.new_id()
        self._version = 0
        self.last_seq = 0
        """The journal's last entry when it was last looked at."""
        self.ledger = Ledger()

    async def read(self) -> Ledger:
        """What the session says. A session that has none yet counts on from the turns it has completed."""
        info = await self._retry.insist(self._world, self._session.info)
        if ledger_of(info) is None:
            stats = await self._retry.insist(self._world, self._session.context_stats)
            self._take(info, Ledger(number=stats.cycle_count))
        else:
            self._take(info)
        return self.ledger

    def _take(self, info: SessionInfo, new: Ledger | None = None) -> None:
        self._version, self.last_seq = info.version, info.last_seq
        self.ledger = ledger_of(info) or new or Ledger()

    async def write(self, ledger: Ledger) -> bool:
        """Put *ledger* in the place of the present one. False if another has changed it: then look at it again.

        Other changes of the metadata do not matter.
        """
        before, ledger = self.ledger, ledger.model_copy(update={"by": self._me})
        while True:
            update = partial(self._session.update, metadata=patch_of(ledger), expected_version=self._version)
            try:
                self._take(await self._retry.insist(self._world, update))
                return True
            except VersionConflict:
                info = await self._retry.insist(self._world, self._session.info)
            self._take(info, before)
            if self.ledger != before:
                # Perhaps it was us, and nobody heard the answer.
                return self.ledger == ledger
