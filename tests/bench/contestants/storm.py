"""A crash storm: some sessions crash at every message, and the others should not notice.

A call takes from when it was due to when it was answered, so waiting for the loop counts, and so does the timer that
wakes the caller, which is good to about a millisecond. What it takes from when it was sent is told beside it.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from jidoka.client import Client
from jidoka.session import Session
from tests.bench.contestants.sessions import CONTENT, FOREVER, context_manager, session_with
from tests.bench.measures import Figures, in_ms

CALLERS = 50
# Seconds between two calls of one caller, and between two messages to a session that crashes.
CALL_EVERY = 0.02
CRASH_EVERY = 0.1
MESSAGES = 20
WRITE_EVERY = 20


class Calm:
    """The callers of the sessions that are well."""

    def __init__(self, sessions: list[Session]) -> None:
        self._sessions = sessions
        self.errors = 0
        self.took: list[float] = []
        self.took_since_sent: list[float] = []

    async def call_until(self, end: float, number: int) -> None:
        due = perf_counter() + CALL_EVERY * number / CALLERS
        turn = number
        while due < end:
            await asyncio.sleep(max(0.0, due - perf_counter()))
            turn += CALLERS
            sent = perf_counter()
            await self._call(self._sessions[turn % len(self._sessions)], turn // CALLERS)
            now = perf_counter()
            self.took.append(now - due)
            self.took_since_sent.append(now - sent)
            due = max(due + CALL_EVERY, perf_counter() - 1.0)

    async def _call(self, session: Session, turn: int) -> None:
        try:
            if turn % WRITE_EVERY == 0:
                await session.send_message("user", CONTENT)
            elif not await session.get_history(limit=10):
                self.errors += 1
        except Exception:
            self.errors += 1


class Storm:
    """The sessions that crash, each at every message."""

    def __init__(self) -> None:
        self.crashes = 0

    async def crash_until(self, end: float, ref: Any, share: float) -> None:
        due = perf_counter() + CRASH_EVERY * share
        while due < end:
            await asyncio.sleep(max(0.0, due - perf_counter()))
            ref.tell("?")
            self.crashes += 1
            due = max(due + CRASH_EVERY, perf_counter())


async def observe(sessions: list[Session], crashing: list[Any], seconds: float) -> tuple[Calm, Storm]:
    """Call the sessions that are well for *seconds*, while *crashing* crash."""
    calm, storm = Calm(sessions), Storm()
    end = perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(calm.call_until(end, number))
        for number, ref in enumerate(crashing):
            group.create_task(storm.crash_until(end, ref, number / len(crashing)))
    return calm, storm


async def storm(sessions: int, crashing: int, seconds: int) -> Figures:
    async with Client() as client:
        well = [await session_with(client, 1) for _ in range(sessions - crashing)]
        ill = [await session_with(client, MESSAGES, FOREVER) for _ in range(crashing)]
        refs = [await context_manager(session) for session in ill]
        before, _ = await observe(well, [], max(1.0, seconds / 4))
        restarts = client.house.restarts
        during, crashes = await observe(well, refs, seconds)
        lost = 0
        for session in ill:
            lost += len(await session.get_history()) != MESSAGES
        baseline, figures = in_ms(before.took), in_ms(during.took)
        sent_before, sent = in_ms(before.took_since_sent), in_ms(during.took_since_sent)
        if client.house.restarts - restarts != crashes.crashes:
            raise RuntimeError(f"{crashes.crashes} crashes, but {client.house.restarts - restarts} restarts")
        return {
            **figures,
            "errors": during.errors + lost,
            "p50_ratio": figures["p50"] / baseline["p50"],
            "p99_ratio": figures["p99"] / baseline["p99"],
            "sent_p50_ratio": sent["p50"] / sent_before["p50"],
            "sent_p99_ratio": sent["p99"] / sent_before["p99"],
            "baseline_p99": baseline["p99"],
            "crashes": crashes.crashes / seconds,
            "calls": len(during.took) / seconds,
        }


WORKS = {"storm": storm}
