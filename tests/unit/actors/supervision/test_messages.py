"""Ends that others wait for, calls and their answers, ids, and the order of messages (S121-S132)."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import anyio
import pykka
import pytest

from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, ChildStartError
from jidoka.actors.exits import NORMAL, Stop
from tests.unit.actors.supervision.stage import FOREVER, OK, Boom, Careful, Probe, Stage, how_it_ended, kid
from tests.unit.actors.supervision.world import settle


@pytest.mark.parametrize("exit", ["kill", "finish"])
async def test_s121_nobody_is_linked_to_a_sibling(exit: str, stage: Stage) -> None:
    # DV8: there are no links. What depends on a child comes behind it under rest_for_one.
    tree = await stage.supervise(kid("a", restart="temporary"), kid("b"))
    b = await tree.child("b")

    await stage.play(f"{exit} a")

    assert await tree.child("b") is b
    assert b.is_alive()
    assert not hasattr(b, "link")


async def test_s122_a_kill_cannot_be_refused(stage: Stage) -> None:
    async def ignore(_probe: Probe) -> None:
        await anyio.sleep_forever()

    tree = await stage.supervise(kid("a", shutdown="infinity", stops=FOREVER, restart="temporary"))
    child = await tree.child("a")
    child.tell(ignore)
    asked = await stage.asked(1000, tree.terminate_child, "a")
    assert not asked.is_done
    assert child.cell.actor is not None

    child.kill()
    await settle()

    assert asked.is_done
    assert (await how_it_ended(child)).kind == "killed"


async def test_s123_waiting_for_a_dead_actor_is_over_at_once(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", restart="temporary"), kid("b", restart="temporary"))
    a, b = await tree.child("a"), await tree.child("b")
    await stage.play("crash a", "finish b")

    assert (await a.wait_stopped()).kind == "crash"
    assert await b.wait_stopped() == NORMAL


async def test_s123_so_it_is_for_an_incarnation_that_was_replaced(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    before = await tree.child("a")
    await stage.play("kill a")

    assert (await before.wait_stopped()).kind == "killed"


async def test_s124_everybody_who_waits_hears_of_it_once(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")
    waiting = [await stage.asked(0, child.wait_stopped) for _ in range(2)]
    gone = anyio.CancelScope()

    async def gives_up() -> None:
        with gone:
            await child.wait_stopped()

    await stage.asked(0, gives_up)
    gone.cancel()
    await settle()
    assert len(child.cell._watchers or ()) == 2  # pyright: ignore[reportPrivateUsage]
    await stage.play("kill a")

    assert [asked.value.kind for asked in waiting] == ["killed"] * 2
    assert not child.cell._watchers  # pyright: ignore[reportPrivateUsage]


async def a_while(probe: Probe) -> str:
    await probe.stage.sleep(0.2)
    return "late"


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
@pytest.mark.parametrize(
    ("message", "stimulus", "reason"),
    [
        pytest.param(a_while, "kill a", "killed", id="S125-killed"),
        pytest.param(Stop(), "", "normal", id="S125-stops"),
        pytest.param(SystemExit(3), "", "crash", id="S125-exits"),
        pytest.param(a_while, "finish a", None, id="S125-answers-first"),
    ],
)
async def test_a_call_always_has_an_answer(
    message: Any, stimulus: str, reason: str | None, restart: Any, stage: Stage
) -> None:
    tree = await stage.supervise(kid("a", restart=restart))
    child = await tree.child("a")

    asked = await stage.asked(0, child.call, message)
    if stimulus:
        await stage.play(stimulus)
    await stage.play("advance 0.2")

    if reason is None:
        assert asked.value == "late"
    elif restart == "permanent":
        assert isinstance(asked.error, ActorRestarted)
    else:
        assert isinstance(asked.error, ActorDead)
        assert asked.error.reason is not None
        assert asked.error.reason.kind == reason


async def test_s125_a_call_to_a_dead_actor_fails_at_once(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", restart="temporary"))
    child = await tree.child("a")
    await stage.play("crash a")

    with pytest.raises(ActorDead):
        await child.call("anybody?")

    assert stage.world.monotonic() == 0


async def test_s126_a_late_answer_is_dropped(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    asked = await stage.asked(0.05, child.call, a_while, 0.05)
    assert isinstance(asked.error, CallTimeout)
    await stage.world.advance(0.15)

    assert stage.log == []
    assert await child.call("lives") == "lives"
    assert len(stage.system.timers) == 0
    assert child.cell.mail_count == 0


@pytest.mark.slow
async def test_s126_100_000_calls_that_time_out_leave_nothing(stage: Stage) -> None:
    async def blocked(probe: Probe) -> None:
        await probe.stage.released.wait()

    timed_out: list[int] = []

    async def calls() -> None:
        for _ in range(100):
            try:
                pytest.fail(await child.call("in vain", 0.05))
            except CallTimeout:
                timed_out.append(1)

    tree = await stage.supervise(kid("a", cls=Roomy))
    child = await tree.child("a")
    child.tell(blocked)
    asked = [stage.begin(calls) for _ in range(1_000)]
    await stage.world.advance(5.01)
    assert all(one.is_done and one.error is None for one in asked)
    assert len(timed_out) == child.cell.mail_count == 100_000

    stage.released.set()
    await settle()

    assert child.cell.mail_count == 0
    assert len(stage.system.timers) == 0
    assert len(stage.system.timers._heap) < 3_000  # pyright: ignore[reportPrivateUsage]
    assert stage.world.sleeping <= 1
    # Nobody waits for these answers any more, but they may have had an effect: they are handled.
    assert len(stage.got) == 100_000


class Roomy(Probe):
    """Has room for all of them."""

    mailbox_capacity = 200_000


async def test_s127_telling_a_dead_actor_is_refused(stage: Stage) -> None:
    # Pykka's rule; OTP says ok, and nothing happens.
    tree = await stage.supervise(kid("a", restart="temporary"))
    child = await tree.child("a")
    await stage.play("kill a")

    with pytest.raises(ActorDead):
        child.tell("anybody?")
    with pytest.raises(pykka.ActorDeadError):
        child.tell("anybody?")


async def test_s123_so_it_is_for_one_that_did_not_come_up_again(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", starts=[OK, Boom("not yet")]), max_restarts=5)
    await stage.play("kill a")
    assert await stage.states() == {"a": "restarting"}

    child = (await tree.which_children())[0].ref
    child.kill()

    assert (await child.wait_stopped()).kind == "crash"


class Failing(Careful):
    """Has Pykka's hook for crashes."""

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        assert self.exit_reason is not None
        self.stage.say(f"{self.exit_reason.kind} {exception_type.__name__}", self.name)


