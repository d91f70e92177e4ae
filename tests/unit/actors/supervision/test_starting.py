"""Starting (S13-S29)."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ChildStartError, InvalidChildSpec, WouldDeadlock
from jidoka.actors.exits import Ignore, Stop
from jidoka.actors.supervisor import Supervisor
from tests.unit.actors.supervision.stage import (
    FOREVER,
    Boom,
    Careful,
    Kid,
    Probe,
    Stage,
    kid,
    sup,
)
from tests.unit.actors.supervision.world import settle


async def refused(stage: Stage, *children: Kid, **options: Any) -> ChildStartError:
    """Why the tree did not start."""
    with pytest.raises(ChildStartError) as caught:
        await stage.system.supervise([stage.spec(child) for child in children], **options)
    return caught.value


async def test_s13_children_are_started_in_order(stage: Stage) -> None:
    await stage.system.supervise([stage.spec(kid(id)) for id in "abc"])

    assert stage.log == ["start a", "start b", "start c"]


async def test_s14_a_child_is_up_before_the_next_one_begins(stage: Stage) -> None:
    specs = [stage.spec(kid(id, starts=[0.15])) for id in "ab"]

    asked = await stage.asked(0.29, stage.system.supervise, specs)
    assert not asked.is_done
    await stage.world.advance(0.01)

    assert (await asked.value.count_children()).active == 2
    assert stage.log == ["begin a", "start a", "begin b", "start b"]
    assert stage.times == pytest.approx({"begin a": 0, "start a": 0.15, "begin b": 0.15, "start b": 0.3})


class Broken(Careful):
    """Its constructor fails."""

    def __init__(self, stage: Stage, kid: Kid) -> None:
        super().__init__(stage, kid)
        stage.say("fail", self.name)
        raise Boom("in the constructor")


class Dying(Careful):
    """Dies inside its own on_start."""

    async def on_start(self) -> None:
        self.stage.say("fail", self.name)
        self.actor_ref.kill()
        await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        pytest.param(lambda: kid("c", starts=[Boom("no c")]), "no c", id="S15"),
        pytest.param(lambda: kid("c", cls=Broken), "constructor", id="S16"),
        pytest.param(lambda: kid("c", starts=[SystemExit(3)]), "SystemExit: 3", id="S18-exits"),
        pytest.param(lambda: kid("c", cls=Dying), "killed", id="S18-killed"),
        pytest.param(lambda: kid("c", starts=[Boom("once")]), "once", id="S19"),
    ],
)
async def test_a_start_that_fails_takes_back_what_was_started(failing: Any, reason: str, stage: Stage) -> None:
    error = await refused(stage, kid("a"), kid("b"), failing(), kid("d"), max_restarts=10)

    assert error.child_id == "c"
    assert reason in error.reason
    assert stage.log == ["start a", "start b", "fail c", "term b", "term a"]
    assert stage.system.cells == 0


async def test_s17_a_start_that_is_no_actor_is_refused_by_value(stage: Stage) -> None:
    tree = await stage.supervise()

    with pytest.raises(InvalidChildSpec, match="42"):
        await tree.start_child("x", 42)

    assert await tree.which_children() == []


async def test_s20_children_that_ignore_their_start(stage: Stage) -> None:
    ignoring = [kid(type, starts=[Ignore()], restart=type) for type in ("permanent", "temporary", "transient")]

    tree = await stage.supervise(*ignoring, kid("d"))

    counts = await tree.count_children()
    assert (counts.specs, counts.active) == (3, 1)
    assert await stage.states() == {"permanent": "stopped", "transient": "stopped", "d": "running"}


async def test_s21_an_early_exit_is_treated_after_every_child_was_started(stage: Stage) -> None:
    tree = await stage.asked(
        1,
        stage.system.supervise,
        [stage.spec(kid("a", starts=[Stop()], restart="temporary")), stage.spec(kid("b", starts=[0.1]))],
    )

    assert [info.id for info in await tree.value.which_children()] == ["b"]
    assert [line for line in stage.log if not line.startswith("begin")] == ["start a", "term a", "start b"]


async def test_s21_an_early_crash_uses_the_budget_only_afterwards(stage: Stage) -> None:
    def come_up_to_crash(probe: Probe) -> None:
        probe.stage.say("start", probe.name)
        probe.actor_ref.tell(Boom("at once"))

    asked = await stage.asked(
        1,
        stage.system.supervise,
        [stage.spec(kid("a", cls=Probe, starts=[come_up_to_crash])), stage.spec(kid("b", starts=[0.1]))],
    )

    assert (await asked.value.count_children()).active == 2
    assert stage.log == ["start a", "begin b", "start b", "start a"]


class Unwilling(Supervisor):
    """Ignores its start."""

    def on_start(self) -> None:
        raise Ignore


async def test_s22_a_supervisor_may_ignore_its_start(stage: Stage) -> None:
    ref = await stage.system.start(Unwilling, [stage.spec(kid("a"))])
    tree = await stage.supervise(Kid("inner", Unwilling, children=[kid("a")]), kid("b"))

    assert not ref.is_alive()
    assert await ref.wait_stopped() is not None
    assert (await ref.wait_stopped()).kind == "normal"
    assert (await tree.count_children()).active == 1
    assert "start a" not in stage.log


@pytest.mark.parametrize("junk", ["junk", [42], [{"id": "x"}], 42])
async def test_s23_a_supervisor_whose_init_fails_leaves_nothing(junk: Any, stage: Stage) -> None:
    with pytest.raises(ChildStartError):
        await stage.system.start(Supervisor, junk)

    assert stage.system.cells == 0


async def test_s24_a_taken_id_is_answered_with_its_owner(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    first = await tree.child("a")

    with pytest.raises(ChildStartError, match="already_started") as caught:
        await tree.start_child(stage.spec(kid("a")))

    assert caught.value.ref is first
    assert await first.call("untouched") == "untouched"


async def test_s26_a_slow_start_holds_up_nobody(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    asked = await stage.asked(0, tree.start_child, stage.spec(kid("slow", starts=[0.3])))
    again = await stage.asked(0, tree.start_child, stage.spec(kid("slow")))

    assert [info.id for info in await tree.which_children()] == ["a"]
    assert (await tree.count_children()).active == 1
    await tree.start_child(stage.spec(kid("quick")))
    await tree.terminate_child("a")
    assert not asked.is_done
    assert not again.is_done
    assert stage.world.monotonic() == 0
    await stage.world.advance(0.3)

    assert asked.value.is_alive()
    assert isinstance(again.error, ChildStartError)
    assert again.error.reason == "already_started"


@pytest.mark.parametrize(("stubborn", "seconds"), [(False, 1.0), (True, 2.0)])
async def test_s27_a_start_that_takes_too_long_is_a_timeout(stubborn: bool, seconds: float, stage: Stage) -> None:
    async def never(probe: Probe) -> None:
        with anyio.CancelScope(shield=stubborn):
            await probe.stage.released.wait()

    tree = await stage.supervise()
    asked = stage.begin(tree.start_child, stage.spec(kid("x", starts=[never], start_timeout=1.0)))
    await stage.world.advance(seconds - 0.01)
    assert not asked.is_done
    await stage.world.advance(0.01)

    assert isinstance(asked.error, ChildStartError)
    assert (asked.error.child_id, asked.error.reason) == ("x", "timeout")
    assert len(stage.system.abandoned) == stubborn
    assert (await tree.start_child(stage.spec(kid("x")))).is_alive()


async def test_s28_a_start_that_waits_for_itself_fails_at_once(stage: Stage) -> None:
    async def asks(probe: Probe) -> None:
        assert probe.supervisor is not None
        tree: Any = probe.supervisor
        # Looking is possible meanwhile.
        assert (await tree.count_children()).active == 0
        await getattr(tree, probe.name)(probe.name)

    for operation in ("restart_child", "delete_child", "terminate_child"):
        tree = await stage.supervise()
        asked = stage.begin(tree.start_child, stage.spec(kid(operation, starts=[asks])))
        await settle()

        assert isinstance(asked.error, ChildStartError)
        assert isinstance(asked.error.__cause__, WouldDeadlock)


async def test_s28_nor_can_it_call_a_supervisor_that_is_coming_up(stage: Stage) -> None:
    async def calls(probe: Probe) -> None:
        assert probe.supervisor is not None
        await probe.supervisor.call("are you up?")

    inner = stage.begin(stage.supervise, kid("a", starts=[calls]))
    outer = stage.begin(stage.supervise, sup("inner", kid("a", starts=[_calls_its_grandparent])))
    await settle()

    assert isinstance(inner.error, ChildStartError)
    assert isinstance(inner.error.__cause__, WouldDeadlock)
    assert isinstance(outer.error, ChildStartError)
    assert "WouldDeadlock" in outer.error.reason


async def _calls_its_grandparent(probe: Probe) -> None:
    assert probe.supervisor is not None
    parent = probe.supervisor.cell.actor
    await parent.supervisor.call("are you up?")


async def test_s29_a_cancelled_start_leaves_a_child_or_nothing(stage: Stage) -> None:
    chance = Random(29)
    tree = await stage.supervise()

    async def steps(_probe: Probe) -> None:
        for _ in range(chance.randrange(6)):
            await anyio.lowlevel.checkpoint()

    async def cancelled(function: Any, *args: Any) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(function, *args)
                for _ in range(chance.randrange(8)):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    for _ in range(1_000):
        await cancelled(tree.start_child, stage.spec(kid("x", starts=[steps])))
        await settle()
        states = await stage.states()
        assert states in ({}, {"x": "running"})
        assert stage.system.cells == 1 + len(states)
        if states:
            await tree.terminate_child("x")
            await tree.delete_child("x")

        await cancelled(stage.system.start, Probe, stage, kid("y", starts=[steps]))
        await settle()
        alive = stage.system.cells - 1
        assert alive in (0, 1)
        if alive:
            next(reversed(stage.system._top)).kill()  # pyright: ignore[reportPrivateUsage]
            await settle()


async def test_a_supervisor_that_is_killed_while_it_comes_up_takes_its_children_along(stage: Stage) -> None:
    tree = await stage.supervise()
    slow = sup("inner", kid("a"), kid("b", starts=[FOREVER]), kid("c"))
    asked = stage.begin(tree.start_child, stage.spec(slow))
    await settle()

    (await tree.child("inner")).kill()
    await settle()

    assert isinstance(asked.error, ChildStartError)
    assert stage.log == ["start a", "begin b"]
    assert stage.system.cells == 1


async def sleep_and_fail(probe: Probe) -> None:
    await probe.stage.sleep(10)
    raise Boom("too late")


@pytest.mark.parametrize("way", ["kill", "terminate", "fail"])
async def test_whoever_calls_a_child_whose_turn_never_comes_is_answered(way: str, stage: Stage) -> None:
    tree = await stage.supervise()
    inner = sup("inner", kid("a", starts=[sleep_and_fail if way == "fail" else FOREVER]), kid("b"))
    beginning = stage.begin(tree.start_child, stage.spec(inner))
    await settle()
    last = await stage.find("inner.b")
    asked = stage.begin(last.call, "anybody?", None)
    await settle()
    assert not asked.is_done

    if way == "kill":
        (await tree.child("inner")).kill()
    elif way == "terminate":
        stage.begin(tree.terminate_child, "inner")
    await stage.world.advance(20)

    assert isinstance(beginning.error, ChildStartError)
    assert isinstance(asked.error, ActorDead)
