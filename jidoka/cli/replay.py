"""`jidoka replay`: every dialogue of a file as a session of its own, all at once, actors killed at random."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import anyio

from jidoka.cli.dialogues import Dialogue, Differences, Turn, compare
from jidoka.client import Client
from jidoka.core.errors import JidokaError
from jidoka.core.settings import Settings
from jidoka.core.state import SessionState

if TYPE_CHECKING:
    from jidoka.core.messages import Message
    from jidoka.session import Session

# No session of a replay may fail because it was killed too often.
PATIENT = {"max_restarts": 1_000_000, "within": 60.0}
VICTIMS = ("context_manager", "orchestrator", "supervisor")


@dataclass(slots=True)
class Report:
    """What `--json` prints."""

    sessions: int = 0
    messages: int = 0
    kills: int = 0
    restarts: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    mixed: int = 0
    messages_per_second: float = 0.0
    seconds: float = 0.0
    kills_by_victim: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    errors: list[str] = field(default_factory=list[str])
    """Why dialogues broke off. What they did not say counts as lost."""

    @property
    def is_clean(self) -> bool:
        """Whether every message came out where it belongs."""
        return not (self.lost or self.duplicated or self.out_of_order or self.mixed or self.errors)

    def count(self, found: Differences) -> None:
        """Add one session's differences."""
        self.lost += found.lost
        self.duplicated += found.duplicated
        self.out_of_order += found.out_of_order
        self.mixed += found.mixed

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return asdict(self)


async def replay(
    dialogues: list[Dialogue],
    *,
    store: str = "memory://",
    kill_rate: float = 0.0,
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> Report:
    """Run *dialogues* concurrently. After each message an actor of its session is killed with chance *kill_rate*."""
    report = Report(sessions=len(dialogues), messages=sum(len(dialogue.turns) for dialogue in dialogues))
    settings = Settings(max_sessions=len(dialogues) + 1)
    began = time.perf_counter()
    with _few_collections():
        async with Client(store, settings=settings) as client:
            sessions = [await client.create_session(metadata={"dialogue": d.id}, config=PATIENT) for d in dialogues]
            talking = time.perf_counter()
            async with anyio.create_task_group() as everybody:
                for number, (dialogue, session) in enumerate(zip(dialogues, sessions, strict=True)):
                    # A stream of chance for each session: what is killed does not depend on how tasks are scheduled.
                    killer = Killer(session, kill_rate, Random(f"{seed}/{number}"), report)
                    everybody.start_soon(_talk, dialogue, session, killer, progress)
            report.messages_per_second = round(report.messages / (time.perf_counter() - talking), 1)
            for dialogue, session in zip(dialogues, sessions, strict=True):
                report.count(await _differences(client, dialogue, session))
            report.restarts = client.house.restarts
    report.seconds = round(time.perf_counter() - began, 3)
    return report


async def _talk(dialogue: Dialogue, session: Session, killer: Killer, progress: Callable[[int], object]) -> None:
    try:
        for role, text in dialogue.turns:
            await session.send_message(role, text)
            await killer.strike()
    except JidokaError as error:
        killer.report.errors.append(f"dialogue {dialogue.id}: {error}")
    progress(len(dialogue.turns))


async def _differences(client: Client, dialogue: Dialogue, session: Session) -> Differences:
    """What is in the store is compared; if that is as it should be, what the session says as well."""
    try:
        entries = await client.house.store.read(session.id)
        stored = compare(dialogue.turns, _turns(SessionState.of(session.id, entries).messages))
        if stored != Differences():
            return stored
        return compare(dialogue.turns, _turns(await session.get_history()))
    except JidokaError:
        return Differences(lost=len(dialogue.turns))


def _turns(messages: Iterable[Message]) -> list[Turn]:
    return [(message.role, message.content) for message in messages]


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


@contextmanager
def _few_collections() -> Generator[None]:
    """Nothing that a replay makes is garbage before its end: look for garbage less often."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
