"""The vocabulary of the conformance table: kids that follow a script, and a stage that keeps the event log.

The log holds `start x` (x is up), `fail x` (its start failed) and `term x` (its terminate callback was called); where
these take time there are `begin x` and `done x` too.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from jidoka.actors.actor import Actor
from jidoka.actors.exits import ExitReason, Shutdown, Stop
from jidoka.actors.ref import ActorRef
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Supervisor
from jidoka.actors.supervisor_ref import SupervisorRef
from jidoka.actors.system import ActorSystem
from tests.unit.actors.supervision.world import PatientWorld, settle

OK = None
FOREVER = float("inf")
# What `stops` may say: cleaning up that not even a cancellation ends.
STUBBORN = -1.0


class Boom(Exception):
    """The crash of these tests."""


class Probe(Actor):
    """Does what its kid's script and its messages say. Does not trap exits: it has no terminate callback."""

    def __init__(self, stage: Stage, kid: Kid, suffix: str = "") -> None:
        super().__init__()
        self.stage = stage
        self.kid = kid
        self.name = kid.id + suffix
        self.count = 0

    def on_start(self) -> Any:
        step = next(self.kid.starts, OK)
        if isinstance(step, BaseException):
            self.stage.say("start" if isinstance(step, Stop) else "fail", self.name)
            raise step.with_traceback(None)
        if callable(step):
            return step(self)
        if step is not OK:
            return self._come_up(step)
        self.stage.say("start", self.name)
        return None

    async def _come_up(self, seconds: float) -> None:
        self.stage.say("begin", self.name)
        await self.stage.sleep(seconds)
        self.stage.say("start", self.name)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.stage.got.append(message)
        return message


class Careful(Probe):
    """Traps exits: has a terminate callback."""

    def on_stop(self) -> Any:
        self.stage.say("term", self.name)
        if isinstance(self.kid.stops, BaseException):
            raise self.kid.stops.with_traceback(None)
        return None if self.kid.stops is OK else self._clean_up(self.kid.stops)

    async def _clean_up(self, seconds: float) -> None:
        if seconds == STUBBORN:
            with anyio.CancelScope(shield=True):
                await self.stage.released.wait()
        else:
            await self.stage.sleep(seconds)
        self.stage.say("done", self.name)


@dataclass
class Kid:
    """A child of a test. `starts` is what its starts do in turn, then OK: an error to raise, seconds, a function."""

    id: str
    cls: type[Actor] = Careful
    starts: Iterator[Any] = field(default_factory=lambda: iter(()))
    stops: float | BaseException | None = OK
    children: list[Kid] | None = None
    inner: dict[str, Any] = field(default_factory=dict[str, Any])
    options: dict[str, Any] = field(default_factory=dict[str, Any])


def kid(
    id: str,
    *,
    cls: type[Actor] = Careful,
    starts: Iterable[Any] = (),
    stops: float | BaseException | None = OK,
    **options: Any,
) -> Kid:
    """A worker."""
    return Kid(id, cls, iter(starts), stops, options=options)


def sup(id: str, *children: Kid, inner: dict[str, Any] | None = None, **options: Any) -> Kid:
    """A supervisor as a child. `inner` holds its own options."""
    return Kid(id, Supervisor, children=list(children), inner=inner or {}, options=options)


class Asked:
    """Something under way, and what came of it."""

    def __init__(self) -> None:
        self.is_done = False
        self.answer: Any = None
        self.error: BaseException | None = None

    @property
    def value(self) -> Any:
        assert self.is_done, "it is still under way"
        if self.error is not None:
            raise self.error
        return self.answer


