"""autogen-core: routed agents on its single-threaded runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)

from tests.bench.measures import Figures, Pace, kib_each, resident

KINDS = ("supervisor", "context_manager", "orchestrator")


@dataclass
class Number:
    """What is sent."""

    value: int


class Echo(RoutedAgent):
    """Answers what it is sent, and counts."""

    heard: ClassVar[int] = 0
    awaited: ClassVar[int] = 0
    has_heard: ClassVar[asyncio.Event] = asyncio.Event()

    def __init__(self) -> None:
        super().__init__("echo")

    @message_handler
    async def answer(self, message: Number, ctx: MessageContext) -> Number:
        Echo.heard += 1
        if Echo.heard == Echo.awaited:
            Echo.has_heard.set()
        return message


@asynccontextmanager
async def running(*kinds: str) -> AsyncIterator[SingleThreadedAgentRuntime]:
    """A runtime that knows *kinds* of agents."""
    runtime = SingleThreadedAgentRuntime()
    for kind in kinds:
        await Echo.register(runtime, kind, Echo)
    runtime.start()
    try:
        yield runtime
    finally:
        await runtime.close()


async def calls_one(count: int) -> Figures:
    async with running("echo") as runtime:
        agent = AgentId("echo", "one")
        pace = Pace(count)
        for size in pace:
            for number in range(size):
                await runtime.send_message(Number(number), agent)
        return {"rate": pace.rate}


async def calls_many(actors: int, each: int) -> Figures:
    async with running("echo") as runtime:

        async def caller(agent: AgentId) -> None:
            for number in range(each):
                await runtime.send_message(Number(number), agent)

        agents = [AgentId("echo", str(number)) for number in range(actors)]
        for agent in agents:
            await runtime.send_message(Number(0), agent)
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                group.create_task(caller(agent))
        return {"rate": actors * each / (perf_counter() - began)}


async def _published(runtime: SingleThreadedAgentRuntime, count: int, listeners: int, slices: int) -> Pace:
    """Publish *count* messages, and wait at the end of each slice until all of them were heard."""
    topic = TopicId("topic", "one")
    pace = Pace(count, slices=slices)
    for size in pace:
        Echo.has_heard.clear()
        Echo.awaited = Echo.heard + size * listeners
        for number in range(size):
            await runtime.publish_message(Number(number), topic)
        await Echo.has_heard.wait()
    return pace


async def tells(count: int) -> Figures:
    """Its way to send without waiting is to publish."""
    async with running("echo") as runtime:
        await runtime.add_subscription(TypeSubscription("topic", "echo"))
        return {"rate": (await _published(runtime, count, 1, slices=20)).rate}


async def deliveries(subscribers: int, events: int) -> Figures:
    """A subscription belongs to a kind of agents: a hundred kinds."""
    kinds = [f"echo{number}" for number in range(subscribers)]
    async with running(*kinds) as runtime:
        for kind in kinds:
            await runtime.add_subscription(TypeSubscription("topic", kind))
        pace = await _published(runtime, events, subscribers, slices=max(1, events // 10))
        return {"rate": pace.rate * subscribers}


async def sessions(sessions: int) -> Figures:
    """Three agents each. Nobody supervises them."""
    runtime: Any
    async with running(*KINDS) as runtime:
        before = resident()
        pace = Pace(sessions, seconds=60)
        number = 0
        for size in pace:
            for _ in range(size):
                number += 1
                for kind in KINDS:
                    await runtime.try_get_underlying_agent_instance(AgentId(kind, f"session{number}"))
        memory = kib_each(before, pace.done)
        began = perf_counter()
    return {"started": pace.rate, "kib": memory, "stop": (perf_counter() - began) * 100_000 / pace.done}


WORKS = {
    "calls_one": calls_one,
    "calls_many": calls_many,
    "tells": tells,
    "sessions": sessions,
    "deliveries": deliveries,
}
