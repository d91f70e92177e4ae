"""Shutdown: in which order, how long, and by which force (S77-S94)."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ChildStartError
from jidoka.actors.exits import SHUTDOWN, Shutdown, Stop
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Supervisor
from tests.unit.actors.supervision.stage import (
    FOREVER,
    STUBBORN,
    Boom,
    Careful,
    Kid,
    Probe,
    Stage,
    how_it_ended,
    kid,
    raised_stage,
    sup,
)
from tests.unit.actors.supervision.world import settle


async def test_s77_children_end_one_after_another_the_last_one_first(stage: Stage) -> None:
    tree = await stage.supervise(*(kid(id, stops=0.03) for id in "abc"))

    asked = await stage.asked(0.1, tree.stop)

    assert asked.value is True
    assert stage.log == ["term c", "done c", "term b", "done b", "term a", "done a"]
    assert stage.times["done a"] == pytest.approx(0.09)


async def test_s78_a_brutal_kill_calls_nothing(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", shutdown="kill"))
    child = await tree.child("a")

    await tree.stop()

    assert stage.log == []
    assert (await how_it_ended(child)).kind == "killed"


async def test_s79_a_child_has_its_own_deadline(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", stops=0.1, shutdown=1.0), kid("b", stops=2.0, shutdown=0.1))
    a, b = await tree.child("a"), await tree.child("b")

    asked = await stage.asked(0.21, tree.stop)

    assert asked.is_done
    assert stage.log == ["term b", "term a", "done a"]
    assert stage.times["term a"] == pytest.approx(0.1)
    assert stage.times["done a"] == pytest.approx(0.2)
    assert [(await how_it_ended(child)).kind for child in (a, b)] == ["shutdown", "killed"]


async def test_s80_infinity_waits(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", stops=1000, shutdown="infinity"))

    asked = await stage.asked(999, tree.terminate_child, "a")
    assert not asked.is_done
    await stage.world.advance(1)

    assert asked.is_done
    assert stage.log == ["term a", "done a"]


async def forever(_probe: Probe) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("is_busy", [False, True])
async def test_s81_a_child_that_does_not_trap_ends_at_once(is_busy: bool, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=Probe))
    child = await tree.child("a")
    if is_busy:
        child.tell(forever)
        await settle()

    asked = await stage.asked(0, tree.terminate_child, "a")

    assert asked.is_done
    assert stage.log == []
    assert (await how_it_ended(child)).kind == "shutdown"


async def test_s82_what_an_actor_starts_beside_its_messages_ends_with_it(stage: Stage) -> None:
    ended: list[str] = []

    def begin_work(probe: Probe) -> None:
        probe.start_soon(work, probe)

    async def work(probe: Probe) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(probe.name)

    tree = await stage.supervise(kid("a"))
    await (await tree.child("a")).call(begin_work)
    await settle()

    asked = await stage.asked(0, tree.terminate_child, "a")

    assert asked.is_done
    assert ended == ["a"]


async def test_s82_and_its_failure_is_the_actors_crash(stage: Stage) -> None:
    async def work() -> None:
        raise Boom("beside the messages")

    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    child.tell(lambda probe: probe.start_soon(work))

    assert "beside the messages" in (await how_it_ended(child)).detail
    assert stage.log == ["start a"]


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_s82_a_foreign_task_does_not_hang_its_maker_and_the_census_finds_it(stage: Stage) -> None:
    foreign: list[asyncio.Task[None]] = []

    async def detach(_probe: Probe) -> None:
        foreign.append(asyncio.create_task(asyncio.sleep(3600), name="foreign"))  # noqa: TID251

    async def nothing(_probe: Probe) -> None:
        await anyio.lowlevel.checkpoint()

    tree = await stage.supervise(kid("a"))
    await (await tree.child("a")).call(nothing)
    before = {task.name for task in anyio.get_running_tasks()}
    await (await tree.child("a")).call(detach)

    asked = await stage.asked(0, tree.terminate_child, "a")

    assert asked.is_done
    assert {task.name for task in anyio.get_running_tasks()} - before == {"foreign"}
    foreign[0].cancel()
    await settle()


async def test_s83_dynamic_children_end_all_at_once(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x", stops=0.2)))
    for number in range(50):
        await tree.start_child(str(number))

    asked = await stage.asked(0.2, tree.stop)

    assert asked.is_done
    assert {stage.times[f"done x{number}"] for number in range(50)} == {0.2}


async def test_s83_and_have_one_common_deadline(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x", stops=FOREVER, shutdown=1.0)))
    for number in range(50):
        await tree.start_child(str(number))

    asked = await stage.asked(1, tree.stop)

    assert asked.is_done
    assert stage.system.cells == 0


class Fragile(Supervisor):
    """A supervisor whose own code can crash."""

    def on_receive(self, message: Any) -> Any:
        raise message


async def test_s84_the_children_of_a_parent_that_crashes_end_in_order(stage: Stage) -> None:
    # The parent of a supervisor is a supervisor: it says `shutdown` to its children before it exits, as OTP's does.
    tree = await stage.supervise(Kid("outer", Fragile, children=[sup("inner", kid("a", stops=0.1)), kid("b")]))
    outer, inner = await stage.find("outer"), await stage.find("outer.inner")

    outer.tell(Boom("in a supervisor"))
    await stage.world.advance(0.1)

    assert (await how_it_ended(outer)).kind == "crash"
    assert (await how_it_ended(inner)).kind == "shutdown"
    assert stage.log == ["term b", "term a", "done a", "start a", "start b"]
    assert tree.is_alive()


async def test_s85_the_children_of_a_supervisor_that_is_killed_are_killed(stage: Stage) -> None:
    # OTP would orphan those that ignore exits: here the tree owns them (DV9).
    tree = await stage.supervise(kid("a", stops=FOREVER), kid("b"), sup("inner", kid("c")))
    refs = [await stage.find(path) for path in ("a", "b", "inner", "inner.c")]
    refs[1].tell(forever)
    await settle()

    tree.kill()
    await settle()

    assert [(await how_it_ended(ref)).kind for ref in (tree, *refs)] == ["killed"] * 5
    assert stage.log == []
    assert stage.system.cells == 0


async def test_s85_what_cannot_be_ended_is_counted(stage: Stage) -> None:
    async def shielded(_probe: Probe) -> None:
        with anyio.CancelScope(shield=True):
            await stage.released.wait()

    tree = await stage.supervise(kid("a"))
    (await tree.child("a")).tell(shielded)
    await settle()

    tree.kill()
    await stage.world.advance(1)

    assert not tree.is_alive()
    assert [name for name, _since in stage.system.abandoned] == ["Careful"]
    stage.released.set()
    await settle()
    assert stage.system.abandoned == []


async def test_s86_a_child_that_dies_during_a_shutdown_is_not_started_again(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", stops=1.0), max_restarts=10)
    asked = await stage.asked(0.5, tree.stop)

    await stage.play("crash a", "advance 1")

    assert asked.is_done
    assert stage.log == ["term b", "done b"]


async def test_s87_nothing_is_started_during_a_shutdown(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", stops=1.0))
    await stage.play("terminate a")
    stopping = await stage.asked(0.5, tree.stop)
    stage.log.clear()

    for operation, argument in ((tree.start_child, stage.spec(kid("c"))), (tree.restart_child, "a")):
        with pytest.raises(ChildStartError) as caught:
            await operation(argument)
        assert caught.value.reason == "shutdown"
    await stage.world.advance(1)

    assert stopping.is_done
    assert stage.log == ["done b"]
    with pytest.raises(ActorDead):
        await tree.start_child(stage.spec(kid("c")))


async def test_s88_a_cleanup_is_cut_off_at_its_deadline(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", stops=5.0, shutdown=0.05))
    child = await tree.child("a")

    asked = await stage.asked(0.05, tree.terminate_child, "a")

    assert asked.value is None
    assert (await how_it_ended(child)).kind == "killed"
    assert await stage.states() == {"a": "stopped"}


@pytest.mark.parametrize("is_async", [False, True])
async def test_s89_a_cleanup_that_raises_is_reported_and_over(
    is_async: bool, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Probe):
        def on_stop(self) -> Any:
            if is_async:
                return self._later()
            raise Boom("clumsy")

        async def _later(self) -> None:
            await anyio.lowlevel.checkpoint()
            raise Boom("clumsy")

    tree = await stage.supervise(kid("a", cls=Clumsy))

    asked = await stage.asked(1, tree.terminate_child, "a")

    assert asked.value is None
    assert "clumsy" in caplog.text
    assert await stage.states() == {"a": "stopped"}
    assert stage.log == []


async def slow_message(probe: Probe) -> str:
    await probe.stage.sleep(0.3)
    probe.stage.say("handled", probe.name)
    return "handled"


async def test_s90_a_child_that_traps_finishes_its_message_first(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    call = await stage.asked(0.05, (await tree.child("a")).call, slow_message)

    asked = await stage.asked(0.25, tree.terminate_child, "a")

    assert asked.is_done
    assert call.value == "handled"
    assert stage.log == ["handled a", "term a"]
    assert stage.times["term a"] == pytest.approx(0.3)


async def test_s91_a_child_that_does_not_trap_is_interrupted(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=Probe))
    call = await stage.asked(0.05, (await tree.child("a")).call, slow_message)

    asked = await stage.asked(0, tree.terminate_child, "a")

    assert asked.is_done
    assert isinstance(call.error, ActorDead)
    assert call.error.reason == SHUTDOWN
    assert stage.log == []


@pytest.mark.parametrize("message", [Stop(), Shutdown(), SHUTDOWN, "exit", ("EXIT", "shutdown"), None])
async def test_s92_no_message_of_a_stranger_ends_a_supervisor(message: Any, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=0)

    tree.tell(message)
    await settle()

    assert tree.is_alive()
    assert stage.log == []


@pytest.mark.parametrize(("stops", "seconds", "kind"), [(FOREVER, 1.0, "killed"), (STUBBORN, 2.0, "abandoned")])
async def test_s93_no_cleanup_outlasts_its_deadline_and_grace(
    stops: float, seconds: float, kind: str, stage: Stage
) -> None:
    tree = await stage.supervise(kid("a", stops=stops, shutdown=1.0))
    child = await tree.child("a")

    asked = await stage.asked(seconds - 0.01, tree.terminate_child, "a")
    assert not asked.is_done
    await stage.world.advance(0.02)

    assert asked.is_done
    assert (await how_it_ended(child)).kind == kind


@pytest.mark.parametrize("stops", [FOREVER, STUBBORN])
async def test_s94_a_second_shutdown_is_less_patient(stops: float, anyio_backend: Any) -> None:
    async with raised_stage() as stage:
        tree = await stage.supervise(kid("a", stops=stops, shutdown="infinity"), kid("b"))
        await stage.system.start(Careful, stage, kid("c", stops=stops))
        first = await stage.asked(0.5, stage.system.shut_down)
        assert not first.is_done

        second = await stage.asked(2.0, stage.system.shut_down)

        assert first.is_done
        assert second.is_done
        assert not tree.is_alive()
        with pytest.raises(ChildStartError, match="shutdown"):
            await stage.system.start(Probe, stage, kid("late"))


async def test_a_spec_may_be_used_for_a_supervisor_of_a_dynamic_kind(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(ChildSpec("session", Supervisor, ([stage.spec(kid("a"))],)))
    first = await tree.start_child()

    await tree.terminate_child(first)

    assert stage.log == ["start a", "term a"]
