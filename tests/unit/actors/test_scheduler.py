"""The run queue: everybody has a turn, the loop too, and idle actors own nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel

from jidoka.actors.actor import Actor
from jidoka.actors.backend import Backend
from jidoka.actors.scheduler import POOL, Scheduler
from jidoka.actors.system import ActorSystem
from tests.unit.actors.actors_at_hand import Echo, Waiter


class PingPong(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.other: Any = None
        self.count = 0

    def on_receive(self, message: Any) -> Any:
        if message == "count":
            return self.count
        if message != "ball":
            self.other = message
            return None
        self.count += 1
        self.other.tell("ball")
        return None


class AsyncPingPong(PingPong):
    async def on_receive(self, message: Any) -> Any:
        return super().on_receive(message)


async def test_two_actors_that_tell_each_other_for_ever_starve_neither_the_loop_nor_others(
    system: ActorSystem,
) -> None:
    for cls in (PingPong, AsyncPingPong):
        a, b = await system.start(cls), await system.start(cls)
        await a.call(b)
        await b.call(a)
        bystander = await system.start(Echo)

        a.tell("ball")
        for _ in range(100):
            await anyio.lowlevel.checkpoint()

        # The caller is a task of the loop, the bystander a cell of the queue.
        assert await bystander.call("me too") == "me too"
        assert await a.call("count") > 0
        a.kill()
        b.kill()


async def test_an_actor_with_endless_mail_gives_others_their_turn(system: ActorSystem) -> None:
    class Endless(Actor):
        def on_receive(self, message: Any) -> Any:
            self.actor_ref.tell("more")

    endless = await system.start(Endless)
    endless.tell("more")

    assert await (await system.start(Echo)).call("me too") == "me too"
    endless.kill()
    assert (await endless.wait_stopped()).kind == "killed"


async def test_suspended_handlers_hold_up_nobody_and_their_workers_go_home(system: ActorSystem) -> None:
    refs = [await system.start(Waiter) for _ in range(200)]
    event = anyio.Event()
    echo = await system.start(Echo)

    for ref in refs:
        ref.tell(event)
    await anyio.wait_all_tasks_blocked()

    assert await echo.call("served") == "served"
    assert system.scheduler.workers >= 200
    event.set()
    await anyio.wait_all_tasks_blocked()
    assert system.scheduler.workers <= POOL


async def test_idle_actors_own_no_worker(system: ActorSystem) -> None:
    for _ in range(1000):
        await system.start(Echo)
    await anyio.wait_all_tasks_blocked()

    assert system.scheduler.workers <= 1


class Job:
    """A cell as the queue sees it."""

    def __init__(self, call: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
        self.call = call

    def run(self) -> Coroutine[Any, Any, None] | None:
        return self.call()


async def test_the_queue_is_worked_off_in_order_around_what_waits() -> None:
    log: list[str] = []
    event = anyio.Event()

    async def wait() -> None:
        log.append("waits")
        await event.wait()
        log.append("waited")

    async with anyio.create_task_group() as tasks:
        scheduler = Scheduler(Backend(), tasks)
        tasks.start_soon(scheduler.run)
        for call in (lambda: log.append("a"), wait, lambda: log.append("b")):
            scheduler.add(Job(call))
        await anyio.wait_all_tasks_blocked()
        assert log == ["a", "waits", "b"]
        event.set()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert log == ["a", "waits", "b", "waited"]
