"""One contestant's process: pins itself to a core, warms up, measures once, and prints its figures as JSON.

    python -m tests.bench.child MODULE WORK SIZES WARM-UP CORE

For all contestants alike the event loop is uvloop where it is installed, the collector is set as jidoka's own commands
set it, and nobody writes a log: what a crash costs does not depend on who prints its traceback where.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.bench.durable.works import durable_works
from tests.bench.measures import Figures

try:
    import resource
except ImportError:
    resource = None


def pin(core: int) -> None:
    """Stay on one core; threads and programs that are started from here stay there too."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def allow_many_files() -> None:
    """As many open files as this machine lets anybody have: a library that needs them shall not fail for that."""
    if resource is not None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def new_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, or asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def measure(work: Callable[..., Any], sizes: dict[str, int], warm: dict[str, int]) -> Figures:
    """Run *work* twice, the first time small and for nothing."""
    if not inspect.iscoroutinefunction(work):
        work(**warm)
        gc.collect()
        return work(**sizes)

    async def both() -> Figures:
        await work(**warm)
        gc.collect()
        return await work(**sizes)

    with asyncio.Runner(loop_factory=new_loop()) as runner:
        return runner.run(both())


def first_of(error: BaseException) -> BaseException:
    """What went wrong in one of several tasks: the last line that is said is about it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(module: str, name: str, sizes: str, warm: str, core: str) -> None:
    """Measure one work of one contestant."""
    pin(int(core))
    allow_many_files()
    logging.disable(logging.CRITICAL)
    works = durable_works(module) if ":" in module else import_module(f"tests.bench.contestants.{module}").WORKS
    gc.set_threshold(100_000, 50, 100)
    try:
        print(json.dumps(measure(works[name], json.loads(sizes), json.loads(warm))), flush=True)
    except BaseExceptionGroup as group:
        raise first_of(group) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
