"""The actor system: it owns its actors, and leaves none behind however it is left."""

from __future__ import annotations

import random
from typing import Any

import anyio
import anyio.lowlevel
import pykka
import pytest

from jidoka.actors import current
from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ChildStartError
from jidoka.actors.exits import ExitReason
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Supervisor
from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld
from tests.unit.actors.actors_at_hand import Echo, Recorder, Stubborn, Tidy, Waiter


class Named(Actor):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name = name
        self.log = log

    def on_start(self) -> None:
        self.log.append(f"start {self.name}")

    async def on_stop(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append(f"stop {self.name}")


async def test_leaving_a_system_ends_its_actors_the_last_started_first(world: VirtualWorld) -> None:
    log: list[str] = []

    async with ActorSystem(world=world) as system:
        await system.start(Named, "a", log)
        await system.supervise([ChildSpec("b", Named, ("b", log)), ChildSpec("c", Named, ("c", log))])
        await system.start(Named, "d", log)
        log.clear()

    assert log == ["stop d", "stop c", "stop b", "stop a"]
    assert system.cells == 0
    assert not system.is_running
    assert system not in current.running


async def test_an_error_in_the_block_ends_the_actors_in_order_and_is_raised(world: VirtualWorld) -> None:
    log: list[str] = []

    with pytest.raises(ValueError, match="mine"):
        async with ActorSystem(world=world) as system:
            await system.start(Named, "a", log)
            raise ValueError("mine")

    assert log == ["start a", "stop a"]


async def test_a_cancelled_program_still_ends_its_actors_in_order(world: VirtualWorld) -> None:
    log: list[str] = []

    with anyio.CancelScope() as scope:
        async with ActorSystem(world=world) as system:
            await system.start(Named, "a", log)
            await system.start(Named, "b", log)
            log.clear()
            scope.cancel()
            await anyio.sleep_forever()

    assert log == ["stop b", "stop a"]
    assert system.cells == 0


async def test_machinery_that_fails_ends_the_program_instead_of_hanging(world: VirtualWorld) -> None:
    class Broken:
        def run(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        async with ActorSystem(world=world) as system:
            await system.start(Echo)
            system.scheduler.add(Broken())
            await anyio.sleep_forever()

    assert caught.value.subgroup(ZeroDivisionError) is not None


async def test_a_second_shut_down_kills_what_is_left(world: VirtualWorld) -> None:
    log: list[str] = []

    async with ActorSystem(world=world, patience=1_000.0) as system:
        a = await system.start(Tidy, log)
        a.tell("for ever")
        await world.settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(system.shut_down)
            await world.advance(10.0)
            assert a.is_alive()
            await system.shut_down()

    assert log == ["began", "left"]
    assert await a.wait_stopped() == ExitReason("killed")


async def test_an_actor_that_does_not_end_in_time_is_killed(world: VirtualWorld) -> None:
    system = ActorSystem(world=world, patience=3.0)
    async with anyio.create_task_group() as tasks, system:
        ref = await system.start(Tidy)
        ref.tell("for ever")
        await world.settle()
        tasks.start_soon(world.advance, 3.0)

    assert await ref.wait_stopped() == ExitReason("killed")


async def test_nothing_starts_in_a_system_that_is_leaving_or_has_left(world: VirtualWorld) -> None:
    system = ActorSystem(world=world)
    with pytest.raises(ChildStartError, match="shutdown"):
        await system.start(Echo)

    async with system:
        ref = await system.start(Echo)
        await system.shut_down()
        with pytest.raises(ChildStartError, match="shutdown"):
            await system.start(Echo)
        with pytest.raises(ChildStartError, match="shutdown"):
            Echo.start()

    with pytest.raises(ActorDead):
        ref.tell("too late")


async def test_messages_that_wait_when_the_system_goes_are_answered(world: VirtualWorld) -> None:
    caught: list[BaseException] = []

    async with anyio.create_task_group() as tasks, ActorSystem(world=world) as system:
        ref = await system.start(Waiter)

        async def caller() -> None:
            try:
                await ref.call("for ever")
            except ActorDead as error:
                caught.append(error)

        for _ in range(10):
            tasks.start_soon(caller)
        await world.settle()

    assert len(caught) == 10


class Slow(Actor):
    """Takes a few turns of the loop to come up, and to end."""

    alive = 0

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns

    async def on_start(self) -> None:
        for _ in range(self.turns):
            await anyio.lowlevel.checkpoint()

    async def on_stop(self) -> None:
        await anyio.lowlevel.checkpoint()


async def test_a_start_that_its_caller_cancels_leaves_nothing(system: ActorSystem, world: VirtualWorld) -> None:
    chance = random.Random(1)
    up = 0

    for _ in range(1_000):
        turns, patience = chance.randrange(6), chance.randrange(10)
        async with anyio.create_task_group() as tasks:

            async def start(turns: int = turns) -> None:
                nonlocal up
                ref = await system.start(Slow, turns)
                up += 1
                ref.kill()

            tasks.start_soon(start)
            for _ in range(patience):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    await world.settle()

    assert 0 < up < 1_000
    assert system.cells == 0
    assert len(system.timers) == 0


async def test_a_supervisors_start_that_its_caller_cancels_leaves_nothing(
    system: ActorSystem, world: VirtualWorld
) -> None:
    chance = random.Random(2)
    up = 0

    for _ in range(200):
        specs = [ChildSpec(str(number), Slow, (chance.randrange(4),)) for number in range(3)]
        patience = chance.randrange(20)
        async with anyio.create_task_group() as tasks:

            async def start(specs: list[ChildSpec] = specs) -> None:
                nonlocal up
                tree = await system.supervise(specs)
                up += 1
                tree.kill()

            tasks.start_soon(start)
            for _ in range(patience):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    await world.settle()

    assert 0 < up < 200
    assert system.cells == 0
    assert len(system.timers) == 0


async def test_pykkas_start_works_inside_a_system(system: ActorSystem, world: VirtualWorld) -> None:
    ref = Echo.start()

    assert await ref.call("hello") == "hello"
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert await ref.stop() is True
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


async def test_actors_of_the_system_are_not_in_pykkas_registry(system: ActorSystem) -> None:
    ref = await system.start(Echo)

    assert ref not in pykka.ActorRegistry.get_all()


async def test_a_handler_starts_actors_in_its_own_system(world: VirtualWorld) -> None:
    class Parent(Actor):
        def on_receive(self, message: Any) -> Any:
            return Echo.start()

    async with ActorSystem(world=world, name="outer") as outer:
        ref = await outer.start(Parent)
        async with ActorSystem(world=world, name="inner") as inner:
            child = await ref.call("start one")
            assert child.cell.system is outer
            assert Echo.start().cell.system is inner


def test_without_a_system_pykkas_start_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="no ActorSystem is running"):
        Echo.start()


async def test_how_things_show_themselves(world: VirtualWorld) -> None:
    async with ActorSystem(world=world, name="shop") as system:
        assert repr(system) == "<ActorSystem shop: 0 actors>"
        ref = await system.start(Recorder)
        assert repr(system) == "<ActorSystem shop: 1 actors>"
        assert repr(ref) == f"<ActorRef for Recorder ({ref.actor_urn})>"
        assert str(ref) == f"Recorder ({ref.actor_urn})"
        assert str(ref.cell.actor) == str(ref)

    assert repr(system) == "<ActorSystem shop: 0 actors, not running>"


async def test_a_ref_of_an_earlier_incarnation_keeps_its_own_urn(system: ActorSystem, world: VirtualWorld) -> None:
    tree = await system.supervise([ChildSpec("a", Recorder)])
    first = await tree.child("a")
    urn = first.actor_urn

    first.kill()
    await world.settle()
    second = await tree.child("a")

    assert first.actor_urn == urn != second.actor_urn
    assert first.is_alive()
    assert await first.call("reaches the successor") == ["reaches the successor"]


async def test_nested_supervisors_go_down_with_the_system(world: VirtualWorld) -> None:
    log: list[str] = []
    inner = ChildSpec("inner", Supervisor, kwargs={"children": [ChildSpec("x", Named, ("x", log))]})

    async with ActorSystem(world=world) as system:
        await system.supervise([ChildSpec("a", Named, ("a", log)), inner])
        log.clear()

    assert log == ["stop x", "stop a"]
    assert system.cells == 0


async def test_a_supervisor_that_cannot_be_made_fails_its_start(system: ActorSystem) -> None:
    with pytest.raises(ChildStartError, match="no option"):
        await system.supervise([ChildSpec("s", Supervisor, kwargs={"bogus": 1})])

    assert system.cells == 0


async def test_code_left_behind_is_waited_for_when_the_system_goes(world: VirtualWorld) -> None:
    release = anyio.Event()

    async with anyio.create_task_group() as tasks:

        async def let_it_go() -> None:
            await world.advance(system.grace)
            assert [name for name, _ in system.abandoned] == ["Stubborn"]
            release.set()

        async with ActorSystem(world=world) as system:
            ref = await system.start(Stubborn, release)
            ref.tell("hang")
            await world.settle()
            ref.kill()
            tasks.start_soon(let_it_go)

    assert not system.abandoned


async def test_a_system_uses_the_real_world_when_none_is_handed_in() -> None:
    async with ActorSystem() as system:
        ref = await system.start(Echo)
        assert await ref.call("now") == "now"
        assert len(system.world.new_id()) == 32
        assert system.world.now().tzinfo is not None
        assert 0 <= system.world.random() < 1
        await system.world.sleep_until(system.world.monotonic())
