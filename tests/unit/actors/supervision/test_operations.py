"""Managing children by hand (S95-S106)."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ChildNotFound, ChildStartError, InvalidChildSpec
from jidoka.actors.exits import KILLED, Ignore
from tests.unit.actors.supervision.stage import OK, Boom, Careful, Kid, Probe, Stage, kid, sup
from tests.unit.actors.supervision.world import settle


async def refusal(operation: Any, argument: Any) -> str:
    """What *operation* answers: not_found, or the reason of its refusal."""
    try:
        await operation(argument)
    except ChildNotFound:
        return "not_found"
    except ChildStartError as error:
        return error.reason
    return "ok"


async def test_s95_an_id_that_is_taken_is_not_started_twice(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    with pytest.raises(ChildStartError, match="already_started") as running:
        await tree.start_child(stage.spec(kid("a")))
    await tree.terminate_child("a")

    assert running.value.ref is child
    assert await refusal(tree.start_child, stage.spec(kid("a"))) == "already_present"


class Broken(Careful):
    """Its constructor fails."""

    def __init__(self, stage: Stage, kid: Kid) -> None:
        raise Boom("in the constructor")


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        pytest.param(lambda: kid("x", starts=[Boom("no")]), "Boom: no", id="S96-errors"),
        pytest.param(lambda: kid("x", cls=Broken), "Boom: in the constructor", id="S96-raises"),
        pytest.param(lambda: kid("x", starts=[SystemExit()]), "SystemExit", id="S96-exits"),
    ],
)
async def test_a_start_that_fails_leaves_no_spec(failing: Any, reason: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=0)

    assert await refusal(tree.start_child, stage.spec(failing())) == reason

    assert await stage.states() == {"a": "running"}
    assert stage.system.cells == 2


@pytest.mark.parametrize("junk", [42, "x", None, {"id": "x"}, {"id": "x", "actor": 42}])
async def test_s96_junk_is_refused(junk: Any, stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=0)

    with pytest.raises(InvalidChildSpec):
        await tree.start_child(junk)

    assert await stage.states() == {"a": "running"}


async def test_s96_a_child_that_ignores_its_start_keeps_its_spec(stage: Stage) -> None:
    tree = await stage.supervise()

    ref = await tree.start_child(stage.spec(kid("x", starts=[Ignore()])))

    assert not ref.is_alive()
    assert await stage.states() == {"x": "stopped"}


async def test_s97_terminating_twice(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("t", restart="temporary"))

    answers = [await refusal(tree.terminate_child, id) for id in ("a", "a", "t", "t", "unknown")]

    assert answers == ["ok", "ok", "ok", "not_found", "not_found"]
    assert await stage.states() == {"a": "stopped"}


async def test_s98_restarting_by_hand(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b"), kid("t", restart="temporary"))
    before = await tree.child("b")
    await stage.play("terminate b", "crash t")

    answers = [await refusal(tree.restart_child, id) for id in ("a", "b", "t", "unknown")]

    assert answers == ["running", "ok", "not_found", "not_found"]
    after = await tree.child("b")
    assert after.is_alive()
    assert not before.is_alive()
    assert after.actor_urn != before.actor_urn


async def test_s99_deleting(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))

    first = await refusal(tree.delete_child, "a")
    await tree.terminate_child("a")

    assert [first, await refusal(tree.delete_child, "a"), await refusal(tree.delete_child, "a")] == [
        "running",
        "ok",
        "not_found",
    ]
    assert (await tree.start_child(stage.spec(kid("a")))).is_alive()


async def test_s100_children_are_listed_in_start_order(stage: Stage) -> None:
    # OTP lists the last one first.
    tree = await stage.supervise(kid("ch7"), kid("ch3"), kid("ch10"))
    await tree.start_child(stage.spec(kid("ch1")))

    assert [info.id for info in await tree.which_children()] == ["ch7", "ch3", "ch10", "ch1"]


async def test_s101_children_are_counted(stage: Stage) -> None:
    tree = await stage.supervise(kid("up"), kid("ignored", starts=[Ignore()]), sup("inner", kid("w")))

    counts = await tree.count_children()

    assert (counts.specs, counts.active, counts.supervisors, counts.workers) == (3, 2, 1, 2)
    assert (counts["specs"], counts["active"]) == (3, 2)
    assert [info.type for info in await tree.which_children()] == ["worker", "worker", "supervisor"]


async def test_s102_a_manual_restart_that_fails_costs_nothing(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=[OK, Boom("not yet")]), max_restarts=0)
    await tree.terminate_child("a")

    first = await refusal(tree.restart_child, "a")
    states = await stage.states()
    second = await refusal(tree.restart_child, "a")

    assert (first, states, second) == ("Boom: not yet", {"a": "stopped"}, "ok")
    assert tree.is_alive()


async def test_s103_a_start_that_fails_disturbs_no_sibling(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), strategy="one_for_all", max_restarts=0)

    await refusal(tree.start_child, stage.spec(kid("b", starts=[Boom()])))

    assert stage.log == ["fail b"]


async def test_s104_unknown_and_forged_messages_are_ignored(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=0)
    child = await tree.child("a")

    for message in ("hello", ("EXIT", child, "killed"), ("child_down", "a", KILLED), {"command": "stop"}, 42):
        tree.tell(message)
    await settle()

    assert await stage.states() == {"a": "running"}
    assert stage.log == []
    assert caplog.text.count("Unexpected message") == 5


async def test_s106_what_is_listed_as_running_runs(stage: Stage) -> None:
    chance = Random(106)
    tree = await stage.supervise(
        *(kid(f"{restart}{n}", restart=restart) for restart in ("permanent", "transient", "temporary") for n in "12"),
        max_restarts=1000,
    )

    async def vanish(_probe: Probe) -> None:
        await anyio.lowlevel.checkpoint()
        raise Boom

    for _ in range(50):
        infos = await tree.which_children()
        victim = chance.choice([info.ref for info in infos if info.state == "running"])
        chance.choice([victim.kill, lambda victim=victim: victim.tell(vanish)])()
        await settle()
        infos = await tree.which_children()
        running = [info for info in infos if info.state == "running"]
        assert all(info.ref.is_alive() for info in running)
        assert (await tree.count_children()).active == len(running)
        assert stage.system.cells == 1 + len(running)


async def test_terminating_by_ref(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), kid("b"))
    stranger = await stage.system.start(Probe, stage, kid("stranger"))

    await tree.terminate_child(await tree.child("a"))
    with pytest.raises(ChildNotFound):
        await tree.terminate_child(stranger)

    assert await stage.states() == {"a": "stopped", "b": "running"}


async def test_terminating_a_child_during_a_group_restart_keeps_it_stopped(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=[OK, 0.5]), kid("b"), kid("c", stops=0.5), strategy="one_for_all")
    await stage.play("kill a")

    asked = await stage.asked(0, tree.terminate_child, "b")
    await stage.world.advance(2)

    assert asked.is_done
    assert await stage.states() == {"a": "running", "b": "stopped", "c": "running"}
    assert [line for line in stage.log if line.endswith("b")] == ["term b"]
