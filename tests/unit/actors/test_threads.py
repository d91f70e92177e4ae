"""Actors and other threads: messages from anywhere, and a whole system for programs that block."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pykka
import pytest

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, CallTimeout, ChildStartError, MailboxFull, WouldDeadlock
from jidoka.actors.exits import ExitReason
from jidoka.actors.futures import Future
from jidoka.actors.request import Request
from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld
from tests.unit.actors.actors_at_hand import AsyncEcho, Echo, Recorder, Tidy, Waiter

# --- messages from other threads -----------------------------------------------------------------


async def test_messages_told_from_many_threads_arrive_in_order_per_thread(system: ActorSystem) -> None:
    heard: list[tuple[int, int]] = []
    ref = await system.start(Recorder, heard)

    def send(sender: int) -> None:
        for number in range(500):
            ref.tell((sender, number))

    def all_of_them() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(8)))

    await anyio.to_thread.run_sync(all_of_them)
    # What a thread has sent comes in by a door of its own; this task's stop could be faster.
    await anyio.to_thread.run_sync(ref.stop)

    for sender in range(8):
        assert [number for who, number in heard if who == sender] == list(range(500))


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
async def test_many_threads_ask_at_once(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls)

    def all_of_them() -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ref.ask, range(400)))

    assert await anyio.to_thread.run_sync(all_of_them) == list(range(400))


async def test_what_one_thread_tells_and_asks_is_in_order(system: ActorSystem) -> None:
    ref = await system.start(Recorder)

    def work() -> list[int]:
        for number in range(0, 200, 2):
            ref.tell(number)
            heard = ref.ask(number + 1)
        return heard

    assert await anyio.to_thread.run_sync(work) == list(range(200))


async def test_asking_a_dead_actor_from_a_thread_raises(system: ActorSystem) -> None:
    ref = await system.start(Echo)
    await ref.stop()

    with pytest.raises(ActorDead):
        await anyio.to_thread.run_sync(ref.ask, "x")
    with pytest.raises(ActorDead):
        await anyio.to_thread.run_sync(ref.tell, "x")


async def test_an_ask_that_takes_too_long_is_a_timeout(system: ActorSystem) -> None:
    ref = await system.start(Waiter)

    with pytest.raises(pykka.Timeout):
        await anyio.to_thread.run_sync(lambda: ref.ask("for ever", timeout=0.01))

    ref.kill()


class Small(Waiter):
    mailbox_capacity = 10


async def test_a_thread_cannot_send_more_than_there_is_room_for(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Small)
    sent: list[int] = []

    def flood() -> None:
        for number in range(1_000):
            ref.tell(number)
            sent.append(number)

    # The loop does not move meanwhile: what is on its way counts.
    thread = threading.Thread(target=lambda: pytest.raises(MailboxFull, flood))
    thread.start()
    thread.join()
    await world.settle()

    assert len(sent) == 10
    assert ref.cell.mail_count == 9
    ref.kill()


async def test_what_was_let_in_is_not_lost_to_others_who_were_faster(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Small)
    ref.tell("being handled")
    await world.settle()
    thread = threading.Thread(target=lambda: [ref.tell(number) for number in range(10)])
    thread.start()
    thread.join()
    for _ in range(10):
        ref.tell("from the loop")

    await world.settle()

    assert ref.cell.mail_count == 20
    ref.kill()


async def test_a_thread_stops_and_kills_an_actor_whose_mailbox_is_full(
    system: ActorSystem, world: VirtualWorld
) -> None:
    event = anyio.Event()
    stopped, killed = await system.start(Small), await system.start(Small)
    for _ in range(10):
        stopped.tell(event)
        killed.tell("for ever")
    await world.settle()
    stopped.tell(event)
    killed.tell("for ever")

    asked: Future[Any] = await anyio.to_thread.run_sync(lambda: stopped.stop(block=False))
    await anyio.to_thread.run_sync(killed.kill)
    event.set()

    assert (await killed.wait_stopped()).kind == "killed"
    assert await asked is True
    assert await stopped.wait_stopped() == ExitReason("normal")


async def test_a_thread_waits_for_the_end_of_an_actor(system: ActorSystem) -> None:
    ref = await system.start(Echo)

    def work() -> bool:
        assert not ref.actor_stopped.wait(0)
        ref.stop()
        return ref.actor_stopped.wait()

    assert await anyio.to_thread.run_sync(work)


async def test_a_task_of_another_loop_may_call(system: ActorSystem) -> None:
    ref = await system.start(Echo)
    waiter = await system.start(Waiter)

    async def elsewhere() -> Any:
        with pytest.raises(CallTimeout):
            await waiter.call("for ever", timeout=0.01)
        with pytest.raises(ValueError, match="raised over there"):
            await ref.call(ValueError("raised over there"))
        return await (await started()).call("hello")

    async def started() -> Any:
        return echo

    echo = await system.start(Echo)

    assert await anyio.to_thread.run_sync(lambda: anyio.run(elsewhere)) == "hello"
    waiter.kill()


# --- a system on a thread of its own -------------------------------------------------------------


class Account(Actor):
    reply_errors = (Exception,)

    def __init__(self, balance: int = 0) -> None:
        super().__init__()
        self.balance = balance

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    async def slowly(self) -> int:
        await anyio.lowlevel.checkpoint()
        return self.balance

    def on_receive(self, message: Any) -> Any:
        if message == "deadlock":
            return self.actor_ref.ask("x")
        return message


def test_a_threaded_system_is_used_as_pykka_is() -> None:
    with ActorSystem.threaded() as threaded:
        ref = Account.start(10)
        proxy = ref.proxy()

        assert ref.ask("hello") == "hello"
        assert proxy.deposit(5).get() == 15
        assert proxy.balance.get() == 15
        assert proxy.slowly().get() == 15
        proxy.balance = 20
        assert proxy.balance.get() == 20
        assert pykka.get_all([ref.ask(number, block=False) for number in range(3)]) == [0, 1, 2]
        with pytest.raises(WouldDeadlock):
            ref.ask("deadlock")
        assert ref.stop() is True
        assert ref.stop() is False
        with pytest.raises(pykka.ActorDeadError):
            ref.ask("gone")
        assert threaded.system.cells == 0


def test_a_threaded_system_starts_and_supervises() -> None:
    with ActorSystem.threaded(name="behind") as threaded:
        ref = threaded.start(Account, 3)
        tree = threaded.supervise([ChildSpec("a", Account, (5,))])
        pool = threaded.supervise_dynamic(ChildSpec("b", Account), max_children=1)

        child = threaded.run(tree.child, "a")
        added = threaded.run(pool.start_child, 8)

        assert [one.proxy().balance.get() for one in (ref, child, added)] == [3, 5, 8]
        with pytest.raises(ChildStartError):
            threaded.run(pool.start_child, 9)
        assert threaded.run(child.call, "as on the loop") == "as on the loop"
        assert threaded.system.name == "behind"

    assert not ref.is_alive()
    assert not child.is_alive()


def test_a_killed_child_of_a_threaded_system_comes_back() -> None:
    with ActorSystem.threaded() as threaded:
        tree = threaded.supervise([ChildSpec("a", Account)])
        ref = threaded.run(tree.child, "a")

        ref.kill()
        assert threaded.run(ref.wait_stopped) == ExitReason("killed")

        assert ref.ask("back") == "back"


def test_leaving_a_threaded_system_ends_its_actors_in_order() -> None:
    log: list[str] = []

    with ActorSystem.threaded() as threaded:
        threaded.start(Tidy, log)

    assert log == ["on_stop shutdown"]


# --- futures -------------------------------------------------------------------------------------


def test_a_future_is_pykkas() -> None:
    future: Future[int] = Future()
    heard: list[str] = []
    future.when_done(lambda: heard.append("then"))

    assert not future.done()
    future.set(3)
    future.when_done(lambda: heard.append("now"))

    assert future.done()
    assert future.get() == 3
    assert heard == ["then", "now"]
    assert future.map(lambda value: value + 1).get() == 4


@pytest.mark.parametrize("exc_info", ["instance", "triple", "current"])
def test_a_future_takes_an_exception_in_three_shapes(exc_info: str) -> None:
    future: Future[int] = Future()
    error = ValueError("x")

    if exc_info == "instance":
        future.set_exception(error)
    elif exc_info == "triple":
        future.set_exception((ValueError, error, None))
    else:
        try:
            raise error
        except ValueError:
            future.set_exception()

    with pytest.raises(ValueError, match="x") as caught:
        future.get()
    assert caught.value is error


def test_an_empty_future_times_out() -> None:
    with pytest.raises(pykka.Timeout):
        Future[int]().get(timeout=0)


async def test_a_future_set_by_a_thread_wakes_its_awaiter() -> None:
    future: Future[str] = Future()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, future.set, "from a thread")
        assert await future == "from a thread"


async def test_giving_up_on_a_future_disturbs_nobody() -> None:
    future: Future[str] = Future()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await future
    future.set("late")

    assert await future == "late"


class Question(Request[str]):
    durable = True


async def test_a_durable_request_of_a_thread_survives_a_crash(system: ActorSystem) -> None:
    class Fragile(Actor):
        async def on_receive(self, message: Any) -> Any:
            if message == "crash":
                await gate.wait()
                raise ValueError
            return self.restarts

    gate = anyio.Event()
    tree = await system.supervise([ChildSpec("a", Fragile)])
    ref = await tree.child("a")
    ref.tell("crash")

    def work() -> Any:
        asked = ref.ask(Question(), block=False)
        anyio.from_thread.run_sync(gate.set)
        return asked.get()

    assert await anyio.to_thread.run_sync(work) == 1
