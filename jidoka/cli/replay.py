"""`jidoka replay`: every dialogue of a file as a session of its own, all at once, actors killed at random."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Final

import anyio

from jidoka.cli.casting import Part, cast, look_up
from jidoka.cli.dialogues import Dialogue, Differences, Turn, compare
from jidoka.cli.killing import Killer
from jidoka.cli.places import patient
from jidoka.cli.report import Report
from jidoka.client import Client
from jidoka.core.errors import JidokaError
from jidoka.core.settings import Settings
from jidoka.core.state import SessionState

if TYPE_CHECKING:
    from jidoka.core.messages import Message

# Thousands talk at once, and each waits for all the others: that is no reason to give up.
PATIENCE: Final = 120.0
# Sessions that are compared at the same time: waking one is a write, and these share commits.
COMPARED_AT_ONCE: Final = 64

Progress = Callable[[int], object]


async def replay(
    dialogues: list[Dialogue],
    *,
    store: str = "memory://",
    kill_rate: float = 0.0,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = lambda _: None,
) -> Report:
    """Run *dialogues* concurrently. After each message an actor of its session is killed with chance *kill_rate*.

    *resume* goes on with what an earlier run of the same dialogues has left in the store.
    """
    report = Report(sessions=len(dialogues), messages=sum(len(dialogue.turns) for dialogue in dialogues))
    parts = cast(dialogues)
    with _few_collections(), _timed(report, "all"):
        settings = Settings(max_sessions=len(dialogues) + 1, call_timeout=PATIENCE)
        async with Client(patient(store, PATIENCE), settings=settings) as client:
            with _timed(report, "looking"):
                report.resumed = await look_up(client.house.store, parts, resume=resume)
            with _timed(report, "creating"):
                await _create(client, parts)
            with _timed(report, "talking"):
                await _talk(client, parts, report, progress, kill_rate=kill_rate, seed=seed)
            with _timed(report, "comparing"):
                await _compare(client, parts, report)
            report.restarts = client.house.restarts
    report.seconds = report.seconds_by_phase.pop("all")
    report.messages_per_second = round(report.sent / max(report.seconds_by_phase["talking"], 0.001), 1)
    return report


async def _create(client: Client, parts: Iterable[Part]) -> None:
    async with anyio.create_task_group() as everybody:
        for part in parts:
            if not part.is_there:
                everybody.start_soon(_begin, client, part)


async def _begin(client: Client, part: Part) -> None:
    await client.create_session(**part.birth())


async def _talk(
    client: Client, parts: Sequence[Part], report: Report, progress: Progress, *, kill_rate: float, seed: int
) -> None:
    async with anyio.create_task_group() as everybody:
        for part in parts:
            # A stream of chance for each session: what is killed does not depend on how tasks are scheduled.
            dice = Random(f"{seed}/{part.number - 1}")
            killer = Killer(client.session(part.session_id), kill_rate, dice, report)
            everybody.start_soon(_say, client, part, killer, progress)


async def _say(client: Client, part: Part, killer: Killer, progress: Progress) -> None:
    session, report = client.session(part.session_id), killer.report
    try:
        for number in range(part.said, len(part.turns)):
            role, text = part.turns[number]
            await session.send_message(role, text, idempotency_key=part.key(number))
            report.sent += 1
            await killer.strike()
    except JidokaError as error:
        report.errors.append(f"dialogue {part.dialogue.id}: {error}")
    progress(len(part.turns))


async def _compare(client: Client, parts: Iterable[Part], report: Report) -> None:
    left = iter(parts)

    async def compare_some() -> None:
        for part in left:
            report.count(await _differences(client, part))

    async with anyio.create_task_group() as group:
        for _ in range(COMPARED_AT_ONCE):
            group.start_soon(compare_some)


async def _differences(client: Client, part: Part) -> Differences:
    """What is in the store is compared; if that is as it should be, what the session says as well."""
    try:
        entries = await client.house.store.read(part.session_id)
        stored = compare(part.turns, _turns(SessionState.of(part.session_id, entries).messages))
        if stored != Differences():
            return stored
        return compare(part.turns, _turns(await client.session(part.session_id).get_history()))
    except JidokaError:
        return Differences(lost=len(part.turns))


def _turns(messages: Iterable[Message]) -> list[Turn]:
    return [(message.role, message.content) for message in messages]


@contextmanager
def _timed(report: Report, phase: str) -> Generator[None]:
    began = time.perf_counter()
    yield
    report.seconds_by_phase[phase] = round(time.perf_counter() - began, 3)


@contextmanager
def _few_collections() -> Generator[None]:
    """Nothing that a replay makes is garbage before its end: look for garbage less often."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
