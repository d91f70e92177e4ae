"""Calls: every one of them is answered, and a caller that gave up leaves nothing behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any, assert_type

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.actor import Actor
from jidoka.actors.backend import EventSlot
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, WouldDeadlock
from jidoka.actors.exits import ExitReason
from jidoka.actors.ref import ActorRef
from jidoka.actors.request import Request, is_durable
from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld
from tests.unit.actors.actors_at_hand import AsyncEcho, Echo, Recorder, Waiter


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_a_call_is_answered(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls)

    assert [await ref.call(number) for number in range(10)] == list(range(10))


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_a_thousand_callers_get_their_own_answers(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls)
    answers: list[tuple[int, int]] = []

    async def caller(number: int) -> None:
        answers.append((number, await ref.call(number)))

    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(caller, number)

    assert sorted(answers) == [(number, number) for number in range(1000)]


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_the_callee_may_crash_instead_of_answering(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls)

    with pytest.raises(ActorDead) as caught:
        await ref.call(SystemExit("gone"))

    assert caught.value.reason == ExitReason("crash", "SystemExit: gone")
    assert not caught.value.abandoned


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_the_callee_may_be_restarted_instead_of_answering(system: ActorSystem, cls: type[Actor]) -> None:
    tree = await system.supervise([ChildSpec("a", cls)])
    ref = await tree.child("a")

    with pytest.raises(ActorRestarted):
        await ref.call(SystemExit("gone"))

    assert await ref.call("back") == "back"


async def test_the_callee_may_be_unable_to_start_again_instead_of_answering(system: ActorSystem) -> None:
    class Once(Echo):
        def on_start(self) -> None:
            if self.restarts:
                raise ValueError("not again")

    tree = await system.supervise([ChildSpec("a", Once)], max_restarts=1)
    ref = await tree.child("a")

    with pytest.raises(ActorDead), anyio.fail_after(5):
        await ref.call(SystemExit("gone"))


async def test_the_callee_may_come_back_at_the_second_try_instead_of_answering(
    system: ActorSystem, world: VirtualWorld
) -> None:
    class Third(Echo):
        def on_start(self) -> None:
            if self.restarts == 1:
                raise ValueError("not yet")

    tree = await system.supervise([ChildSpec("a", Third)], max_restarts=3)
    ref = await tree.child("a")

    with pytest.raises(ActorRestarted), anyio.fail_after(5):
        await ref.call(SystemExit("gone"))
    await world.advance(1)

    assert await ref.call("back") == "back"


async def test_the_callee_may_end_normally_before_the_message_has_its_turn(system: ActorSystem) -> None:
    ref = await system.start(Echo)
    stopped = ref.stop()

    with pytest.raises(ActorDead) as caught:
        await ref.call("too late")

    assert caught.value.reason == ExitReason("normal")
    assert await stopped is True


async def test_a_call_takes_five_seconds_at_most(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    caught: list[BaseException] = []

    async def caller() -> None:
        try:
            await ref.call("for ever")
        except CallTimeout as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.advance(4.9)
        assert caught == []
        await world.advance(0.2)

    assert isinstance(caught[0], TimeoutError)
    assert ref.is_alive()
    ref.kill()


async def test_a_call_without_a_limit_waits(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    event = anyio.Event()
    answers: list[str] = []

    async def caller() -> None:
        answers.append(await ref.call(event, timeout=None))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await world.advance(86_400)
        assert answers == []
        event.set()

    assert answers == ["done"]


async def test_a_late_answer_is_dropped_and_the_next_call_gets_its_own(
    system: ActorSystem, world: VirtualWorld
) -> None:
    ref = await system.start(Waiter)
    first, second = anyio.Event(), anyio.Event()
    second.set()

    async with anyio.create_task_group() as tasks:

        async def caller() -> None:
            with pytest.raises(CallTimeout):
                await ref.call(first, timeout=0.05)

        tasks.start_soon(caller)
        await world.advance(0.1)
    first.set()

    assert await ref.call(second) == "done"


async def test_timed_out_calls_leave_nothing_behind(system: ActorSystem, world: VirtualWorld) -> None:
    class Answer:
        pass

    class Slow(Actor):
        async def on_receive(self, message: anyio.Event) -> Any:
            await message.wait()
            answer = Answer()
            answers.append(weakref.ref(answer))
            return answer

    answers: list[weakref.ref[Answer]] = []
    ref = await system.start(Slow)
    event = anyio.Event()

    async def caller() -> None:
        with pytest.raises(CallTimeout):
            await ref.call(event, timeout=1.0)

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(caller)
        await world.advance(2.0)
    event.set()
    await world.settle()
    gc.collect()

    assert len(answers) == 1000
    assert all(answer() is None for answer in answers)
    assert ref.cell.mail_count == 0
    assert len(system.timers) == 0


async def test_an_answered_call_leaves_no_timer_behind(system: ActorSystem) -> None:
    ref = await system.start(AsyncEcho)

    for number in range(3000):
        await ref.call(number)

    assert len(system.timers) == 0


async def test_a_cancelled_caller_leaves_nothing_behind(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    event = anyio.Event()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.call, event)
        await world.settle()
        tasks.cancel_scope.cancel()
    assert len(system.timers) == 0
    event.set()

    assert await ref.call(event) == "done"


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_errors_answered_to_a_cancelled_caller_disturb_nobody(system: ActorSystem, cls: type[Actor]) -> None:
    class Careful(cls):  # type: ignore[valid-type, misc]
        reply_errors = (Exception,)

    ref = await system.start(Careful)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await ref.call(ValueError("nobody listens"))

    assert await ref.call("fine") == "fine"


class SelfCaller(Actor):
    async def on_receive(self, message: Any) -> Any:
        return await self.actor_ref.call("me")


async def test_an_actor_that_calls_itself_fails_at_once(system: ActorSystem) -> None:
    ref = await system.start(SelfCaller)

    with pytest.raises(WouldDeadlock):
        await ref.call("go")


async def test_a_blocking_ask_on_the_loops_own_thread_is_refused_at_once(system: ActorSystem) -> None:
    ref = await system.start(Account)

    with pytest.raises(WouldDeadlock):
        ref.ask("x")
    with pytest.raises(WouldDeadlock):
        ref.ask("x", block=False).get()
    with pytest.raises(WouldDeadlock):
        ref.stop(block=True)
    with pytest.raises(WouldDeadlock):
        ref.proxy().balance.get()
    with pytest.raises(WouldDeadlock):
        ref.proxy().balance = 5
    with pytest.raises(WouldDeadlock):
        ref.actor_stopped.wait()


async def test_a_future_can_be_awaited(system: ActorSystem) -> None:
    ref = await system.start(AsyncEcho)

    assert await ref.ask(5, block=False) == 5
    assert await ref.ask(5, block=False).map(lambda number: number + 1) == 6
    assert await ref.ask([1, 2, 3], block=False).filter(lambda number: number > 1) == [2, 3]
    assert await ref.ask([1, 2, 3], block=False).reduce(lambda a, b: a + b) == 6
    assert await ref.ask(1, block=False).join(ref.ask(2, block=False)) == [1, 2]


async def test_a_future_of_a_dead_actor_raises(system: ActorSystem) -> None:
    ref = await system.start(Echo)
    await ref.stop()

    with pytest.raises(ActorDead):
        await ref.ask("x", block=False)


class Account(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.balance = 10
        self.gate = anyio.Event()

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    async def slowly(self) -> str:
        await self.gate.wait()
        return "at last"

    def open(self) -> None:
        self.gate.set()


async def test_awaiting_a_proxys_method_suspends_only_the_caller(system: ActorSystem) -> None:
    ref = await system.start(Account)
    proxy = ref.proxy()
    went_on: list[str] = []

    async def meanwhile() -> None:
        went_on.append("yes")
        proxy.actor_ref.cell.actor.open()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(meanwhile)
        assert await proxy.slowly() == "at last"

    assert went_on == ["yes"]


async def test_a_proxy_reads_and_calls(system: ActorSystem) -> None:
    proxy = (await system.start(Account)).proxy()

    assert await proxy.deposit(5) == 15
    proxy.deposit.defer(1)
    assert await proxy.balance == 16


class Length(Request[int]):
    def __init__(self, text: str) -> None:
        self.text = text


class Measure(Actor):
    def on_receive(self, message: Length) -> int:
        return len(message.text)


async def test_a_request_knows_the_type_of_its_answer(system: ActorSystem) -> None:
    ref: ActorRef[Measure] = await system.start(Measure)

    answer = await ref.call(Length("four"))

    assert_type(answer, int)
    assert answer == 4
    assert not is_durable(Length("x"))
    assert not is_durable("x")


TYPED = """
from typing import Any, assert_type
from jidoka.actors import Actor, ActorRef, ActorSystem, Request

