"""What the list does not name: operations and exits that meet a restart, a start or a stop under way."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ChildNotFound, ChildStartError, InvalidChildSpec
from jidoka.actors.exits import Ignore, Stop
from tests.unit.actors.supervision.stage import FOREVER, OK, Boom, Probe, Stage, how_it_ended, kid, sup
from tests.unit.actors.supervision.world import settle

ALL, REST = "one_for_all", "rest_for_one"


def dies_at_once(probe: Probe) -> None:
    probe.stage.say("start", probe.name)
    probe.actor_ref.tell(Boom("at once"))


async def test_an_early_crash_may_be_one_too_many(stage: Stage) -> None:
    specs = [stage.spec(kid("a", starts=[dies_at_once])), stage.spec(kid("b", starts=[0.1]))]

    asked = stage.begin(lambda: stage.system.supervise(specs, max_restarts=0))
    await stage.world.advance(1)

    assert str(await how_it_ended(asked.value)) == "escalated: a: crash: Boom: at once"
    assert stage.log == ["start a", "begin b", "start b", "term b"]


async def test_an_early_end_of_a_significant_child_ends_the_tree(stage: Stage) -> None:
    asked = stage.begin(
        lambda: stage.supervise(
            kid("a", starts=[Stop()], restart="transient", significant=True),
            kid("b", starts=[0.1]),
            auto_shutdown="any_significant",
        )
    )
    await stage.world.advance(1)

    assert str(await how_it_ended(asked.value)) == "shutdown"


async def test_an_early_crash_whose_restart_fails_is_tried_again(stage: Stage) -> None:
    for strict in (False, True):
        starts = [dies_at_once, Boom("not yet")]
        a, b = kid("a", starts=starts), kid("b", starts=[0.1])

        async def go(a: Any = a, b: Any = b, strict: bool = strict) -> None:
            await stage.supervise(a, b, max_restarts=5, otp_strict=strict)

        await stage.asked(1, go)

        assert await stage.states() == {"a": "running", "b": "running"}


@pytest.mark.parametrize("operation", ["delete_child", "restart_child"])
async def test_a_child_that_a_group_restart_will_revive_counts_as_restarting(operation: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", restart="transient"), kid("c", stops=1.0), strategy=ALL)
    await stage.play("finish b", "kill a")

    asked = await stage.asked(0, getattr(tree, operation), "b")
    await stage.world.advance(2)

    assert isinstance(asked.error, ChildStartError)
    assert asked.error.reason == "restarting"
    assert await stage.states() == dict.fromkeys("abc", "running")
    assert stage.log == ["term b", "term c", "done c", "start a", "start b", "start c"]


async def test_so_does_a_child_whose_first_turn_is_still_to_come(stage: Stage) -> None:
    refused: list[BaseException] = []

    async def asks(probe: Probe) -> None:
        try:
            tree: Any = probe.supervisor
            await tree.restart_child("b")
        except ChildStartError as error:
            refused.append(error)

    await stage.supervise(kid("a", starts=[asks]), kid("b", starts=[0.0]))

    assert [str(error) for error in refused] == ["child 'b': restarting"]
    assert (await stage.tree.count_children()).active == 2
    assert stage.system.cells == 3


@pytest.mark.parametrize("strategy", [ALL, REST])
async def test_the_group_goes_on_without_a_child_that_is_ended_between_two_tries(strategy: str, stage: Stage) -> None:
    tree = await stage.supervise(
        kid("a"), kid("b", starts=chain([OK], repeat(Boom()))), kid("c"), strategy=strategy, max_restarts=1000
    )
    await stage.play("kill a", "advance 10", "terminate b", "advance 60")

    assert await stage.states() == {"a": "running", "b": "stopped", "c": "running"}
    assert tree.is_alive()


async def test_a_group_that_cannot_come_up_gives_up(stage: Stage) -> None:
    tree = await stage.supervise(
        kid("a"), kid("b", starts=chain([OK], repeat(Boom()))), strategy=ALL, max_restarts=3, within=60
    )

    await stage.play("kill a", "advance 60")

    assert str(await how_it_ended(tree)) == "escalated: b: crash: Boom"
    assert stage.log == ["term b", *["start a", "fail b", "term a"] * 3]


async def test_an_exit_during_a_group_restart_that_fails_is_not_forgotten(stage: Stage) -> None:
    async def fails_later(probe: Probe) -> None:
        await probe.stage.sleep(1.0)
        raise Boom

    await stage.supervise(
        kid("a"), kid("b"), kid("c", starts=[OK, fails_later]), kid("d"), strategy=REST, max_restarts=1000
    )
    await stage.play("kill b", "advance 0.5", "kill a b", "advance 0.5")
    assert stage.log == ["term d", "term c", "start b", "start a", "start b", "start c", "start d"]

    await stage.play("advance 100")

    assert stage.log[-1] == "start d"
    assert await stage.states() == dict.fromkeys("abcd", "running")


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_a_dynamic_child_that_is_not_started_again_is_forgotten(restart: Any, stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x", restart=restart)), max_children=1)

    for _ in range(3):
        child = await tree.start_child()
        child.tell(Stop())
        await settle()

    assert await tree.which_children() == []


async def test_nor_is_a_dynamic_child_kept_that_ignores_its_start(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x", starts=[Ignore(), OK, Ignore()])), max_children=1)

    assert not (await tree.start_child()).is_alive()
    (await tree.start_child()).kill()
    await settle()

    assert await tree.which_children() == []
    assert stage.system.cells == 1


async def test_a_supervisor_that_is_ended_while_it_comes_up_ends_its_children_in_order(stage: Stage) -> None:
    tree = await stage.supervise()
    slow = sup("inner", kid("a"), kid("b"), kid("c", starts=[FOREVER]), kid("d"))
    asked = await stage.asked(0, tree.start_child, stage.spec(slow))

    await stage.asked(0, tree.stop)

    assert isinstance(asked.error, ChildStartError)
    assert stage.log == ["start a", "start b", "begin c", "term b", "term a"]


@pytest.mark.parametrize("strategy", ["one_for_one", ALL, REST])
async def test_a_tree_that_is_stopped_between_two_tries_forgets_them(strategy: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", starts=[OK, Boom()]), strategy=strategy, max_restarts=1000)
    await stage.play("kill b")

    await tree.stop()

    assert len(stage.system.timers) == 0
    await stage.world.advance(60)
    assert stage.log.count("start b") == 0


@pytest.mark.parametrize("strategy", ["one_for_one", ALL, REST])
async def test_calls_that_wait_for_a_restart_are_answered_when_the_tree_ends(strategy: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", starts=[OK, Boom()]), strategy=strategy, max_restarts=1000)
    b = await tree.child("b")
    await stage.play("kill b")
    asked = await stage.asked(0, b.call, "anybody?", None)

    tree.kill()
    await settle()

    assert isinstance(asked.error, ActorDead)


async def test_a_restart_that_takes_too_long_is_tried_again(stage: Stage) -> None:
    await stage.supervise(kid("a", starts=[OK, FOREVER], start_timeout=1.0), max_restarts=5)

    await stage.play("kill a", "advance 0.9")
    assert await stage.states() == {"a": "restarting"}
    await stage.play("advance 1")

    assert stage.log == ["begin a", "start a"]


async def test_a_child_that_is_stopped_by_a_stranger_comes_back(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))

    assert await (await tree.child("a")).stop() is True
    await settle()

    assert stage.log == ["term a", "start a"]


async def test_a_try_that_falls_due_during_a_group_restart_does_not_break_into_it(stage: Stage) -> None:
    await stage.supervise(
        kid("a"), kid("b", starts=[OK, Boom()]), kid("c", stops=1.0), strategy=REST, max_restarts=1000
    )
    # b waits for its next try, c never came back: a's restart takes c's place in the queue.
    await stage.tree.start_child(stage.spec(kid("d", stops=1.0)))
    await stage.play("kill b", "advance 2", "kill a", "advance 60")

    assert await stage.states() == dict.fromkeys("abcd", "running")


async def test_a_child_started_by_hand_during_a_group_restart_stays_up(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b"), kid("c", stops=1.0), strategy=ALL)
    await stage.play("terminate b", "kill a", "advance 0.5")

    asked = await stage.asked(0, tree.restart_child, "b")
    await stage.world.advance(60)

    assert asked.value.is_alive()
    assert await stage.states() == dict.fromkeys("abc", "running")


@pytest.mark.parametrize("strict", [False, True])
async def test_a_start_that_is_ended_by_hand_is_over_before_a_group_restart_revives_it(
    strict: bool, stage: Stage
) -> None:
    tree = await stage.supervise(
        kid("a"), kid("b", starts=[OK, FOREVER]), kid("c"), strategy=ALL, otp_strict=strict, max_restarts=10
    )
    await stage.play("kill c", "kill a")

    asked = await stage.asked(0, tree.terminate_child, "b")
    await stage.world.advance(60)

    assert asked.is_done
    assert await stage.states() == {"a": "running", "b": "running" if strict else "stopped", "c": "running"}
    assert stage.system.cells == 3 + strict


async def test_a_kill_overtakes_an_orderly_stop(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b", stops=100, shutdown="infinity"), sup("s", kid("c", stops=0.1)))
    stopping = await stage.asked(1, tree.stop)

    tree.kill()
    await settle()

    assert stopping.is_done
    assert (await how_it_ended(tree)).kind == "killed"
    assert stage.log == ["term c", "done c", "term b"]
    assert stage.system.cells == 0


async def test_whoever_gives_up_waiting_for_an_operation_does_not_undo_it(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", stops=1.0), kid("b", starts=[OK, 1.0]))
    await stage.play("terminate b")

    async def impatient() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tree.terminate_child, "a")
                tasks.start_soon(tree.restart_child, "b")
                await settle()
                scope.cancel()

    await impatient()
    await stage.world.advance(2)

    assert await stage.states() == {"a": "stopped", "b": "running"}


@pytest.mark.parametrize(
    "options", [{"max_children": -1}, {"max_children": True}, {"strategy": "one_for_all"}, {"budget": "everybody"}]
)
async def test_a_dynamic_supervisor_refuses_what_cannot_be(options: dict[str, Any], stage: Stage) -> None:
    with pytest.raises(InvalidChildSpec):
        await stage.system.supervise_dynamic(stage.spec(kid("x")), **options)


async def test_a_dynamic_child_may_be_ended_by_its_id_too(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x")))
    await tree.start_child()
    (only,) = await tree.which_children()

    await tree.terminate_child(only.id)
    await tree.terminate_child(only.id)

    assert await tree.which_children() == []
    for unknown in ("x-2", "y-1", "x"):
        with pytest.raises(ChildNotFound):
            await tree.terminate_child(unknown)
