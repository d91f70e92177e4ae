"""A process that is killed in the middle of its work, and the next one that opens the same file.

    python -m tests.bench.durable.killed MODULE PATH SESSIONS

is the process that is killed: it appends to all sessions at once, and writes a line for each that was acknowledged.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

from tests.bench.contestants import backends_of
from tests.bench.durable.backend import WINDOW, Backend, Backends, new_file, opened, session_ids
from tests.bench.durable.texts import message
from tests.bench.measures import Figures, in_ms

READY = b"ready\n"


async def load(backend: Backend, sessions: int) -> None:
    """Append for ever to all of them; a line for every message that is durable."""
    async with opened(backend):
        handles = [await backend.create(session_id) for session_id in session_ids(sessions)]
        os.write(1, READY)
        async with asyncio.TaskGroup() as group:
            for place, session in enumerate(handles):
                group.create_task(_append_for_ever(backend, session, place))


async def _append_for_ever(backend: Backend, session: object, place: int) -> None:
    number = 0
    while True:
        role, text = message(number)
        await backend.add(session, [(role, f"[{number}] {text}")])
        os.write(1, b"%d\n" % place)
        number += 1


def kill_under_load(module: str, path: str, sessions: int, milliseconds: int) -> Counter[int]:
    """How many messages of each session were acknowledged to somebody who was killed."""
    command = [sys.executable, "-m", "tests.bench.durable.killed", module, path, str(sessions)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        if child.stdout.readline() != READY:
            raise RuntimeError(f"it did not get ready: {child.stderr.read().decode().splitlines()[-1:]}")
        end = perf_counter() + milliseconds / 1e3
        acked = Counter[int]()
        for line in child.stdout:
            acked[int(line)] += 1
            if perf_counter() > end:
                break
        child.kill()
        acked.update(int(line) for line in child.stdout if line.endswith(b"\n"))
    return acked


def lost(found: Sequence[str], acked: int) -> int:
    """How many of the first *acked* messages are not where they belong."""
    return sum(number >= len(found) or not found[number].startswith(f"[{number}] ") for number in range(acked))


async def kill(backends: Backends, module: str, sessions: int, milliseconds: int) -> Figures:
    """From opening the file until each session has answered with its newest messages, all asked at once."""
    path = new_file()
    acked = kill_under_load(module, path, sessions, milliseconds)
    gc.collect()
    took: list[float] = []
    backend = backends(path)

    async def first_answer(session_id: str) -> object:
        session = await backend.find(session_id)
        await backend.recent(session, WINDOW)
        took.append(perf_counter() - began)
        return session

    began = perf_counter()
    async with opened(backend):
        answers = await asyncio.gather(*map(first_answer, session_ids(sessions)))
        missing = 0
        for place, session in enumerate(answers):
            found = [backend.text(item) for item in await backend.everything(session)]
            missing += lost(found, acked[place])
    return {"lost": missing, "acked": acked.total(), **in_ms(took)}


def main(module: str, path: str, sessions: str) -> None:
    """Be killed."""
    logging.disable(logging.CRITICAL)
    asyncio.run(load(backends_of(module)(path), int(sessions)))


if __name__ == "__main__":
    main(*sys.argv[1:])
