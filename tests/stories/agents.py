"""Sessions whose model is an agent process, and how to see which processes there are."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.core.events import Event
from jidoka.ports.world import SystemWorld
from jidoka.session import Session
from jidoka.testing.events import EventLog
from tests.stories.kit import PATIENCE, a_client
from tests.stubs.agents import command, official

ONCE = (
    "upper",
    "hang",
    "stubborn",
    "family",
    "flood",
    "fail",
    "garbage",
    "exit",
    "die",
    "environment",
    "deaf",
    "silent",
)
AGENTS = {
    **{name: command("once", name, env={"MY_KEY": "sk-canary-123"}) for name in ONCE},
    "leaves": command("once", "family", "leaves"),
    "lines": command("lines", lines=True),
    "lines-exit": command("lines", "exits", lines=True),
    "acp": command("acp_small"),
    "acp-exit": command("acp_small", "exits"),
    "acp-never": command("acp_small", "never"),
    "acp-version": command("acp_small", "version"),
    "echo": command("acp_small", "echo"),
    "official": official("acp_agent"),
    "missing": {"argv": ["no-such-program-anywhere"]},
}


@asynccontextmanager
async def a_house(store: Any = "memory://", **settings: Any) -> AsyncIterator[Client]:
    """A client whose server has the agents above. Time is real, for so is that of processes."""
    settings = {"agents": AGENTS, "agent_grace": 0.3, **settings}
    world: Any = settings.pop("world", None) or SystemWorld()
    # On trio the loop of a test waits in a thread, once it has to wait for real: it is there before anybody counts.
    await anyio.sleep(0.02)
    async with a_client(store, world=world, **settings) as client:
        yield client


async def with_agent(client: Client, model: str, **options: Any) -> Session:
    return await client.create_session(llm_config={"model": model}, **options)


def processes_of(session: Session | str) -> set[int]:
    """Every process that has the session's mark in its environment: agents, their guards, and all their children."""
    mark = f"JIDOKA_AGENT_SESSION={session if isinstance(session, str) else session.id}".encode()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


async def gone(*pids: int) -> None:
    """Wait until none of *pids* runs."""
    with anyio.fail_after(PATIENCE):
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)


async def none_left(session: Session | str) -> None:
    """Wait until those that the session has are gone, and see that there are no others."""
    await gone(*processes_of(session))
    assert not processes_of(session)


async def heard(log: EventLog, type: str) -> Event:
    """The next event of that type, which must come."""
    with anyio.fail_after(PATIENCE):
        return await log.next(type)


async def restarts(session: Session) -> dict[str, int]:
    return {child.id: child.restarts for child in await session.which_children()}


async def pids_in(chunks: Any) -> list[int]:
    """The numbers that an agent says first."""
    with anyio.fail_after(PATIENCE):
        return [int(number) for number in (await anext(chunks)).split()]
