"""Plain asyncio, the way one would write it by hand: a task and a queue per actor."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from tests.bench.measures import Figures, Pace, in_ms, kib_each, resident

BATCH = 50_000
CONTENT = "What a person says to a model, in about as many words as people usually take for it."


class Crash(Exception):
    """What ends an actor that is told to."""


class TaskActor:
    """A task that reads a queue. It is started again when it ends with an exception."""

    lives = 0

    def __init__(self, journal: list[dict[str, Any]] | None = None) -> None:
        self.queue: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self.journal = journal
        self._loop = asyncio.get_running_loop()
        self._is_stopping = False
        self.start()

    def start(self) -> None:
        self.task = self._loop.create_task(self._run())
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._is_stopping and (task.cancelled() or task.exception() is not None):
            self.start()

    async def _run(self) -> None:
        TaskActor.lives += 1
        history = [] if self.journal is None else [dict(entry) for entry in self.journal]
        queue = self.queue
        while True:
            message, answer = await queue.get()
            if message is Crash:
                raise Crash
            if type(message) is str:
                entry = {"seq": len(history) + 1, "role": "user", "content": message}
                history.append(entry)
                if self.journal is not None:
                    self.journal.append(entry)
            elif type(message) is slice:
                message = history[message]
            if answer is not None:
                answer.set_result(message)

    def tell(self, message: Any) -> None:
        self.queue.put_nowait((message, None))

    async def call(self, message: Any) -> Any:
        answer = self._loop.create_future()
        self.queue.put_nowait((message, answer))
        return await answer

    async def stop(self) -> None:
        self._is_stopping = True
        self.task.cancel()
        await asyncio.wait([self.task])


async def calls_one(count: int) -> Figures:
    actor = TaskActor()
    pace = Pace(count)
    for size in pace:
        for number in range(size):
            await actor.call(number)
    await actor.stop()
    return {"rate": pace.rate}


async def calls_many(actors: int, each: int) -> Figures:
    everybody = [TaskActor() for _ in range(actors)]

    async def caller(actor: TaskActor) -> None:
        for number in range(each):
            await actor.call(number)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for actor in everybody:
            group.create_task(caller(actor))
    rate = actors * each / (perf_counter() - began)
    await stop_all(everybody)
    return {"rate": rate}


async def stop_all(everybody: list[TaskActor]) -> None:
    for actor in everybody:
        actor._is_stopping = True
        actor.task.cancel()
    await asyncio.wait([actor.task for actor in everybody])


async def tells(count: int) -> Figures:
    actor = TaskActor()
    pace = Pace(count, slices=max(1, count // BATCH))
    for size in pace:
        for number in range(size):
            actor.tell(number)
        await actor.call(None)
    await actor.stop()
    return {"rate": pace.rate}


async def restarts(actors: int, rounds: int) -> Figures:
    everybody = [TaskActor() for _ in range(actors)]
    await everybody[-1].call(None)
    lives = TaskActor.lives
    pace = Pace(rounds * actors, slices=rounds)
    for _ in pace:
        for actor in everybody:
            actor.task.cancel()
        await everybody[-1].call(None)
    if TaskActor.lives - lives != pace.done:
        raise RuntimeError(f"{pace.done} cancelled, but {TaskActor.lives - lives} started again")
    await stop_all(everybody)
    return {"rate": pace.rate}


async def sessions(sessions: int) -> Figures:
    """Three tasks each."""
    before = resident()
    everybody: list[TaskActor] = []
    pace = Pace(sessions, seconds=60)
    for size in pace:
        for _ in range(size):
            everybody += [TaskActor(), TaskActor(), TaskActor()]
            await asyncio.sleep(0)
    memory = kib_each(before, pace.done)
    began = perf_counter()
    await stop_all(everybody)
    return {"started": pace.rate, "kib": memory, "stop": (perf_counter() - began) * 100_000 / pace.done}


async def deliveries(subscribers: int, events: int) -> Figures:
    """A queue and a task for each subscriber."""
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(subscribers)]

    async def listen(queue: asyncio.Queue[Any]) -> None:
        while True:
            await queue.get()
            queue.task_done()

    pace = Pace(events, slices=max(1, events // 100))
    async with asyncio.TaskGroup() as group:
        listeners = [group.create_task(listen(queue)) for queue in queues]
        for size in pace:
            for number in range(size):
                for queue in queues:
                    queue.put_nowait(number)
            for queue in queues:
                await queue.join()
        for listener in listeners:
            listener.cancel()
    return {"rate": pace.rate * subscribers}


async def recovery(sessions: int, crashes: int, messages: int) -> Figures:
    """The history is copied from a list that survives."""
    everybody = [TaskActor([]) for _ in range(sessions)]
    for actor in everybody:
        for _ in range(messages):
            await actor.call(CONTENT)
    took: list[float] = []
    for _ in Pace(crashes * sessions, slices=crashes, seconds=30):
        for actor in everybody:
            began = perf_counter()
            actor.tell(Crash)
            history = await actor.call(slice(None))
            took.append(perf_counter() - began)
            if len(history) != messages:
                raise RuntimeError(f"{len(history)} of {messages} messages came back")
    await stop_all(everybody)
    return in_ms(took)


async def append(messages: int) -> Figures:
    actor = TaskActor([])
    took: list[float] = []
    pace = Pace(messages, seconds=30)
    for size in pace:
        for _ in range(size):
            began = perf_counter()
            await actor.call(CONTENT)
            took.append(perf_counter() - began)
    await actor.stop()
    tenth = max(1, len(took) // 10)
    return {"rate": pace.rate, "growth": sum(took[-tenth:]) / sum(took[:tenth]), **in_ms(took)}


async def history(messages: int, last: int, reads: int) -> Figures:
    actor = TaskActor([])
    for _ in range(messages):
        await actor.call(CONTENT)
    took: list[float] = []
    for size in Pace(reads):
        for _ in range(size):
            began = perf_counter()
            found = await actor.call(slice(-last, None))
            took.append(perf_counter() - began)
            if len(found) != last:
                raise RuntimeError(f"{len(found)} of {last} messages came back")
    await actor.stop()
    return in_ms(took)


WORKS = {
    "calls_one": calls_one,
    "calls_many": calls_many,
    "tells": tells,
    "restarts": restarts,
    "sessions": sessions,
    "deliveries": deliveries,
    "recovery": recovery,
    "append": append,
    "history": history,
}
