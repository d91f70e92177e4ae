"""`jidoka replay`: every dialogue of a file as a session of its own, all at once, actors killed at random."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import anyio

from jidoka.cli.casting import Part, cast, look_up
from jidoka.cli.dialogues import Dialogue, Differences, Turn, compare
from jidoka.cli.killing import Killer
from jidoka.cli.places import patient
from jidoka.cli.report import Report
from jidoka.cli.trouble import Scene
from jidoka.cli.turning import Turning, without_tools
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
    turns: bool = False,
    chaos: float = 0.0,
    tools: bool = False,
    progress: Progress = lambda _: None,
) -> Report:
    """Run *dialogues* concurrently. After each message an actor of its session is killed with chance *kill_rate*.

    *resume* goes on with what an earlier run of the same dialogues has left in the store. With *turns* each question
    with its answer is a turn of a model that knows it; with *chaos* a turn goes wrong, by that chance, and is asked for
    again; with *tools* the model uses some. Then actors are killed within turns, too.
    """
    report = Report(sessions=len(dialogues), messages=sum(len(dialogue.turns) for dialogue in dialogues))
    parts = cast(dialogues)
    turning = Turning(parts, report, chaos, has_tools=tools) if turns else None
    with _few_collections(), _timed(report, "all"):
        settings = Settings(max_sessions=len(dialogues) + 1, call_timeout=PATIENCE)
        options = turning.options() if turning is not None else {}
        async with Client(patient(store, PATIENCE), settings=settings, **options) as client:
            with _timed(report, "looking"):
                report.resumed = await look_up(client.house.store, parts, resume=resume)
                if turning is not None:
                    await turning.look_up(client)
            with _timed(report, "creating"):
                await _create(client, parts, turning)
            with _timed(report, "talking"):
                await _talk(client, parts, report, progress, turning, kill_rate=kill_rate, seed=seed)
            with _timed(report, "comparing"):
                await _compare(client, parts, report, turning)
            report.restarts = client.house.restarts
    report.seconds = report.seconds_by_phase.pop("all")
    report.messages_per_second = round(report.sent / max(report.seconds_by_phase["talking"], 0.001), 1)
    return report


async def _create(client: Client, parts: Iterable[Part], turning: Turning | None) -> None:
    async with anyio.create_task_group() as everybody:
        for part in parts:
            if not part.is_there:
                born = part.birth() if turning is None else turning.birth(part)
                everybody.start_soon(_begin, client, born)


async def _begin(client: Client, born: dict[str, Any]) -> None:
    await client.create_session(**born)


async def _talk(
    client: Client,
    parts: Sequence[Part],
    report: Report,
    progress: Progress,
    turning: Turning | None,
    *,
    kill_rate: float,
    seed: int,
) -> None:
    async with anyio.create_task_group() as everybody:
        for part in parts:
            # A stream of chance for each session: what is killed does not depend on how tasks are scheduled.
            dice = Random(f"{seed}/{part.number - 1}")
            killer = Killer(client.session(part.session_id), kill_rate, dice, report)
            if turning is None:
                play = partial(_say, client, part, killer)
            else:
                play = partial(turning.play, client, Scene(part, dice, killer))
            everybody.start_soon(_play, part, play, report, progress)


async def _play(part: Part, play: Callable[[], Awaitable[None]], report: Report, progress: Progress) -> None:
    try:
        await play()
    except JidokaError as error:
        report.errors.append(f"dialogue {part.dialogue.id}: {error}")
    progress(len(part.turns))


async def _say(client: Client, part: Part, killer: Killer) -> None:
    session = client.session(part.session_id)
    for number in range(part.said, len(part.turns)):
        role, text = part.turns[number]
        await session.send_message(role, text, idempotency_key=part.key(number))
        killer.report.sent += 1
        await killer.strike()


async def _compare(client: Client, parts: Iterable[Part], report: Report, turning: Turning | None) -> None:
    left = iter(parts)

    async def compare_some() -> None:
        for part in left:
            report.count(await _differences(client, part, turning))

    async with anyio.create_task_group() as group:
        for _ in range(COMPARED_AT_ONCE):
            group.start_soon(compare_some)


async def _differences(client: Client, part: Part, turning: Turning | None) -> Differences:
    """What is in the store is compared; if that is as it should be, what the session says as well."""
    try:
        entries = await client.house.store.read(part.session_id)
        if turning is not None:
            turning.look_at(entries)
        stored = compare(part.turns, _turns(SessionState.of(part.session_id, entries).messages))
        if stored != Differences():
            return stored
        return compare(part.turns, _turns(await client.session(part.session_id).get_history()))
    except JidokaError:
        return Differences(lost=len(part.turns))


def _turns(messages: Iterable[Message]) -> list[Turn]:
    return [(message.role, message.content) for message in without_tools(messages)]


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
