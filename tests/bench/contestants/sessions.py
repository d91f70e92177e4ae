"""jidoka as a program uses it: sessions of a client, on the memory store."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.session import Session
from tests.bench.measures import Figures, Pace, in_ms, kib_each, resident

CONTENT = "What a person says to a model, in about as many words as people usually take for it."
# Who creates sessions at the same time. A single caller waits for a turn of the loop after each one.
CALLERS = 100
FOREVER = {"max_restarts": 1_000_000, "within": 1.0}


async def create(client: Client, count: int) -> None:
    """One caller: one session after the other."""
    for _ in range(count):
        await client.create_session()


async def sessions(sessions: int) -> Figures:
    client = Client()
    await client.__aenter__()
    try:
        before = resident()
        pace = Pace(sessions, seconds=60)
        for size in pace:
            async with anyio.create_task_group() as callers:
                for number in range(CALLERS):
                    callers.start_soon(create, client, len(range(number, size, CALLERS)))
        memory = kib_each(before, pace.done)
    finally:
        began = perf_counter()
        await client.__aexit__(None, None, None)
        seconds = perf_counter() - began
    return {"started": pace.rate, "kib": memory, "stop": seconds * 100_000 / pace.done}


async def session_with(client: Client, messages: int, config: dict[str, Any] | None = None) -> Session:
    """A session that has a history."""
    session = await client.create_session(config=config)
    for number in range(messages):
        await session.send_message("user" if number % 2 == 0 else "assistant", CONTENT)
    return session


async def context_manager(session: Session) -> Any:
    """The ref of the actor that keeps the history. It crashes at what it does not know."""
    return (await session.which_children())[0].ref


async def recovery(sessions: int, crashes: int, messages: int, store: str = "memory://") -> Figures:
    """From the message that crashes a context manager to the first answer, which is its history."""
    async with Client(store) as client:
        all_sessions = [await session_with(client, messages, FOREVER) for _ in range(sessions)]
        refs = [await context_manager(session) for session in all_sessions]
        took: list[float] = []
        restarts = client.house.restarts
        pace = Pace(crashes * sessions, slices=crashes, seconds=30)
        for _ in pace:
            for session, ref in zip(all_sessions, refs, strict=True):
                began = perf_counter()
                ref.tell("?")
                history = await session.get_history()
                took.append(perf_counter() - began)
                if len(history) != messages:
                    raise RuntimeError(f"{len(history)} of {messages} messages came back")
        if client.house.restarts - restarts != pace.done:
            raise RuntimeError(f"{pace.done} crashes, but {client.house.restarts - restarts} restarts")
        return in_ms(took)


async def append(messages: int) -> Figures:
    """One caller, one session; each message is committed when its call returns."""
    async with Client() as client:
        session = await client.create_session()
        took: list[float] = []
        pace = Pace(messages, seconds=30)
        for size in pace:
            for _ in range(size):
                began = perf_counter()
                await session.send_message("user", CONTENT)
                took.append(perf_counter() - began)
        tenth = max(1, len(took) // 10)
        growth = sum(took[-tenth:]) / sum(took[:tenth])
        return {"rate": pace.rate, "growth": growth, **in_ms(took)}


async def history(messages: int, last: int, reads: int) -> Figures:
    """The newest of a long history."""
    async with Client() as client:
        session = await session_with(client, messages)
        took: list[float] = []
        for size in Pace(reads):
            for _ in range(size):
                began = perf_counter()
                found = await session.get_history(limit=last)
                took.append(perf_counter() - began)
                if len(found) != last:
                    raise RuntimeError(f"{len(found)} of {last} messages came back")
        return in_ms(took)


WORKS = {"sessions": sessions, "recovery": recovery, "append": append, "history": history}
