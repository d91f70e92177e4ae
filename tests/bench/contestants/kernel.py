"""jidoka.actors without sessions: calls, tells, restarts, and small trees."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any, ClassVar

from jidoka.actors import Actor, ActorRestarted, ActorSystem, ChildSpec, Supervisor
from tests.bench.measures import Figures, Pace, kib_each, resident

FOREVER: dict[str, Any] = {"max_restarts": 10**9, "within": 1.0}
BATCH = 50_000


class Echo(Actor):
    """Answers what it is told. Counts its lives."""

    lives: ClassVar[int] = 0

    def on_start(self) -> None:
        Echo.lives += 1

    def on_receive(self, message: Any) -> Any:
        return message


async def calls_one(count: int) -> Figures:
    async with ActorSystem() as system:
        ref = await system.start(Echo)
        pace = Pace(count)
        for size in pace:
            for number in range(size):
                await ref.call(number)
        return {"rate": pace.rate}


async def calls_many(actors: int, each: int) -> Figures:
    async with ActorSystem() as system:
        refs = [await system.start(Echo) for _ in range(actors)]

        async def caller(ref: Any) -> None:
            for number in range(each):
                await ref.call(number)

        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for ref in refs:
                group.create_task(caller(ref))
        return {"rate": actors * each / (perf_counter() - began)}


async def tells(count: int) -> Figures:
    async with ActorSystem() as system:
        ref = await system.start(Echo)
        pace = Pace(count, slices=max(1, count // BATCH))
        for size in pace:
            for number in range(size):
                ref.tell(number)
            await ref.call(None)
        return {"rate": pace.rate}


async def restarts(actors: int, rounds: int) -> Figures:
    """Two children to a supervisor, as in a session; all of them are killed, round by round."""
    async with ActorSystem() as system:
        pair = [ChildSpec("context_manager", Echo), ChildSpec("orchestrator", Echo)]
        trees = [await system.supervise(pair, **FOREVER) for _ in range(actors // 2)]
        refs = [child.ref for tree in trees for child in await tree.which_children()]
        lives = Echo.lives
        pace = Pace(rounds * len(refs), slices=rounds)
        for _ in pace:
            for ref in refs:
                ref.kill()
            try:
                await refs[-1].call(None)
            except ActorRestarted:
                await refs[-1].call(None)
        if Echo.lives - lives != pace.done:
            raise RuntimeError(f"{pace.done} kills, but {Echo.lives - lives} restarts")
        return {"rate": pace.rate}


async def sessions(sessions: int) -> Figures:
    """A supervisor with two children each, under one dynamic supervisor."""
    async with ActorSystem() as system:
        children = [ChildSpec("context_manager", Echo), ChildSpec("orchestrator", Echo)]
        root = await system.supervise_dynamic(ChildSpec("session", Supervisor, (children,)))
        before = resident()
        pace = Pace(sessions, seconds=60)
        for size in pace:
            for _ in range(size):
                await root.start_child()
        memory = kib_each(before, pace.done)
        began = perf_counter()
        await root.stop(timeout=60)
        seconds = perf_counter() - began
    return {"started": pace.rate, "kib": memory, "stop": seconds * 100_000 / pace.done}


WORKS = {
    "calls_one": calls_one,
    "calls_many": calls_many,
    "tells": tells,
    "restarts": restarts,
    "sessions": sessions,
}
