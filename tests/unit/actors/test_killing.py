"""The levels of ending an actor: in order, by cancelling its code, and by leaving its code behind."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.exits import ExitReason
from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld
from tests.unit.actors.actors_at_hand import Echo, Recorder, Stubborn, Tidy, Waiter

# --- K0: in order --------------------------------------------------------------------------------


async def test_k0_an_actor_that_traps_exits_finishes_its_message_and_cleans_up(
    system: ActorSystem, world: VirtualWorld
) -> None:
    log: list[str] = []
    tree = await system.supervise([ChildSpec("a", Tidy, (log,), shutdown=5.0)])
    ref = await tree.child("a")
    event = anyio.Event()
    answers: list[str] = []

    async def caller() -> None:
        answers.append(await ref.call(event))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.settle()
        tasks.start_soon(tree.terminate_child, "a")
        await world.advance(4.0)
        assert log == ["began"]
        event.set()

    assert log == ["began", "left", "on_stop shutdown"]
    assert answers == ["done"]
    assert await ref.wait_stopped() == ExitReason("shutdown")


async def test_k0_any_other_actor_is_interrupted_at_its_next_await(system: ActorSystem, world: VirtualWorld) -> None:
    log: list[str] = []
    tree = await system.supervise([ChildSpec("a", Waiter, (log,), shutdown=5.0)])
    ref = await tree.child("a")
    ref.tell("for ever")
    await world.settle()

    await tree.terminate_child("a")

    assert log == ["began", "left"]
    assert world.monotonic() == 0.0
    assert await ref.wait_stopped() == ExitReason("shutdown")


async def test_k0_a_kill_instead_of_patience_runs_no_hook(system: ActorSystem, world: VirtualWorld) -> None:
    log: list[str] = []
    tree = await system.supervise([ChildSpec("a", Tidy, (log,), shutdown="kill")])
    ref = await tree.child("a")
    ref.tell("for ever")
    await world.settle()

    await tree.terminate_child("a")

    assert log == ["began", "left"]
    assert (await ref.wait_stopped()).kind == "killed"


# --- K1: cancelled -------------------------------------------------------------------------------


async def test_k1_a_kill_cancels_the_suspended_handler_and_runs_no_hook(
    system: ActorSystem, world: VirtualWorld
) -> None:
    log: list[str] = []
    ref = await system.start(Tidy, log)
    ref.tell("for ever")
    ref.tell("never handled")
    await world.settle()

    ref.kill()

    assert await ref.wait_stopped() == ExitReason("killed")
    assert log == ["began", "left"]
    assert world.monotonic() == 0.0


async def test_k1_the_callers_of_a_killed_actor_hear_of_it(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    caught: list[ActorDead] = []

    async def caller() -> None:
        try:
            await ref.call("for ever")
        except ActorDead as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        tasks.start_soon(caller)
        await world.settle()
        ref.kill()

    assert [error.reason for error in caught] == [ExitReason("killed")] * 2


async def test_k1_patience_ends_in_a_kill(system: ActorSystem, world: VirtualWorld) -> None:
    log: list[str] = []
    tree = await system.supervise([ChildSpec("a", Tidy, (log,), shutdown=2.0)])
    ref = await tree.child("a")
    ref.tell("for ever")

    async with anyio.create_task_group() as tasks:
        await world.settle()
        tasks.start_soon(tree.terminate_child, "a")
        await world.advance(1.9)
        assert log == ["began"]
        await world.advance(0.2)

    assert log == ["began", "left"]
    assert await ref.wait_stopped() == ExitReason("killed")


class SlowToLeave(Actor):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        return message

    async def on_stop(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("interrupted")


@pytest.mark.parametrize("how", ["terminated", "stopped"])
async def test_k1_an_on_stop_that_does_not_end_is_interrupted(
    system: ActorSystem, world: VirtualWorld, how: str
) -> None:
    log: list[str] = []
    tree = await system.supervise([ChildSpec("a", SlowToLeave, (log,), restart="temporary", shutdown=1.0)])
    ref = await tree.child("a")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tree.terminate_child, "a") if how == "terminated" else tasks.start_soon(ref.wait_stopped)
        if how == "stopped":
            ref.stop(block=False)
        await world.advance(0.9)
        assert log == []
        await world.advance(5.0)

    assert log == ["interrupted"]
    assert await ref.wait_stopped() == ExitReason("killed")


async def test_k1_a_killed_child_comes_back_and_keeps_its_mail(system: ActorSystem, world: VirtualWorld) -> None:
    heard: list[Any] = []
    tree = await system.supervise([ChildSpec("a", Recorder, (heard,))])
    ref = await tree.child("a")

    ref.kill()
    ref.tell("after the kill")
    with pytest.raises(ActorRestarted):
        await ref.call("lost with the incarnation it was sent to")
    await world.settle()

    assert heard == ["after the kill"]
    assert (await ref.wait_stopped()).kind == "killed"
    assert (await tree.child("a")) is not ref


async def test_k1_a_kill_while_it_starts_ends_the_start(system: ActorSystem, world: VirtualWorld) -> None:
    class SlowStart(Actor):
        async def on_start(self) -> None:
            refs.append(self.actor_ref)
            await anyio.sleep_forever()

    refs: list[Any] = []
    tree = await system.supervise([ChildSpec("ok", Echo)])
    failed: list[BaseException] = []

    async def start() -> None:
        try:
            await tree.start_child(ChildSpec("slow", SlowStart))
        except Exception as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await world.settle()
        refs[0].kill()

    assert len(failed) == 1
    assert [info.id for info in await tree.which_children()] == ["ok"]


async def test_an_actor_may_kill_itself(system: ActorSystem) -> None:
    class Suicidal(Actor):
        def on_receive(self, message: Any) -> Any:
            self.actor_ref.kill()
            return "last words"

    ref = await system.start(Suicidal)

    assert await ref.call("go") == "last words"
    assert (await ref.wait_stopped()).kind == "killed"


# --- K2: left behind -----------------------------------------------------------------------------


async def test_k2_code_that_swallows_its_cancellation_is_abandoned_and_fenced(
    system: ActorSystem, world: VirtualWorld
) -> None:
    release = anyio.Event()
    outcome: list[BaseException | None] = []
    heard: list[Any] = []
    recorder = await system.start(Recorder, heard)
    tree = await system.supervise([ChildSpec("a", Stubborn, (release, recorder, outcome), shutdown=1.0)])
    ref = await tree.child("a")
    answers: list[Any] = []

    async def caller() -> None:
        try:
            answers.append(await ref.call("hang", timeout=60.0))
        except ActorRestarted as error:
            answers.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.settle()
        ref.kill()
        await world.advance(system.grace)
        # The caller is answered and a successor is up, while the code still runs.
        assert isinstance(answers[0], ActorRestarted)
        assert await ref.call("hello") == "hello"
        assert await ref.wait_stopped() == ExitReason("abandoned", "did not end when it was cancelled")
        assert [name for name, _ in system.abandoned] == ["Stubborn"]
        release.set()
        await world.settle()

    assert not system.abandoned
    assert isinstance(outcome[0], ActorDead)
    assert heard == []
    assert len(answers) == 1
    assert await ref.call("still the same") == "still the same"


async def test_k2_an_abandoned_child_is_listed_so_until_its_code_ends(system: ActorSystem, world: VirtualWorld) -> None:
    release = anyio.Event()
    tree = await system.supervise([ChildSpec("a", Stubborn, (release,), shutdown=1.0), ChildSpec("b", Echo)])
    ref = await tree.child("a")
    ref.tell("hang")
    await world.settle()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tree.terminate_child, "a")
        await world.settle()
        await world.advance(1.0 + system.grace)
        assert (await tree.which_children())[0].state == "abandoned"
        assert await (await tree.child("b")).call("served") == "served"
    release.set()
    await world.settle()

    assert (await tree.which_children())[0].state == "stopped"
    with pytest.raises(ActorDead):
        ref.tell("gone")


async def test_k2_the_callers_of_an_abandoned_actor_are_told_so(system: ActorSystem, world: VirtualWorld) -> None:
    release = anyio.Event()
    ref = await system.start(Stubborn, release)
    caught: list[ActorDead] = []

    async def caller() -> None:
        try:
            await ref.call("hang", timeout=None)
        except ActorDead as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.settle()
        ref.kill()
        await world.advance(system.grace)
    release.set()
    await world.settle()

    assert caught[0].abandoned