class Stage:
    """An actor system in a virtual world, one tree on it, and what happened."""

    tree: SupervisorRef

    def __init__(self, system: ActorSystem, world: PatientWorld, tasks: TaskGroup) -> None:
        self.system = system
        self.world = world
        self.tasks = tasks
        self.log: list[str] = []
        self.times: dict[str, float] = {}
        self.got: list[Any] = []
        self.released = anyio.Event()

    # --- what the probes do ----------------------------------------------------------------------------------

    def say(self, what: str, name: str) -> None:
        self.log.append(f"{what} {name}")
        self.times[f"{what} {name}"] = self.world.monotonic()

    async def sleep(self, seconds: float) -> None:
        if seconds == FOREVER:
            await anyio.sleep_forever()
        else:
            await self.world.sleep_until(self.world.monotonic() + seconds)

    # --- trees -----------------------------------------------------------------------------------------------

    def spec(self, child: Kid) -> ChildSpec:
        if child.children is None:
            return ChildSpec(child.id, child.cls, (self, child), **child.options)
        children = [self.spec(grandchild) for grandchild in child.children]
        return ChildSpec(child.id, child.cls, (children,), child.inner, **child.options)

    async def supervise(self, *children: Kid, **options: Any) -> SupervisorRef:
        """Start the tree. The log begins after that."""
        self.tree = await self.system.supervise([self.spec(child) for child in children], **options)
        self.log.clear()
        return self.tree

    async def find(self, path: str) -> ActorRef[Any]:
        """The ref of `a`, or of `inner.a`."""
        *supervisors, name = path.split(".")
        tree = self.tree
        for supervisor in supervisors:
            tree = await tree.child(supervisor)  # pyright: ignore[reportAssignmentType]
        return await tree.child(name)

    async def states(self) -> dict[str, str]:
        return {info.id: info.state for info in await self.tree.which_children()}

    async def actor(self, path: str) -> Any:
        return (await self.find(path)).cell.actor

    # --- stimuli ---------------------------------------------------------------------------------------------

    async def play(self, *script: str) -> None:
        """Lines such as `kill b c` (in one instant), `crash b`, `finish b`, `terminate b`, `advance 0.5`."""
        for line in script:
            verb, *names = line.split()
            if verb == "advance":
                await self.world.advance(float(names[0]))
                continue
            for ref in [await self.find(name) for name in names]:
                if verb in STIMULI:
                    STIMULI[verb](ref)
            if verb not in STIMULI:
                for name in names:
                    await getattr(self.tree, f"{verb}_child")(name)
            await settle()

    def begin(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Asked:
        """Have `await function(*args)` run beside the test."""
        asked = Asked()
        self.tasks.start_soon(self._follow, asked, function, args)
        return asked

    async def _follow(
        self, asked: Asked, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]
    ) -> None:
        try:
            asked.answer = await function(*args)
        except Exception as error:
            asked.error = error
        asked.is_done = True

    async def asked(self, seconds: float, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Asked:
        """`begin`, and let *seconds* pass."""
        asked = self.begin(function, *args)
        await self.world.advance(seconds)
        return asked


STIMULI: dict[str, Callable[[ActorRef[Any]], object]] = {
    "kill": lambda ref: ref.kill(),
    "crash": lambda ref: ref.tell(Boom("on stage")),
    "finish": lambda ref: ref.tell(Stop()),
    "shut": lambda ref: ref.tell(Shutdown()),
    "close": lambda ref: ref.tell(Shutdown("with detail")),
}

# The five exits of the table, and what they are called.
EXITS = {"finish": "normal", "shut": "shutdown", "close": "shutdown", "crash": "crash", "kill": "killed"}


async def how_it_ended(ref: ActorRef[Any]) -> ExitReason:
    """The exit reason of *ref*, which must have ended."""
    await settle()
    assert ref.exit_reason is not None, "it has not ended"
    return ref.exit_reason


@asynccontextmanager
async def raised_stage(**options: Any) -> AsyncIterator[Stage]:
    """A stage; when it is left, nothing may be left on it."""
    logging.getLogger("jidoka.actors").setLevel(logging.ERROR)
    world = PatientWorld()
    async with anyio.create_task_group() as tasks:
        system = ActorSystem(world=world, **options)
        async with system:
            stage = Stage(system, world, tasks)
            try:
                yield stage
            finally:
                await _clear(stage)
            assert (system.cells, len(system.timers), system.abandoned) == (0, 0, [])


async def _clear(stage: Stage) -> None:
    stage.released.set()
    leaving = stage.begin(stage.system.shut_down)
    for _ in range(100):
        await stage.world.advance(10)
        if leaving.is_done and not stage.system.abandoned:
            return