class Length(Request[int]): ...
class Measure(Actor):
    async def on_start(self) -> None: ...
    def on_receive(self, message: Length) -> int:
        return 1

async def main() -> None:
    async with ActorSystem() as system:
        ref = await system.start(Measure)
        assert_type(ref, ActorRef[Measure])
        assert_type(await ref.call(Length()), int)
        assert_type(await ref.call("anything"), Any)
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_the_type_checker_knows_too(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    root = Path(__file__).parents[3]

    checked = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "typed.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.stdout.splitlines()[-1].startswith("0 errors"), checked.stdout


async def test_the_slot_of_loops_without_futures_drops_what_nobody_awaits() -> None:
    slot = EventSlot()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await slot

    assert slot.done()


async def test_a_slot_gives_its_result_or_its_error() -> None:
    good, bad = EventSlot(), EventSlot()
    good.set_result(1)
    bad.set_exception(ValueError("bad"))

    assert await good == 1
    with pytest.raises(ValueError, match="bad"):
        await bad


async def test_wait_stopped_answers_any_number_and_forgets_who_gave_up(system: ActorSystem) -> None:
    ref = await system.start(Recorder)
    reasons: list[ExitReason] = []

    async def wait() -> None:
        reasons.append(await ref.wait_stopped())

    with anyio.CancelScope() as scope:
        scope.cancel()
        await ref.wait_stopped()
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await ref.stop()

    assert reasons == [ExitReason("normal")] * 10
    assert await ref.wait_stopped() == ExitReason("normal")


async def test_a_stop_that_takes_too_long_is_told_and_still_happens(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    event = anyio.Event()
    ref.tell(event)

    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            with pytest.raises(CallTimeout):
                await ref.stop(timeout=1.0)

        tasks.start_soon(stop)
        await world.advance(1.0)
    assert ref.is_alive()
    event.set()

    assert await ref.wait_stopped() == ExitReason("normal")
