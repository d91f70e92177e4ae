"""Monitors that run in the background of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.core.errors import JidokaError
from jidoka.cycles import Cycle, Monitor, Observation
from jidoka.testing.models import ScriptedModel

ID = "web-monitor"
MODEL = {"model": "model"}


class Run:
    """A monitor that runs in the background, and what it has said."""

    def __init__(self) -> None:
        self.cycles: list[Cycle] = []
        self.error: JidokaError | None = None

    async def go(self, monitor: Monitor) -> None:
        try:
            async with aclosing(monitor.run()) as cycles:
                async for cycle in cycles:
                    self.cycles.append(cycle)
        except JidokaError as error:
            self.error = error

    @property
    def numbers(self) -> list[int]:
        return [cycle.number for cycle in self.cycles]

    @property
    def statuses(self) -> list[str]:
        return [cycle.status for cycle in self.cycles]


@asynccontextmanager
async def running(monitor: Monitor) -> AsyncIterator[Run]:
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.go, monitor)
        yield run
        tasks.cancel_scope.cancel()


class Looks:
    """Observations: each is given what the one before wanted to be remembered."""

    def __init__(self) -> None:
        self.before: list[Any] = []

    async def __call__(self, before: Any) -> Observation:
        self.before.append(before)
        return Observation(title="Look", facts={"look": len(self.before)})


def a_monitor(client: Client, **options: Any) -> Monitor:
    given = {"every": 60, "observe": Looks(), "llm_config": MODEL, **options}
    return Monitor(client, ID, **given)


def failing(*scripts: Any) -> ScriptedModel:
    return ScriptedModel(*[[script] if not isinstance(script, list) else script for script in scripts])
