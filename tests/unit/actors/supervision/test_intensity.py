"""How many restarts are too many (S63-S76)."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import pytest

from jidoka.actors.errors import ChildStartError
from jidoka.actors.exits import Ignore
from tests.unit.actors.supervision.stage import OK, Boom, Kid, Stage, how_it_ended, kid
from tests.unit.actors.supervision.world import settle

KILL_3 = ["kill a"] * 3
SURVIVES = None


def ids(text: str) -> list[Kid]:
    return [kid(id) for id in text]


@pytest.mark.parametrize(
    ("children", "options", "script", "ends"),
    [
        pytest.param("ab", {"max_restarts": 2}, ["kill a", "kill a"], SURVIVES, id="S63-two"),
        pytest.param("ab", {"max_restarts": 2}, KILL_3, "escalated: a: killed", id="S63-DV6"),
        pytest.param("ab", {"max_restarts": 2, "otp_strict": True}, KILL_3, "shutdown", id="S63-strict"),
        pytest.param("a", {"max_restarts": 0}, ["kill a"], "escalated: a: killed", id="S64"),
        pytest.param(
            "a",
            {"max_restarts": 1, "within": 1},
            ["kill a", "advance 2.1"] * 3,
            SURVIVES,
            id="S65",
        ),
        pytest.param("abc", {"max_restarts": 2}, ["kill a", "kill b", "kill c"], "escalated: c: killed", id="S67"),
        pytest.param(
            "abc",
            {"max_restarts": 2, "budget": "child"},
            ["kill a", "kill b", "kill c"],
            SURVIVES,
            id="S67-DV4-own-budgets",
        ),
        pytest.param(
            "abc",
            {"max_restarts": 2, "budget": "child"},
            ["kill a", "kill b", *KILL_3[:2]],
            "escalated: a: killed",
            id="S67-DV4-one-of-them-spent",
        ),
        pytest.param(
            "abc",
            {"max_restarts": 2, "budget": "child", "otp_strict": True},
            ["kill a", "kill b", "kill c"],
            "shutdown",
            id="S67-strict",
        ),
        pytest.param("abcd", {"max_restarts": 1, "strategy": "one_for_all"}, ["kill b"], SURVIVES, id="S68"),
        pytest.param("a", {"max_restarts": 0}, ["terminate a", "restart a"] * 5, SURVIVES, id="S69"),
    ],
)
async def test_when_a_supervisor_gives_up(
    children: str, options: dict[str, Any], script: list[str], ends: str | None, stage: Stage
) -> None:
    tree = await stage.supervise(*ids(children), **options)

    await stage.play(*script)

    if ends is SURVIVES:
        assert (await tree.count_children()).active == len(children)
    else:
        assert str(await how_it_ended(tree)) == ends
        assert stage.system.cells == 0


async def test_s63_the_remaining_children_end_in_reverse_order(stage: Stage) -> None:
    await stage.supervise(*ids("abcd"), max_restarts=2)
    await stage.play("kill b", "kill b")
    stage.log.clear()

    await stage.play("kill b")

    assert stage.log == ["term d", "term c", "term a"]


async def test_s66_failed_restarts_use_the_budget(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=chain([OK], repeat(Boom()))), max_restarts=3)

    await stage.play("kill a", "advance 5")

    # With the first one, four starts in all.
    assert stage.log == ["fail a"] * 3
    assert str(await how_it_ended(tree)) == "escalated: a: crash: Boom"


async def test_s70_exits_that_need_no_restart_are_free(stage: Stage) -> None:
    tree = await stage.supervise(
        *(kid(id, restart="temporary") for id in "abc"), kid("d", restart="transient"), max_restarts=0
    )

    await stage.play("crash a", "kill b", "finish c", "finish d")

    assert tree.is_alive()
    assert await stage.states() == {"d": "stopped"}


async def test_s71_a_restart_that_keeps_failing_backs_off(stage: Stage) -> None:
    # DV3; OTP would try more than a thousand times.
    tree = await stage.supervise(kid("a", starts=chain([OK], repeat(Boom()))), max_restarts=10**6)

    await stage.play("kill a", "advance 0.2")
    assert 2 <= len(stage.log) <= 3
    await stage.play("advance 3600")

    assert 120 <= len(stage.log) <= 180
    assert tree.is_alive()


async def test_s71_strict_supervisors_try_at_once_and_still_hold_up_nobody(stage: Stage) -> None:
    tree = await stage.supervise(
        kid("a", starts=chain([OK], repeat(Boom()))), kid("b"), max_restarts=10**9, otp_strict=True
    )
    sibling = await tree.child("b")

    (await tree.child("a")).kill()
    await settle(200)

    assert await sibling.call("not held up") == "not held up"
    assert 20 <= len(stage.log) <= 10_000
    assert stage.world.monotonic() == 0
    await tree.terminate_child("a")


async def test_s72_a_child_between_two_failing_restarts(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=[OK, Boom(), Boom()]), max_restarts=10)
    await stage.play("kill a")

    async def refusal(operation: Any, argument: Any) -> str:
        with pytest.raises(ChildStartError) as caught:
            await operation(argument)
        return caught.value.reason

    assert await stage.states() == {"a": "restarting"}
    assert (await tree.count_children()).active == 0
    assert await refusal(tree.restart_child, "a") == "restarting"
    assert await refusal(tree.delete_child, "a") == "restarting"
    assert await refusal(tree.start_child, stage.spec(kid("a"))) == "already_present"
    await tree.terminate_child("a")
    await stage.play("advance 60")
    assert stage.log == ["fail a"]
    assert await stage.states() == {"a": "stopped"}
    assert await refusal(tree.restart_child, "a") == "Boom"
    assert (await tree.restart_child("a")).is_alive()


async def test_s72_messages_wait_for_a_child_that_is_being_restarted(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=[OK, Boom()]), max_restarts=10)
    child = await tree.child("a")
    await stage.play("kill a")

    child.tell("while you were out")
    asked = await stage.asked(1, child.call, "and a question")

    assert asked.value == "and a question"
    assert stage.got == ["while you were out", "and a question"]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_s73_a_restart_that_is_ignored_is_kept_without_a_process(strategy: Any, stage: Stage) -> None:
    await stage.supervise(kid("a", starts=[OK, Ignore()]), kid("b"), strategy=strategy)

    await stage.play("kill a", "advance 60")

    assert stage.log.count("fail a") == 1
    assert await stage.states() == {"a": "stopped", "b": "running"}


@pytest.mark.parametrize("gap", [0.5, 0.9, 1.1, 1.3, 1.6, 1.9, 2.1])
async def test_s74_the_period_is_exact(gap: float, stage: Stage) -> None:
    # DV2. OTP's whole seconds are in the table of Budget.
    tree = await stage.supervise(kid("a"), max_restarts=1, within=1)

    await stage.play("advance 0.7", "kill a", f"advance {gap}", "kill a")

    assert tree.is_alive() == (gap > 1)


async def test_s75_the_wall_clock_does_not_matter(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=2, within=5)
    await stage.play("kill a")

    stage.world.set_wall_clock(stage.world.now() + timedelta(days=1))
    await stage.play("kill a")
    assert tree.is_alive()
    stage.world.set_wall_clock(stage.world.now() - timedelta(days=2))
    await stage.play("kill a")

    assert not tree.is_alive()


async def test_s76_giving_up_waits_for_the_siblings_to_clean_up(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("slow", stops=0.4), max_restarts=0)
    waiting = stage.begin(tree.wait_stopped)

    await stage.play("crash a", "advance 0.39")
    assert not waiting.is_done
    await stage.play("advance 0.01")

    assert waiting.value.kind == "escalated"
    assert stage.log == ["term slow", "done slow"]
