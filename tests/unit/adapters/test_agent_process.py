"""A child process behind its guard: how it ends, and what is left of it."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.adapters.agent_process import ChildProcess
from jidoka.core.agents import AgentLimits
from jidoka.core.errors import TurnFailed
from jidoka.ports.world import SystemWorld
from jidoka.testing.world import VirtualWorld
from tests.stories.agents import gone, processes_of
from tests.stories.kit import PATIENCE

SH = "/bin/sh"


def started(*argv: str, mark: str = "none", world: Any = None, limits: AgentLimits | None = None) -> ChildProcess:
    environment = {"PATH": os.environ["PATH"], "JIDOKA_AGENT_SESSION": mark}
    limits = limits or AgentLimits()
    return ChildProcess(
        argv, env=environment, cwd=None, secrets=("sk-canary",), limits=limits, world=world or SystemWorld()
    )


@asynccontextmanager
async def running(*argv: str, **options: Any) -> AsyncIterator[ChildProcess]:
    process = started(*argv, **options)
    try:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(process.run)
                try:
                    yield process
                finally:
                    tasks.cancel_scope.cancel()
    finally:
        process.release()


@pytest.fixture
def mark() -> str:
    """One that no process has, also none that another test has left behind."""
    return os.urandom(8).hex()


async def all_of(process: ChildProcess) -> bytes:
    said = b""
    while data := await process.read():
        said += data
    return said


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("exit 0", 0, "exit status 0"),
        ("echo oh >&2; exit 7", 7, "exit status 7: oh"),
        ("kill -9 $$", 137, "killed by signal 9"),
        ("kill -15 $$", 143, "killed by signal 15"),
        ("echo the key is sk-canary >&2; exit 1", 1, "exit status 1: the key is [key]"),
    ],
)
async def test_how_it_ended_and_its_last_words(script: str, status: int, words: str) -> None:
    async with running(SH, "-c", script) as process:
        assert await all_of(process) == b""
        await process.ended.wait()

    assert process.status == status
    assert process.obituary() == words


async def test_of_a_long_complaint_the_end_is_kept() -> None:
    async with running(SH, "-c", "seq 1 100000 >&2; exit 1", limits=AgentLimits(tail=50)) as process:
        await process.ended.wait()

    assert process.complaint().endswith("99999\n100000")
    assert len(process.complaint()) <= 52


async def test_it_reads_what_it_is_told_while_it_speaks() -> None:
    data = os.urandom(300_000).hex().encode()
    async with running("cat") as process:
        process.send(data[:400_000])
        process.send(data[400_000:])
        process.end_input()

        assert await all_of(process) == data


async def test_one_that_ignores_sigterm_is_killed_after_the_grace_and_not_before(mark: str) -> None:
    world = VirtualWorld()
    script = "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done"
    async with running(SH, "-c", script, mark=mark, world=world, limits=AgentLimits(grace=2)) as process:
        assert await process.read() == b"ready\n"
        before = processes_of(mark)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.close)
            await world.advance(1.9)
            is_alive = not process.ended.is_set()
            await world.advance(0.1)
            await process.ended.wait()
        await gone(*before)

    assert is_alive
    assert process.status == 137


async def test_one_that_ends_at_sigterm_is_not_waited_for() -> None:
    world = VirtualWorld()
    async with running("sleep", "1000", world=world) as process:
        # Until it is there to hear the signal.
        await process_named(process, "sleep")
        await process.close()

    assert process.status == 143


async def process_named(process: ChildProcess, name: str) -> int:
    """Wait until the guard has become two."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while True:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                return int(child)
        await anyio.lowlevel.checkpoint()


async def test_a_guard_that_is_killed_takes_everybody_with_it(mark: str) -> None:
    script = "sleep 1000 & echo ready; wait"
    async with running(SH, "-c", script, mark=mark) as process:
        await process.read()
        before = processes_of(mark)
        os.kill(process.pid, signal.SIGKILL)
        await process.ended.wait()
        await gone(*before)

    assert len(before) == 3
    assert process.status == 137


async def test_it_holds_no_descriptor_after_its_end() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with running("true") as process:
        await process.ended.wait()
    before = count()

    for _ in range(3):
        async with running("true") as process:
            await process.ended.wait()
        async with running("sleep", "1000"):
            pass

    assert count() == before


@pytest.mark.parametrize("argv", [("no-such-program",), ("/etc/passwd",), ("a\0b",)])
def test_what_is_no_program_is_not_started(argv: tuple[str, ...]) -> None:
    with pytest.raises(TurnFailed) as failed:
        started(*argv)

    assert failed.value.reason == "agent_not_started"
