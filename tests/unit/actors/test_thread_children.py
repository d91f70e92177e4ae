"""Pykka's own ThreadingActor as a supervised child."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.to_thread
import pykka
import pytest

from jidoka.actors.errors import ActorDead, ActorRestarted, ChildStartError
from jidoka.actors.exits import ExitReason
from jidoka.actors.ref import ActorRef
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor_ref import SupervisorRef
from jidoka.actors.system import ActorSystem
from jidoka.actors.threads import Bridge
from jidoka.testing.world import VirtualWorld


class OnThread(pykka.ThreadingActor):
    def __init__(self, log: list[Any] | None = None, hooks_raise: type[BaseException] | None = None) -> None:
        super().__init__()
        self.log: list[Any] = log if log is not None else []
        self.hooks_raise = hooks_raise
        self.number = 7

    def on_start(self) -> None:
        self.log.append(threading.current_thread())
        if self.hooks_raise is not None:
            raise self.hooks_raise("in on_start")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, threading.Event):
            message.wait()
            return "waited"
        self.log.append(message)
        return message

    def on_stop(self) -> None:
        self.log.append("on_stop")

    def double(self) -> int:
        return self.number * 2


class Fails(OnThread):
    def on_failure(self, *_: Any) -> None:
        raise SystemExit("in on_failure")


async def child_of(system: ActorSystem, *args: Any, **options: Any) -> tuple[SupervisorRef, ActorRef[Any]]:
    tree = await system.supervise([ChildSpec("w", OnThread, args, **options)])
    return tree, await tree.child("w")


async def test_a_thread_child_is_called_and_told(system: ActorSystem) -> None:
    log: list[Any] = []
    _, ref = await child_of(system, log)

    ref.tell("told")

    assert await ref.call("called") == "called"
    assert log[1:] == ["told", "called"]
    assert log[0] is not threading.current_thread()


async def test_a_thread_childs_messages_are_in_order(system: ActorSystem) -> None:
    log: list[Any] = []
    _, ref = await child_of(system, log)

    for number in range(1000):
        ref.tell(number)
    await ref.call("last")

    assert log[1:] == [*range(1000), "last"]


async def test_a_thread_child_shows_itself_and_has_its_proxy(system: ActorSystem) -> None:
    tree, ref = await child_of(system)

    assert ref.actor_class is OnThread
    assert str(ref).startswith("OnThread ")
    assert await ref.proxy().double() == 14
    assert await ref.proxy().number == 7
    assert [(info.id, info.state) for info in await tree.which_children()] == [("w", "running")]


async def test_what_a_called_thread_raises_reaches_the_caller_and_it_lives_on(system: ActorSystem) -> None:
    _, ref = await child_of(system)
    error = ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        await ref.call(error)

    assert caught.value is error
    assert await ref.call("alive") == "alive"
    assert (await ref.call("and the same")) == "and the same"


async def test_a_thread_that_crashes_is_started_again(system: ActorSystem) -> None:
    log: list[Any] = []
    tree, ref = await child_of(system, log)

    ref.tell(ValueError("crash"))
    reason = await ref.wait_stopped()

    assert reason == ExitReason("crash", "ValueError: crash")
    assert await ref.call("back", timeout=None) == "back"
    assert (await tree.which_children())[0].restarts == 1
    first, second = (entry for entry in log if isinstance(entry, threading.Thread))
    assert first is not second


@pytest.mark.parametrize("is_call", [False, True], ids=["told", "called"])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
async def test_a_bare_base_exception_ends_one_thread_and_nothing_more(
    system: ActorSystem, error: type[BaseException], is_call: bool
) -> None:
    bystander = OnThread.start()
    _, ref = await child_of(system)

    if is_call:
        with pytest.raises(Exception, match=error.__name__):
            await ref.call(error("bare"))
    else:
        ref.tell(error("bare"))

    assert await ref.wait_stopped() == ExitReason("crash", f"ThreadCrash: {error.__name__}: bare")
    assert await ref.call("back", timeout=None) == "back"
    assert bystander.is_alive()
    await anyio.to_thread.run_sync(bystander.stop)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
async def test_a_thread_that_does_not_come_up_fails_its_start(system: ActorSystem, error: type[BaseException]) -> None:
    with pytest.raises(ChildStartError, match="in on_start"):
        await system.supervise([ChildSpec("w", OnThread, ([], error))])

    assert system.cells == 0


async def test_a_thread_actor_that_cannot_be_made_fails_its_start(system: ActorSystem) -> None:
    with pytest.raises(ChildStartError, match="TypeError"):
        await system.supervise([ChildSpec("w", OnThread, ("too", "many", "arguments"))])

    assert system.cells == 0


async def test_a_failing_on_failure_changes_nothing(system: ActorSystem) -> None:
    tree = await system.supervise([ChildSpec("w", Fails, restart="temporary")])
    ref = await tree.child("w")

    ref.tell(ValueError("crash"))

    assert await ref.wait_stopped() == ExitReason("crash", "ValueError: crash")


async def test_a_thread_child_is_stopped_in_order(system: ActorSystem) -> None:
    log: list[Any] = []
    tree, ref = await child_of(system, log)
    ref.tell("first")

    await ref.call("second")
    await tree.terminate_child("w")

    assert log[1:] == ["first", "second", "on_stop"]
    assert await ref.wait_stopped() == ExitReason("shutdown")
    await anyio.to_thread.run_sync(log[0].join)


async def test_stopping_a_thread_child_waits_for_what_was_told_before(system: ActorSystem) -> None:
    log: list[Any] = []
    tree = await system.supervise([ChildSpec("w", OnThread, (log,), restart="temporary")])
    ref = await tree.child("w")
    for number in range(10):
        ref.tell(number)

    await ref.stop()

    assert log[1:] == [*range(10), "on_stop"]
    assert not ref.is_alive()


async def test_a_thread_that_stops_itself_has_ended_normally(system: ActorSystem) -> None:
    class Quitter(OnThread):
        def on_receive(self, message: Any) -> Any:
            self.stop()

    tree = await system.supervise([ChildSpec("w", Quitter, restart="transient")])
    ref = await tree.child("w")

    ref.tell("quit")

    assert await ref.wait_stopped() == ExitReason("normal")
    assert (await tree.which_children())[0].state == "stopped"


async def test_a_killed_thread_is_reported_abandoned_until_it_ends(system: ActorSystem, world: VirtualWorld) -> None:
    log: list[Any] = []
    gate = threading.Event()
    tree, ref = await child_of(system, log, restart="temporary")
    caught: list[BaseException] = []

    async def caller() -> None:
        try:
            await ref.call(gate, timeout=None)
        except ActorDead as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.settle()
        ref.kill()
    reason = await ref.wait_stopped()

    assert reason.kind == "abandoned"
    assert isinstance(caught[0], ActorDead)
    assert caught[0].abandoned
    assert [name for name, _ in system.abandoned] == ["OnThread"]
    assert await tree.which_children() == []
    gate.set()
    await anyio.to_thread.run_sync(log[0].join)
    await world.settle()
    assert system.abandoned == []


async def test_a_thread_that_does_not_stop_in_time_is_left_and_listed(system: ActorSystem, world: VirtualWorld) -> None:
    log: list[Any] = []
    gate = threading.Event()
    tree, ref = await child_of(system, log, shutdown=2.0)
    ref.tell(gate)
    await world.settle()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tree.terminate_child, "w")
        await world.advance(2.0 + system.grace)

    assert (await ref.wait_stopped()).kind == "abandoned"
    assert (await tree.which_children())[0].state == "abandoned"
    gate.set()
    await anyio.to_thread.run_sync(log[0].join)
    await world.settle()
    assert (await tree.which_children())[0].state == "stopped"


async def test_a_replacement_works_while_the_abandoned_thread_still_hangs(
    system: ActorSystem, world: VirtualWorld
) -> None:
    log: list[Any] = []
    gate = threading.Event()
    _, ref = await child_of(system, log)
    caught: list[BaseException] = []

    async def caller() -> None:
        try:
            await ref.call(gate, timeout=None)
        except ActorRestarted as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.settle()
        ref.kill()
        await world.settle()
        assert await ref.call("the replacement", timeout=None) == "the replacement"
    gate.set()
    await anyio.to_thread.run_sync(log[0].join)
    await world.settle()

    assert len(caught) == 1
    assert system.abandoned == []
    assert await ref.call("still there") == "still there"


async def test_a_full_thread_holds_its_mail_up_and_loses_none(
    system: ActorSystem, world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bridge, "mailbox_capacity", 3)
    log: list[Any] = []
    gate = threading.Event()
    _, ref = await child_of(system, log, restart="temporary")
    ref.tell(gate)
    sent = 0
    with pytest.raises(Exception, match="messages waiting"):
        while True:
            ref.tell(sent)
            sent += 1
            await world.settle()

    # Three with the thread or its bridge, three in the mailbox, and one being handled at either end.
    assert 6 <= sent <= 8
    gate.set()
    await ref.stop()
    assert log[1:] == [*range(sent), "on_stop"]
