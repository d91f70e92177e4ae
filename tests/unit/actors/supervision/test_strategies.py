"""Strategies: who is restarted along with a child, and in which order (S44-S62)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ChildNotFound, ChildStartError, InvalidChildSpec
from jidoka.actors.specs import ChildSpec
from tests.unit.actors.supervision.stage import OK, Boom, Kid, Probe, Stage, how_it_ended, kid
from tests.unit.actors.supervision.world import settle


@dataclass
class Row:
    """A tree, what happens to it, and the log that follows."""

    children: list[Kid]
    script: list[str]
    log: list[str]
    states: dict[str, str] | None = None
    ends: str | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])


def row(*children: Kid, script: str, log: str, **more: Any) -> Row:
    """Script and log are written with commas."""
    options = {key: more.pop(key) for key in list(more) if key not in ("states", "ends")}
    return Row(list(children), listed(script), listed(log), options=options, **more)


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


ALL = "one_for_all"
REST = "rest_for_one"
RUNNING = "running"
STOPPED = "stopped"


def table() -> list[Any]:
    return [
        pytest.param(row(kid("a"), kid("b"), kid("c"), script="kill b", log="start b"), id="S44"),
        pytest.param(
            row(
                *map(kid, "abcd"),
                strategy=ALL,
                script="kill b",
                log="term d, term c, term a, start a, start b, start c, start d",
            ),
            id="S45",
        ),
        pytest.param(
            row(
                *map(kid, "abcd"),
                strategy=REST,
                script="kill b",
                log="term d, term c, start b, start c, start d",
            ),
            id="S46",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("b", restart="temporary"),
                strategy=ALL,
                script="kill a",
                log="term b, start a",
                states={"a": RUNNING},
            ),
            id="S47",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("b", restart="transient"),
                strategy=ALL,
                script="finish b, kill a",
                log="term b, start a, start b",
            ),
            id="S48",
        ),
        pytest.param(
            row(
                *map(kid, "ab"),
                strategy=ALL,
                script="terminate b, kill a",
                log="term b, start a",
                states={"a": RUNNING, "b": STOPPED},
            ),
            id="S49-DV5",
        ),
        pytest.param(
            row(
                *map(kid, "ab"),
                strategy=ALL,
                otp_strict=True,
                script="terminate b, kill a",
                log="term b, start a, start b",
                states={"a": RUNNING, "b": RUNNING},
            ),
            id="S49-strict",
        ),
        pytest.param(
            row(
                *map(kid, "ab"),
                script="terminate b, kill a",
                log="term b, start a",
                states={"a": RUNNING, "b": STOPPED},
            ),
            id="S50",
        ),
        pytest.param(
            row(
                kid("a", restart="transient"),
                kid("b"),
                kid("c", restart="transient"),
                strategy=REST,
                script="finish a, finish c, kill b",
                log="term a, term c, start b, start c",
                states={"a": STOPPED, "b": RUNNING, "c": RUNNING},
            ),
            id="S51",
        ),
        pytest.param(row(*map(kid, "ab"), strategy=ALL, script="kill a b", log="start a, start b"), id="S52-kill"),
        pytest.param(row(*map(kid, "ab"), script="kill a b", log="start a, term a", ends="escalated"), id="S53"),
        pytest.param(
            row(*map(kid, "ab"), script="kill a b", log="start a, term a", ends="shutdown", otp_strict=True),
            id="S53-strict",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("b", starts=[OK, Boom()]),
                strategy=ALL,
                max_restarts=2,
                script="kill a, advance 1",
                log="term b, start a, fail b, term a, start a, start b",
            ),
            id="S54",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("b", starts=[OK, Boom()]),
                kid("c"),
                strategy=REST,
                max_restarts=2,
                script="kill a, advance 1",
                log="term c, term b, start a, fail b, start b, start c",
            ),
            id="S55",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("t", restart="temporary"),
                strategy=ALL,
                max_restarts=0,
                script="crash t",
                log="",
                states={"a": RUNNING},
            ),
            id="S56-temporary",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("t", restart="transient"),
                strategy=ALL,
                max_restarts=0,
                script="finish t",
                log="term t",
                states={"a": RUNNING, "t": STOPPED},
            ),
            id="S56-transient",
        ),
        pytest.param(
            row(
                *map(kid, "abc"),
                strategy=ALL,
                script="terminate a",
                log="term a",
                states={"a": STOPPED, "b": RUNNING, "c": RUNNING},
            ),
            id="S57",
        ),
        pytest.param(
            row(
                kid("a"),
                kid("b", stops=Boom("while cleaning up")),
                strategy=ALL,
                script="kill a",
                log="term b, start a, start b",
            ),
            id="S59",
        ),
    ]


@pytest.mark.parametrize("case", table())
async def test_the_log_of_a_tree_is_the_expected_one(case: Row, stage: Stage) -> None:
    children = [fresh(child) for child in case.children]
    tree = await stage.supervise(*children, **case.options)

    await stage.play(*case.script)

    assert stage.log == case.log
    if case.ends is not None:
        assert (await how_it_ended(tree)).kind == case.ends
    else:
        assert await stage.states() == (case.states or dict.fromkeys((c.id for c in children), RUNNING))


def fresh(child: Kid) -> Kid:
    """A row is used once per event loop, and a script only once."""
    steps = list(child.starts)
    child.starts = iter(steps)
    return Kid(child.id, child.cls, iter(steps), child.stops, options=child.options)


async def test_s44_the_siblings_keep_their_identity(stage: Stage) -> None:
    tree = await stage.supervise(*map(kid, "abc"))
    before = {info.id: info.ref.actor_urn for info in await tree.which_children()}

    await stage.play("kill b")

    after = {info.id: info.ref.actor_urn for info in await tree.which_children()}
    assert [id for id in "abc" if before[id] != after[id]] == ["b"]


@pytest.mark.parametrize("strict", [False, True])
async def test_s52_s53_two_crashes_in_one_instant(strict: bool, stage: Stage) -> None:
    # A message that crashes its actor and waits in the mailbox would be redelivered (DV11): these are being handled.
    fuse = anyio.Event()

    async def blow(_probe: Probe) -> None:
        await fuse.wait()
        raise Boom("both")

    ends: list[bool] = []
    for strategy in (ALL, "one_for_one"):
        tree = await stage.supervise(*map(kid, "ab"), strategy=strategy, otp_strict=strict)
        for name in "ab":
            (await stage.find(name)).tell(blow)
        await settle()
        fuse.set()
        await settle()
        ends.append(tree.is_alive())
        fuse = anyio.Event()

    assert ends == [True, False]


async def test_s58_a_child_added_later_counts_as_last(stage: Stage) -> None:
    tree = await stage.supervise(*map(kid, "ab"), strategy=REST)
    await tree.start_child(stage.spec(kid("z")))
    stage.log.clear()

    await stage.play("kill a")

    assert stage.log == ["term z", "term b", "start a", "start b", "start z"]


async def test_s59_the_error_of_a_cleanup_is_reported(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await stage.supervise(kid("a"), kid("b", stops=Boom("while cleaning up")), strategy=ALL)

    await stage.play("kill a")

    assert any(record.exc_info and isinstance(record.exc_info[1], Boom) for record in caplog.records)


async def test_s60_a_dynamic_child_comes_back_with_its_own_arguments(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x")))
    first, second = await tree.start_child("1"), await tree.start_child("2")
    stage.log.clear()

    first.kill()
    await settle()

    assert stage.log == ["start x1"]
    assert (await first.call(lambda probe: probe.name), await second.call(lambda probe: probe.name)) == ("x1", "x2")


async def test_s60_dynamic_children_are_not_managed_by_id(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(stage.spec(kid("x")))
    child = await tree.start_child("1")
    stranger = await stage.system.start(Probe, stage, kid("stranger"))

    for refused in (tree.delete_child, tree.restart_child):
        with pytest.raises(InvalidChildSpec):
            await refused((await tree.which_children())[0].id)
    with pytest.raises(ChildNotFound):
        await tree.terminate_child(stranger)
    await tree.terminate_child(child)
    await tree.terminate_child(child)

    assert await tree.which_children() == []
    assert stranger.is_alive()


async def test_s61_max_children_counts_the_ones_being_restarted(stage: Stage) -> None:
    failing = stage.spec(kid("x", starts=[OK, OK, Boom()]))
    tree = await stage.system.supervise_dynamic(failing, max_children=2, max_restarts=3)
    first, _ = await tree.start_child("1"), await tree.start_child("2")

    first.kill()
    await settle()
    with pytest.raises(ChildStartError, match="max_children"):
        await tree.start_child("3")

    assert [info.state for info in await tree.which_children()] == ["restarting", "running"]


async def test_s62_one_template_twice_gives_two_independent_children(stage: Stage) -> None:
    tree = await stage.system.supervise_dynamic(ChildSpec("x", Probe, (stage, kid("x"))))
    first, second = await tree.start_child(), await tree.start_child()

    await tree.terminate_child(first)

    assert not first.is_alive()
    assert await second.call("still here") == "still here"
