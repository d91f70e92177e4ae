"""Restart types, and what counts as which exit (S30-S43)."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.exits import Stop
from jidoka.actors.request import Request
from tests.unit.actors.supervision.stage import EXITS, FOREVER, Boom, Careful, Probe, Stage, how_it_ended, kid
from tests.unit.actors.supervision.world import settle

CLEAN = ("finish", "shut", "close")
COMES_BACK = {"permanent": tuple(EXITS), "transient": ("crash", "kill"), "temporary": ()}


@pytest.mark.parametrize("exit", EXITS)
@pytest.mark.parametrize(
    "restart",
    [
        pytest.param("permanent", id="S30"),
        pytest.param("transient", id="S31-S32"),
        pytest.param("temporary", id="S33"),
    ],
)
async def test_who_is_started_again_after_which_exit(restart: Any, exit: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=Probe, restart=restart), kid("b"))
    child = await tree.child("a")

    await stage.play(f"{exit} a")

    assert (await how_it_ended(child)).kind == EXITS[exit]
    assert stage.log == (["start a"] if exit in COMES_BACK[restart] else [])
    state = {"temporary": {}, "transient": {"a": "stopped"}}.get(restart, {})
    expected = {"a": "running"} if exit in COMES_BACK[restart] else state
    assert await stage.states() == {**expected, "b": "running"}


async def test_s30_a_shutdown_keeps_its_detail(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    await stage.play("close a")

    assert str(await how_it_ended(child)) == "shutdown: with detail"


async def test_s34_a_new_incarnation_has_a_new_identity_and_a_fresh_state(stage: Stage) -> None:
    # That a session's state is rebuilt from its journal: tests/stories/test_s35_durable_mailbox.py.
    def count(probe: Probe) -> int:
        probe.count += 1
        return probe.count

    tree = await stage.supervise(kid("a"))
    before = await tree.child("a")
    assert await before.call(count) == 1

    await stage.play("kill a")

    after = await tree.child("a")
    assert after.actor_urn != before.actor_urn
    assert after.cell.actor is not None
    assert after.cell.actor.count == 0
    assert await before.call(count) == 1


class Durable(Request[str]):
    """A call that survives its actor's crash."""

    durable = True


async def test_s35_what_waits_behind_a_crash_is_redelivered_or_answered(stage: Stage) -> None:
    # DV11; OTP would lose all of it. With a journal: tests/stories/test_s35_durable_mailbox.py.
    fuse = anyio.Event()

    async def crash(_probe: Probe) -> None:
        await fuse.wait()
        raise Boom("first in line")

    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")
    child.tell(crash)
    await settle()
    durables = [Durable() for _ in range(5)]
    kept = [await stage.asked(0, child.call, durable) for durable in durables]
    ephemeral = [await stage.asked(0, child.call, f"call {number}") for number in range(5)]
    for number in range(5):
        child.tell(f"tell {number}")

    fuse.set()
    await settle()

    assert [asked.value for asked in kept] == durables
    assert [type(asked.error) for asked in ephemeral] == [ActorRestarted] * 5
    assert stage.got == [*durables, *(f"tell {number}" for number in range(5))]
    assert stage.log == ["start a"]


async def test_s35_nobody_is_left_without_an_answer_when_no_incarnation_follows(stage: Stage) -> None:
    async def crash(_probe: Probe) -> None:
        await stage.released.wait()
        raise Boom

    tree = await stage.supervise(kid("a", restart="temporary"))
    child = await tree.child("a")
    child.tell(crash)
    await settle()
    waiting = [stage.begin(child.call, message) for message in (Durable(), "ephemeral")]
    await settle()

    stage.released.set()
    await settle()

    assert [type(asked.error) for asked in waiting] == [ActorDead] * 2


async def test_s36_a_caller_hears_of_the_crash_at_once(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    child = await tree.child("a")

    with pytest.raises(Boom, match="in your message"):
        await child.call(Boom("in your message"))

    assert stage.world.monotonic() == 0
    assert (await how_it_ended(child)).kind == "crash"
    assert stage.log == ["start a"]


async def test_s36_so_does_the_caller_of_an_actor_that_is_killed(stage: Stage) -> None:
    tree = await stage.supervise(kid("a"))
    asked = stage.begin((await tree.child("a")).call, lambda _probe: anyio.sleep_forever())
    await settle()

    await stage.play("kill a")

    assert isinstance(asked.error, ActorRestarted)
    assert stage.world.monotonic() == 0


async def test_s37_a_transient_child_that_finished_may_be_started_by_hand(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", restart="transient"))
    before = await tree.child("a")
    await stage.play("finish a")

    after = await tree.restart_child("a")

    assert after.is_alive()
    assert not before.is_alive()
    assert stage.log == ["term a", "start a"]


@pytest.mark.parametrize(("strict", "kind"), [(False, "escalated"), (True, "shutdown")])
async def test_s38_a_normal_exit_of_a_permanent_child_is_a_restart(strict: bool, kind: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=Probe, starts=[None, *[Stop()] * 10]), max_restarts=3, otp_strict=strict)

    await stage.play("finish a")

    assert stage.log == ["start a"] * 3
    assert (await how_it_ended(tree)).kind == kind


async def test_s38_endless_normal_exits_hold_up_nobody(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=Probe, starts=[None, *[Stop()] * 20_000]), kid("b"), max_restarts=30_000)
    await stage.play("finish a")

    assert len(stage.log) == 20_001
    assert await (await tree.child("b")).call("fine") == "fine"