async def test_s128_a_crash_calls_its_hook_and_a_kill_does_not(stage: Stage) -> None:
    await stage.supervise(kid("a", cls=Failing), max_restarts=2)

    await stage.play("crash a", "kill a")

    assert stage.log == ["crash Boom a", "start a", "start a"]


def census(stage: Stage) -> dict[str, int]:
    """What there is of everything that could be left behind."""
    gc.collect()
    system = stage.system
    return {
        "cells": system.cells,
        "timers": len(system.timers),
        "sleepers": stage.world.sleeping,
        "tasks": len(anyio.get_running_tasks()),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0,
        "abandoned": len(system.abandoned),
        "registered by Pykka": len(pykka.ActorRegistry.get_all()),
        "actors": sum(isinstance(thing, Probe) for thing in gc.get_objects()),
    }


@pytest.mark.parametrize("way", ["supervised", "dynamic", "alone"])
async def test_s129_10_000_lives_leave_nothing_behind(way: str, stage: Stage) -> None:
    spec = stage.spec(kid("a", cls=Probe, restart="temporary"))
    tree = await stage.supervise()
    dynamic = await stage.system.supervise_dynamic(spec)

    async def live() -> None:
        if way == "alone":
            ref = await stage.system.start(Probe, stage, kid("a"))
        else:
            ref = await (tree.start_child(spec) if way == "supervised" else dynamic.start_child())
        ref.tell("hello")
        ref.kill()
        # The id is free as soon as the end is known.
        assert (await ref.wait_stopped()).kind == "killed"

    await live()
    await settle()
    before = census(stage)

    for _ in range(10_000):
        await live()
    await settle()

    assert census(stage) == before
    assert await tree.which_children() == []


async def test_s130_an_id_is_unique_among_siblings_and_free_after_its_owner(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", restart="temporary"))
    owner = await tree.child("a")

    with pytest.raises(ChildStartError) as caught:
        await tree.start_child(stage.spec(kid("a")))
    await stage.play("kill a")

    assert caught.value.ref is owner
    assert (await tree.start_child(stage.spec(kid("a")))).is_alive()


async def test_s131_no_actor_depends_on_a_registry(stage: Stage) -> None:
    # DV10: who is there is read off the tree. Pykka's registry only knows what was started through Pykka.
    tree = await stage.supervise(kid("a"))
    adopted = Probe.start(stage, kid("adopted"))
    await settle()

    pykka.ActorRegistry.unregister(adopted)

    assert pykka.ActorRegistry.get_all() == []
    assert await (await tree.child("a")).call("found") == "found"
    assert await adopted.call("lives") == "lives"


async def test_s132_messages_of_one_sender_arrive_in_order(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    async def send(sender: int) -> None:
        for number in range(1, 1_001):
            child.tell((sender, number))
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as senders:
        for sender in range(50):
            senders.start_soon(send, sender)
    await settle()

    assert len(stage.got) == 50_000
    for sender in range(50):
        assert [number for who, number in stage.got if who == sender] == list(range(1, 1_001))


async def test_s132_a_restart_in_between_changes_no_order(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"), max_restarts=100)
    child = await tree.child("a")

    for number in range(1, 1_001):
        child.tell(number)
        if number % 100 == 0:
            child.tell(Boom("in between"))
    await settle()

    assert stage.got == list(range(1, 1_001))
    assert stage.log == ["start a"] * 10
