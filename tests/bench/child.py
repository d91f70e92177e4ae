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

from tests.bench.measures import Figures


def pin(core: int) -> None:
    """Stay on one core; threads and programs that are started from here stay there too."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


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


def main(module: str, name: str, sizes: str, warm: str, core: str) -> None:
    """Measure one work of one contestant."""
    pin(int(core))
    logging.disable(logging.CRITICAL)
    works = import_module(f"tests.bench.contestants.{module}").WORKS
    gc.set_threshold(100_000, 50, 100)
    print(json.dumps(measure(works[name], json.loads(sizes), json.loads(warm))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