ESCAPES = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(), MemoryError(), RecursionError()]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", ESCAPES, ids=lambda error: type(error).__name__)
async def test_s39_no_exception_harms_anybody_else(error: BaseException, is_async: bool, stage: Stage) -> None:
    def escape(_probe: Probe) -> None:
        raise error.with_traceback(None)

    async def escape_later(_probe: Probe) -> None:
        await anyio.lowlevel.checkpoint()
        raise error.with_traceback(None)

    tree = await stage.supervise(kid("a"), kid("b"))
    sibling, child = await tree.child("b"), await tree.child("a")

    asked = stage.begin(child.call, escape_later if is_async else escape)
    await settle()

    assert isinstance(asked.error, Exception)
    assert (await how_it_ended(child)).kind == "crash"
    assert stage.log == ["start a"]
    assert await sibling.call("fine") == "fine"
    assert await child.call("fine too") == "fine too"


async def test_s40_a_cancellation_that_nobody_asked_for_is_a_crash(stage: Stage) -> None:
    async def pretend(_probe: Probe) -> None:
        kept: BaseException | None = None
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.lowlevel.checkpoint()
            except BaseException as error:
                kept = error
        assert kept is not None
        raise kept

    def invent(_probe: Probe) -> None:
        raise asyncio.CancelledError

    tree = await stage.supervise(kid("a"), max_restarts=2)
    for message in (pretend, invent):
        child = await tree.child("a")
        child.tell(message)
        await settle()

        assert (await how_it_ended(child)).kind == "crash"
    assert stage.log == ["start a", "start a"]
    assert await child.call("works") == "works"


async def swallow_one(probe: Probe) -> None:
    """Takes a cancellation, and goes on."""
    try:
        await anyio.sleep_forever()
    except BaseException:
        probe.stage.say("swallow", probe.name)
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("cls", "seconds", "kind"),
    [
        # The cancellation is the supervisor's own asking, in time: a shutdown.
        pytest.param(Probe, 0.0, "shutdown", id="S41-at-once"),
        # A trapping child is cancelled at its deadline only: killed.
        pytest.param(Careful, 1.0, "killed", id="S41-at-the-deadline"),
    ],
)
async def test_a_swallowed_cancellation_is_delivered_again(cls: Any, seconds: float, kind: str, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=cls, shutdown=1.0))
    child = await tree.child("a")
    child.tell(swallow_one)
    await settle()

    asked = await stage.asked(seconds, tree.terminate_child, "a")

    assert asked.is_done
    assert (await how_it_ended(child)).kind == kind
    assert stage.log == ["swallow a"]


async def swallow_all(probe: Probe) -> None:
    """Cannot be cancelled."""
    while not probe.stage.released.is_set():
        try:
            await anyio.sleep(0.001)
        except BaseException:
            continue


@pytest.mark.parametrize("cls", [Probe, Careful])
async def test_s42_code_that_swallows_every_cancellation_is_abandoned(cls: Any, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=cls, shutdown=1.0), kid("b"))
    child = await tree.child("a")
    child.tell(swallow_all)
    await settle(50)

    asked = stage.begin(tree.terminate_child, "a")
    await stage.world.advance(1.9)
    assert not asked.is_done
    assert await (await tree.child("b")).call("not stuck") == "not stuck"
    await stage.world.advance(0.1)

    assert asked.is_done
    assert (await how_it_ended(child)).kind == "abandoned"
    assert [name for name, _since in stage.system.abandoned] == [cls.__name__]
    assert await stage.states() == {"a": "abandoned", "b": "running"}
    assert (await tree.restart_child("a")).is_alive()


async def test_s42_what_was_abandoned_can_do_nothing_through_its_refs(stage: Stage) -> None:
    refused: list[BaseException] = []

    async def linger(probe: Probe) -> None:
        while not stage.released.is_set():
            with anyio.CancelScope(shield=True):
                await stage.released.wait()
        for send in (other.tell, other.call):
            try:
                answer = send("from the grave")
                if answer is not None:
                    await answer
            except Exception as error:
                refused.append(error)

    tree = await stage.supervise(kid("a", shutdown=1.0), kid("b"))
    other = await tree.child("b")
    (await tree.child("a")).tell(linger)
    await settle()
    await stage.asked(2, tree.terminate_child, "a")

    stage.released.set()
    await settle()

    assert [type(error) for error in refused] == [ActorDead] * 2
    assert stage.got == []
    assert stage.system.abandoned == []
    assert await stage.states() == {"a": "stopped", "b": "running"}


@pytest.mark.parametrize("cls", [Probe, Careful])
async def test_s43_a_stop_that_comes_in_the_tick_of_a_result_is_not_lost(cls: Any, stage: Stage) -> None:
    tree = await stage.supervise(kid("a", cls=cls, shutdown="infinity"))

    for order in range(200):
        result = anyio.Event()

        async def wait_for(_probe: Probe, result: anyio.Event = result) -> str:
            with anyio.move_on_after(FOREVER):
                await result.wait()
            return "handled"

        child = await tree.child("a")
        call = stage.begin(child.call, wait_for)
        await settle()
        if order % 2:
            result.set()
        stop = stage.begin(tree.terminate_child, "a")
        if not order % 2:
            result.set()
        await settle()

        assert stop.is_done
        assert call.is_done
        assert call.answer == "handled" or isinstance(call.error, ActorDead)
        await tree.restart_child("a")
