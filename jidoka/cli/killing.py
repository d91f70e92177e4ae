"""Kills actors of a replay's sessions at random."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jidoka.cli.report import Report
    from jidoka.session import Session

VICTIMS: Final = ("context_manager", "orchestrator", "supervisor")


class Killer:
    """Kills actors of one session, by its own dice."""

    def __init__(self, session: Session, rate: float, dice: Random, report: Report) -> None:
        self._session = session
        self._rate = rate
        self._dice = dice
        self.report = report

    async def strike(self) -> None:
        """Perhaps kill somebody."""
        if self._dice.random() >= self._rate:
            return
        victim = self._dice.choice(VICTIMS)
        supervisor = await self._session.get_ref()
        if victim == "supervisor":
            supervisor.kill()
        else:
            for child in await self._session.which_children():
                if child.id == victim:
                    child.ref.kill()
        self.report.kills += 1
        self.report.kills_by_victim[victim] += 1
