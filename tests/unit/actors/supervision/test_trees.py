"""Supervisors under supervisors, and children whose end ends the tree (S107-S120)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.actors.supervision.stage import STIMULI, Kid, Probe, Stage, how_it_ended, kid, sup

WORKER = "inner.w"


def inner(intensity: int = 0, **options: Any) -> Kid:
    flags = {"max_restarts": intensity, "otp_strict": options.pop("otp_strict", False)}
    return sup("inner", kid("w"), inner=flags, **options)


async def test_s107_an_inner_supervisor_that_gives_up_is_replaced(stage: Stage) -> None:
    tree = await stage.supervise(inner(1), kid("other"), max_restarts=2)
    before, other = await tree.child("inner"), await tree.child("other")

    await stage.play(f"kill {WORKER}", f"kill {WORKER}")

    after = await tree.child("inner")
    assert str(await how_it_ended(before)) == "escalated: w: killed"
    assert after.actor_urn != before.actor_urn
    assert await tree.child("other") is other
    assert stage.log == ["start w", "start w"]
    # The new one has a fresh budget.
    await stage.play(f"kill {WORKER}")
    assert await tree.child("inner") is after


@pytest.mark.parametrize(
    ("restart", "strict", "states", "reason", "log"),
    [
        pytest.param("transient", False, {"inner": "running"}, "escalated: w: killed", ["start w"], id="S108-DV6"),
        pytest.param("temporary", False, {}, "escalated: w: killed", [], id="S108-temporary"),
        pytest.param("transient", True, {"inner": "stopped"}, "shutdown", [], id="S108-strict"),
        pytest.param("temporary", True, {}, "shutdown", [], id="S108-strict-temporary"),
    ],
)
async def test_giving_up_is_no_silent_end(
    restart: str, strict: bool, states: dict[str, str], reason: str, log: list[str], stage: Stage
) -> None:
    # The `session_failed` event of a session that gives up is tested with the sessions.
    tree = await stage.supervise(inner(restart=restart, otp_strict=strict))
    ref = await tree.child("inner")

    await stage.play(f"kill {WORKER}")

    assert str(await how_it_ended(ref)) == reason
    assert await stage.states() == states
    assert stage.log == log


@pytest.mark.parametrize("strict", [False, True])
async def test_s109_three_levels_collapse(strict: bool, stage: Stage) -> None:
    flags = {"max_restarts": 0, "otp_strict": strict}
    tree = await stage.supervise(kid("other"), sup("middle", sup("inner", kid("w"), inner=flags), inner=flags), **flags)

    await stage.play("kill middle.inner.w")

    expected = "shutdown" if strict else "escalated: middle: escalated: inner: escalated: w: killed"
    assert str(await how_it_ended(tree)) == expected
    assert stage.log == ["term other"]
    assert stage.system.cells == 0


async def test_s110_a_tree_ends_depth_first_in_reverse(stage: Stage) -> None:
    tree = await stage.supervise(sup("s1", kid("a"), kid("b")), kid("c"), sup("s2", kid("d"), kid("e")))

    await tree.stop()

    assert stage.log == ["term e", "term d", "term c", "term b", "term a"]


async def test_s111_levels_multiply(stage: Stage) -> None:
    tree = await stage.supervise(inner(1), max_restarts=10)

    await stage.play(*[f"kill {WORKER}", "advance 0.03"] * 6)

    assert tree.is_alive()
    assert stage.log == ["start w"] * 6
    assert [info.restarts for info in await tree.which_children()] == [3]


async def test_s111_so_a_session_cannot_burn_its_parents_budget_when_each_child_has_its_own(stage: Stage) -> None:
    tree = await stage.supervise(inner(0), kid("other"), max_restarts=2, budget="child")

    await stage.play(f"kill {WORKER}", f"kill {WORKER}", "kill other", "kill other")
    assert tree.is_alive()
    await stage.play(f"kill {WORKER}")

    assert str(await how_it_ended(tree)) == "escalated: inner: escalated: w: killed"


@pytest.mark.parametrize("exit", ["finish", "kill"])
@pytest.mark.parametrize("crashing", [4, 400])
async def test_s112_of_10_000_supervisors_only_the_crashing_ones_are_restarted(
    exit: str, crashing: int, stage: Stage
) -> None:
    template = stage.spec(sup("session", kid("w", cls=Probe), inner={"max_restarts": 0}))
    tree = await stage.system.supervise_dynamic(template, max_restarts=1, budget="child")
    for _ in range(10_000):
        await tree.start_child()
    stage.log.clear()
    infos = await tree.which_children()
    victims = {info.id for info in infos[:: 10_000 // crashing]}
    for info in infos:
        if info.id in victims:
            worker = await info.ref.child("w")
            STIMULI[exit](worker)

    # Nobody else waits for it: an answer comes in the very first instant.
    assert await (await infos[1].ref.child("w")).call("undisturbed") == "undisturbed"
    await stage.world.settle()

    after = await tree.which_children()
    assert len(stage.log) == len(victims) == crashing
    assert {info.id for info in after if info.restarts} == victims
    assert [info.ref for info in after if info.id not in victims] == [
        info.ref for info in infos if info.id not in victims
    ]
    assert stage.world.monotonic() == 0


# --- automatic shutdown --------------------------------------------------------------------------------------

ANY, ALL = {"auto_shutdown": "any_significant"}, {"auto_shutdown": "all_significant"}
TRANSIENT = {"restart": "transient", "significant": True}
TEMPORARY = {"restart": "temporary", "significant": True}


@pytest.mark.parametrize(
    ("first", "second", "options", "script", "ends", "log"),
    [
        pytest.param(TRANSIENT, {}, ANY, ["finish a"], True, ["term a", "term b"], id="S113"),
        pytest.param(TRANSIENT, {}, ANY, ["shut a"], True, ["term a", "term b"], id="S113-shutdown"),
        pytest.param(TRANSIENT, {}, ANY, ["crash a"], False, ["start a"], id="S114"),
        pytest.param(TEMPORARY, {}, ANY, ["crash a"], True, ["term b"], id="S115"),
        pytest.param(TRANSIENT, TRANSIENT, ALL, ["finish a"], False, ["term a"], id="S116-first"),
        pytest.param(TRANSIENT, TRANSIENT, ALL, ["finish a", "finish b"], True, ["term a", "term b"], id="S116-last"),
        pytest.param(TEMPORARY, TRANSIENT, ALL, ["kill a", "finish b"], True, ["term b"], id="S116-mixed"),
        pytest.param(TRANSIENT, {}, ANY, ["terminate a"], False, ["term a"], id="S117"),
        pytest.param(TEMPORARY, {}, ANY, ["terminate a"], False, ["term a"], id="S117-temporary"),
        pytest.param(
            TEMPORARY,
            {},
            {**ANY, "strategy": "one_for_all"},
            ["kill b"],
            False,
            ["term a", "start b"],
            id="S119",
        ),
        pytest.param(TRANSIENT, {}, ANY, ["kill b"], False, ["start b"], id="S120"),
        pytest.param(TRANSIENT, {"restart": "temporary"}, ANY, ["finish b"], False, ["term b"], id="S120-temporary"),
    ],
)
async def test_when_a_tree_ends_by_itself(
    first: Any, second: Any, options: Any, script: list[str], ends: bool, log: list[str], stage: Stage
) -> None:
    tree = await stage.supervise(kid("a", **first), kid("b", **second), **options)

    await stage.play(*script)

    assert stage.log == log
    assert tree.is_alive() != ends
    if ends:
        assert str(await how_it_ended(tree)) == "shutdown"
        assert stage.system.cells == 0


@pytest.mark.parametrize(
    ("restart", "states", "log"),
    [
        pytest.param("permanent", {"inner": "running", "b": "running"}, ["term a", "start a"], id="S118-permanent"),
        pytest.param("transient", {"inner": "stopped", "b": "running"}, ["term a"], id="S118-transient"),
        pytest.param("temporary", {"b": "running"}, ["term a"], id="S118-temporary"),
    ],
)
async def test_what_becomes_of_a_supervisor_that_ended_by_itself(
    restart: str, states: dict[str, str], log: list[str], stage: Stage
) -> None:
    await stage.supervise(sup("inner", kid("a", **TRANSIENT), inner=ANY, restart=restart), kid("b"))

    await stage.play("finish inner.a")

    assert stage.log == log
    assert await stage.states() == states
