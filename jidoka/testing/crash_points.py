"""Proof by crash: a scenario is run once for each write it makes, and dies there, before the write and after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anyio

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for

if TYPE_CHECKING:
    from jidoka.core.settings import Settings
    from jidoka.ports.models import Model
    from jidoka.ports.store import Store

Scenario = Callable[[Client, list[Any]], Awaitable[object]]
Models = Callable[[], "Mapping[str, Model]"]


@dataclass(slots=True)
class Crash:
    """Where the process died, and what it had told the world by then."""

    number: int
    """At which write, from 1."""
    when: Literal["before", "after"]
    """Before or after that write took effect."""
    confirmed: list[Any] = field(default_factory=list[Any])
    """What the scenario has put down as done. It must be there afterwards."""
    call: Call | None = None
    """The write; None when this run did not come so far."""

    def __str__(self) -> str:
        what = "not reached" if self.call is None else f"{self.call.name} of {self.call.session_id}"
        return f"crash {self.when} write {self.number} ({what}), {len(self.confirmed)} things confirmed"


Check = Callable[[Client, Crash], Awaitable[object]]


async def every_crash_point(
    scenario: Scenario,
    check: Check,
    *,
    make_store: Callable[[], str | Store] = MemoryStore,
    make_models: Models | None = None,
    tools: Collection[Callable[..., Any]] = (),
    settings: Settings | None = None,
    patience: float = 20.0,
) -> list[Crash]:
    """Run *scenario* once as it is, and then twice for each of the N writes of the store that it made: 2N crashes.

    `scenario(client, confirmed)` does what programs do, and appends to *confirmed* whatever it was told was done. At
    the crash the store takes nothing more, and the scenario is cancelled where it is. Then a new client opens what is
    left, and `check(client, crash)` says whether it is sound; it raises when it is not, and the error is told
    which crash it was. After the whole scenario *check* is called as well, with a crash that was not reached.

    *make_store* gives a fresh, empty place each time: a URL, or a store that two clients can open one after the
    other. *make_models* gives each client its models, and all have the same *tools*. Both clients live on one
    VirtualWorld, so that hours pass with `client.house.world.advance(…)`. *patience* is how many real seconds
    one run may take.
    """
    options = _Options(scenario, check, make_store, make_models, tools, settings, patience)
    whole = Crash(0, "after")
    count = await _run(options, whole)
    crashes: list[Crash] = []
    for number in range(1, count + 1):
        crashes += [Crash(number, "before"), Crash(number, "after")]
    for crash in crashes:
        await _run(options, crash)
    return crashes


@dataclass(frozen=True, slots=True)
class _Options:
    scenario: Scenario
    check: Check
    make_store: Callable[[], str | Store]
    make_models: Models | None
    tools: Collection[Callable[..., Any]]
    settings: Settings | None
    patience: float

    def client(self, store: str | Store, world: VirtualWorld) -> Client:
        models = None if self.make_models is None else self.make_models()
        return Client(store, models=models, tools=self.tools, settings=self.settings, world=world)


async def _run(options: _Options, crash: Crash) -> int:
    """One life, its end, and the look at what is left; how many writes there were."""
    place, world = options.make_store(), VirtualWorld()
    store = FaultyStore(store_for(place), lambda call: _fault(call, crash))
    try:
        with anyio.fail_after(options.patience):
            await _live(options, store, crash, world)
            crash.call = store.last
            async with options.client(place, world) as survivor:
                await options.check(survivor, crash)
    except Exception as error:
        error.add_note(str(crash))
        raise
    return store.writes


def _fault(call: Call, crash: Crash) -> Fault | None:
    return Fault("stop", crash.when) if call.number == crash.number else None


async def _live(options: _Options, store: FaultyStore, crash: Crash, world: VirtualWorld) -> None:
    failures: list[Exception] = []
    async with options.client(store, world) as client, anyio.create_task_group() as tasks:

        async def die() -> None:
            await store.stopped.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(die)
        try:
            await options.scenario(client, crash.confirmed)
        except* Exception as raised:
            # What a dying process says is heard by nobody.
            if not store.is_stopped:
                failures += raised.exceptions
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0] if len(failures) == 1 else ExceptionGroup("the scenario failed by itself", failures)
