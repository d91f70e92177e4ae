"""The mailbox: nothing, one message, many; its bound, and the words that get through a full one."""

from collections import deque
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors import mailbox
from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout, MailboxFull
from jidoka.actors.exits import ExitReason
from jidoka.actors.mailbox import count, listed, packed, with_one_before, with_one_more
from jidoka.actors.request import Request
from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld
from tests.unit.actors.actors_at_hand import Echo, Recorder, Waiter


@pytest.mark.parametrize("many", [0, 1, 2, 5])
def test_a_mailbox_holds_what_was_put_in_it(many: int) -> None:
    envelopes: list[mailbox.Envelope] = [(number, None) for number in range(many)]

    mail = packed(envelopes)

    assert listed(mail) == envelopes
    assert count(mail) == many
    assert isinstance(mail, deque) == (many > 1)
    assert listed(with_one_more(mail, ("last", None))) == [*envelopes, ("last", None)]
    assert listed(with_one_before(packed(envelopes), ("first", None))) == [("first", None), *envelopes]


class Small(Waiter):
    mailbox_capacity = 3


async def test_one_more_than_the_capacity_is_refused(system: ActorSystem) -> None:
    ref = await system.start(Small)
    ref.tell("being handled")
    await anyio.wait_all_tasks_blocked()
    for number in range(3):
        ref.tell(number)

    with pytest.raises(MailboxFull, match="3 messages waiting"):
        ref.tell("one more")
    with pytest.raises(MailboxFull):
        await ref.call("one more")

    assert ref.is_alive()
    ref.kill()


@pytest.mark.parametrize("capacity", [1, 2])
async def test_small_bounds_are_kept_too(system: ActorSystem, capacity: int) -> None:
    class Tiny(Waiter):
        mailbox_capacity = capacity

    ref = await system.start(Tiny)
    ref.tell("being handled")
    await anyio.wait_all_tasks_blocked()
    for _ in range(capacity):
        ref.tell("waits")

    with pytest.raises(MailboxFull):
        ref.tell("one more")

    ref.kill()


async def test_a_mailbox_that_was_full_takes_messages_again(system: ActorSystem) -> None:
    ref = await system.start(Small)
    event = anyio.Event()
    for _ in range(3):
        ref.tell(event)
    with pytest.raises(MailboxFull):
        ref.tell(event)

    event.set()
    await anyio.wait_all_tasks_blocked()

    assert await ref.call(event) == "done"


async def test_a_kill_gets_through_a_full_mailbox(system: ActorSystem) -> None:
    ref = await system.start(Small)
    for _ in range(3):
        ref.tell("for ever")
    await anyio.wait_all_tasks_blocked()
    ref.tell("for ever")

    ref.kill()

    assert (await ref.wait_stopped()).kind == "killed"


async def test_a_stop_gets_through_a_full_mailbox_in_its_turn(system: ActorSystem) -> None:
    log: list[str] = []
    ref = await system.start(Small, log)
    event = anyio.Event()
    for _ in range(3):
        ref.tell(event)

    stopped = ref.stop()
    event.set()

    assert await stopped is True
    assert log == ["began", "left"] * 3


async def test_a_supervisors_word_does_not_wait_behind_the_mail(system: ActorSystem) -> None:
    heard: list[Any] = []
    tree = await system.supervise([ChildSpec("a", Recorder, (heard,))])
    ref = await tree.child("a")
    for number in range(100):
        ref.tell(number)

    await tree.terminate_child("a")

    assert len(heard) < 100
    assert await ref.wait_stopped() == ExitReason("shutdown")


class Durable(Request[str]):
    durable = True


class Fleeting(Request[str]):
    pass


class Fragile(Actor):
    async def on_receive(self, message: Any) -> Any:
        if message == "crash":
            await anyio.lowlevel.checkpoint()
            raise ValueError
        return f"incarnation {self.restarts}"


async def test_durable_calls_and_tells_survive_a_crash_and_others_are_told(system: ActorSystem) -> None:
    tree = await system.supervise([ChildSpec("a", Fragile)])
    ref = await tree.child("a")
    outcomes: dict[str, Any] = {}

    async def ask(name: str, message: Any) -> None:
        try:
            outcomes[name] = await ref.call(message)
        except ActorRestarted as error:
            outcomes[name] = type(error)

    async with anyio.create_task_group() as tasks:
        ref.tell("crash")
        tasks.start_soon(ask, "durable", Durable())
        tasks.start_soon(ask, "fleeting", Fleeting())
        tasks.start_soon(ask, "plain", "plain")

    assert outcomes == {"durable": "incarnation 1", "fleeting": ActorRestarted, "plain": ActorRestarted}


async def test_what_was_told_is_handled_by_the_next_incarnation_in_order(system: ActorSystem) -> None:
    heard: list[Any] = []

    class Frail(Recorder):
        def on_receive(self, message: Any) -> Any:
            if message == "crash":
                raise ValueError
            self.heard.append((message, self.restarts))

    tree = await system.supervise([ChildSpec("a", Frail, (heard,))])
    ref = await tree.child("a")

    for message in (1, 2, "crash", 3, 4):
        ref.tell(message)
    await anyio.wait_all_tasks_blocked()

    assert heard == [(1, 0), (2, 0), (3, 1), (4, 1)]


async def test_a_dead_actors_ref_refuses_messages(system: ActorSystem) -> None:
    ref = await system.start(Echo)
    await ref.stop()

    with pytest.raises(ActorDead):
        ref.tell("x")
    with pytest.raises(ActorDead):
        await ref.call("x")
    assert await ref.stop() is False
    ref.kill()


async def test_what_may_not_wait_is_the_next_and_finds_room(system: ActorSystem) -> None:
    heard: list[str] = []

    class Full(Small):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, anyio.Event):
                await message.wait()
            heard.append(type(message).__name__)

    ref = await system.start(Full)
    event = anyio.Event()
    ref.tell(event)
    await anyio.wait_all_tasks_blocked()
    for number in range(3):
        ref.tell(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.call_first, Fleeting(), 1.0)
        await anyio.wait_all_tasks_blocked()
        event.set()

    await anyio.wait_all_tasks_blocked()
    assert heard == ["Event", "Fleeting", "int", "int", "int"]


async def test_what_may_not_wait_has_its_limit_and_its_answer(system: ActorSystem, world: VirtualWorld) -> None:
    ref = await system.start(Waiter)
    outcomes: list[type[Exception]] = []

    async def call() -> None:
        try:
            await ref.call_first(Fleeting(), timeout=1.0)
        except CallTimeout as error:
            outcomes.append(type(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await world.advance(1.1)
    ref.kill()
    await ref.wait_stopped()

    assert outcomes == [CallTimeout]
    with pytest.raises(ActorDead):
        await ref.call_first(Fleeting(), timeout=1.0)
