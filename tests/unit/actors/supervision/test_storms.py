"""Whatever is done to a tree, and whenever: when it has quietened, everything is as the specs say."""

from __future__ import annotations

import gc
from random import Random
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ActorRestarted, ChildNotFound, ChildStartError
from jidoka.actors.exits import SHUTDOWN, Ignore, Shutdown, Stop
from tests.unit.actors.supervision.stage import STIMULI, Boom, Careful, Kid, Probe, Stage, raised_stage

IDS = "abcdef"
RESTARTS = ("permanent", "permanent", "transient", "temporary")
EXPECTED = (ChildNotFound, ChildStartError, ActorDead, ActorRestarted, Boom, Stop, Shutdown)


class Stormy(Careful):
    """Comes up and ends as the weather has it."""

    def on_start(self) -> Any:
        return self._come_up_somehow() if self.chance.random() < 0.5 else self._fail_sometimes()

    async def _come_up_somehow(self) -> None:
        await self.stage.sleep(self.chance.random())
        self._fail_sometimes()

    def _fail_sometimes(self) -> None:
        roll = self.chance.random()
        if not self.stage.released.is_set() and roll < 0.2:
            self.kid.inner["ignored"] = roll >= 0.18
            raise Boom if roll < 0.15 else Stop if roll < 0.18 else Ignore
        self.kid.inner["ignored"] = False

    def on_stop(self) -> Any:
        roll = self.chance.random()
        if roll < 0.1:
            raise Boom
        return self.stage.sleep(self.chance.random()) if roll < 0.5 else None

    @property
    def chance(self) -> Random:
        return self.kid.inner["chance"]


class Calm(Stormy, Probe):
    """Does not trap exits."""

    traps_exit = False


def weathered(id: str, chance: Random) -> Kid:
    shutdown = chance.choice([0.3, 5.0, "infinity", "kill"])
    options = {"restart": chance.choice(RESTARTS), "shutdown": shutdown}
    if chance.random() < 0.3:
        options["start_timeout"] = 0.5
    return Kid(id, chance.choice([Stormy, Calm]), inner={"chance": chance}, options=options)


class Storm:
    """Random operations and exits, some at once and some later."""

    def __init__(self, stage: Stage, chance: Random) -> None:
        self.stage = stage
        self.chance = chance
        self.asked: list[Any] = []

    async def blow(self) -> None:
        chance, tree = self.chance, self.stage.tree
        for _ in range(chance.randrange(4)):
            id = chance.choice(IDS)
            doing = chance.choice(["start", "terminate", "restart", "delete", "exit", "exit", "exit", "call"])
            if doing == "start":
                self.ask(tree.start_child, self.stage.spec(weathered(id, chance)))
            elif doing in ("exit", "call"):
                await self.disturb(id, doing)
            else:
                self.ask(getattr(tree, f"{doing}_child"), id)
        await self.stage.world.advance(chance.choice([0, 0, 0.1, 0.5, 2.0]))

    async def disturb(self, id: str, doing: str) -> None:
        try:
            ref = await self.stage.tree.child(id)
            if doing == "exit":
                STIMULI[self.chance.choice(list(STIMULI))](ref)
            else:
                self.ask(ref.call, self.dawdle)
        except (ChildNotFound, ActorDead):
            pass

    async def dawdle(self, _probe: Probe) -> None:
        await self.stage.sleep(self.chance.random())

    def ask(self, function: Any, *args: Any) -> None:
        self.asked.append(self.stage.begin(function, *args))


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("seed", range(8))
async def test_after_a_storm_a_tree_is_as_its_specs_say(seed: int, strategy: str, anyio_backend: Any) -> None:
    chance = Random(f"{seed} {strategy}")
    async with raised_stage() as stage:
        stage.released.set()
        tree = await brought_up(stage, chance, strategy)
        stage.released = anyio.Event()
        storm = Storm(stage, chance)

        for _ in range(60):
            await storm.blow()
        stage.released.set()
        await stage.world.advance(200)

        infos = await tree.which_children()
        errors = [asked.error for asked in storm.asked if not isinstance(asked.error, (*EXPECTED, type(None)))]
        assert all(asked.is_done for asked in storm.asked)
        assert [type(error).__name__ for error in errors if type(error).__name__ != "CallTimeout"] == []
        assert {info.id: info.state for info in infos} == dict(should_be(tree))
        assert sorted(living(stage)) == sorted(info.id for info in infos if info.state == "running")
        assert stage.system.cells == 1 + len(living(stage))
        assert len(stage.system.timers) == 0

        stopping = await stage.asked(100, tree.stop)
        assert stopping.is_done
        assert stage.system.cells == 0
        assert living(stage) == []


@pytest.mark.parametrize("way", ["stop", "kill", "escalate", "crash"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_storm_may_be_cut_off_at_any_moment(seed: int, way: str, anyio_backend: Any) -> None:
    chance = Random(f"{seed} {way}")
    async with raised_stage() as stage:
        stage.released.set()
        strategy = chance.choice(["one_for_one", "one_for_all", "rest_for_one"])
        tree = await brought_up(stage, chance, strategy)
        stage.released = anyio.Event()
        storm = Storm(stage, chance)
        for _ in range(chance.randrange(1, 20)):
            await storm.blow()

        if way == "stop":
            storm.ask(tree.stop)
        elif way == "kill":
            tree.kill()
        else:
            tree.cell.end(SHUTDOWN) if way == "escalate" else tree.cell.crash(Boom())
        await stage.world.advance(0.1)
        # Whoever asks now is refused, or was in time.
        storm.ask(tree.start_child, stage.spec(weathered("late", chance)))
        storm.ask(tree.terminate_child, "a")
        storm.ask(tree.restart_child, "b")
        await stage.world.advance(200)

        assert all(asked.is_done for asked in storm.asked)
        assert not tree.is_alive()
        assert living(stage) == []
        assert (stage.system.cells, len(stage.system.timers)) == (0, 0)


async def brought_up(stage: Stage, chance: Random, strategy: str) -> Any:
    kids = [weathered(id, chance) for id in IDS[: chance.randrange(2, 6)]]
    for one in kids:
        one.options.pop("start_timeout", None)
    options: Any = {"strategy": strategy, "max_restarts": 10**6, "otp_strict": chance.random() < 0.3}
    asked = stage.begin(lambda: stage.supervise(*kids, **options))
    await stage.world.advance(10)
    return asked.value


def should_be(tree: Any) -> list[tuple[str, str]]:
    """Permanent children run unless somebody ended them or they ignored their start; the others may have finished."""
    states: list[tuple[str, str]] = []
    for child in tree.supervisor.children.values():
        if child.spec.restart == "permanent" and not child.held and not child.args[1].inner.get("ignored"):
            states.append((child.id, "running"))
        else:
            states.append((child.id, "running" if child.is_alive else "stopped"))
    return states


def living(stage: Stage) -> list[str]:
    """Actors that are in their cells."""
    return [
        thing.kid.id
        for thing in gc.get_objects()
        if isinstance(thing, Stormy) and thing.stage is stage and thing.jidoka_cell.actor is thing
    ]
