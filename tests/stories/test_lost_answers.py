"""Whatever a kill has swallowed, what was asked for takes effect once."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from tests.stories.crashing import KILLS
from tests.stories.kit import HeldStore, a_client, all_of, journal, said, types_of

Write = Callable[[Session], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "send_message": lambda s: s.send_message("user", "hello"),
    "clear_history": lambda s: s.clear_history(),
    "update": lambda s: s.update(metadata={"a": 1}),
    "update at a version": lambda s: s.update(metadata={"a": 1}, expected_version=1),
    "add_file": lambda s: s.add_file("a.py"),
    "remove_file": lambda s: s.remove_file("kept.py"),
    "update_file_index": lambda s: s.update_file_index("a.py", {"lines": 1}),
    "put_context": lambda s: s.put_context("new", 1),
    "delete_context": lambda s: s.delete_context("kept"),
    "halt": lambda s: s.halt(reason="look"),
    "prompt": lambda s: s.prompt("echo"),
}
DECISIONS: dict[str, Write] = {
    "approve": lambda s: s.approve(decision="approve", note="fine", by="ada"),
    "reject": lambda s: s.approve(decision="reject"),
    "send_input": lambda s: s.send_input("go on"),
    "resume": lambda s: s.resume(),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [*WRITES, *DECISIONS])
@pytest.mark.parametrize("victim", ["context_manager", "supervisor"])
async def test_a_write_that_was_being_committed_when_its_writer_was_killed_takes_effect_once(
    name: str, when: str, victim: str
) -> None:
    async def played(is_killed: bool) -> tuple[list[Any], list[str], list[Any]]:
        store = HeldStore()
        async with a_client(store) as client:
            session = await client.create_session()
            await session.add_file("kept.py")
            await session.put_context("kept", 1)
            if name in DECISIONS:
                await session.halt(reason="look")
            before = len(await store.read(session.id))
            outcomes: list[Any] = []

            async def write() -> None:
                outcomes.extend(await all_of([partial({**WRITES, **DECISIONS}[name], session)]))

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    hold = store.hold(session.id, when=when) if is_killed else None
                    tasks.start_soon(write)
                    if hold is not None:
                        await hold.reached.wait()
                        await KILLS[victim](client, session)
                        hold.released.set()

            types = (await types_of(client, session))[before:]
            content = [(await session.build_context()).model_dump(exclude={"session_id", "metadata"})]
            return outcomes, [type for type in types if type != "child_restarted"], content

    expected, types, _ = await played(is_killed=False)
    outcomes, types_after_a_kill, _ = await played(is_killed=True)
    if name == "prompt" and victim == "supervisor":
        # The orchestrator went as well: this turn is over, and says so.
        assert types_after_a_kill.count("turn_failed") <= 1
        assert types_after_a_kill.count("turn_completed") == 0
        return
    assert [type(outcome) for outcome in outcomes] == [type(outcome) for outcome in expected], outcomes
    assert types_after_a_kill == types


@pytest.mark.parametrize("seed", range(20))
async def test_messages_sent_while_actors_are_killed_arrive_once_each_and_in_order(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    sessions = [await client.create_session(config={"max_restarts": 1000}) for _ in range(3)]
    sent: dict[str, list[str]] = {session.id: [] for session in sessions}

    async def talk(session: Session) -> None:
        for number in range(20):
            content = f"{session.id} {number}"
            message = await session.send_message("user", content)
            assert message.content == content
            sent[session.id].append(content)

    async def rage() -> None:
        for _ in range(30):
            for _ in range(chance.randrange(6)):
                await anyio.lowlevel.checkpoint()
            await KILLS[chance.choice(list(KILLS))](client, chance.choice(sessions))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rage)
            for session in sessions:
                tasks.start_soon(talk, session)

    for session in sessions:
        assert [content for _, content in await said(session)] == sent[session.id]
        await journal(client, session)


@pytest.mark.parametrize("seed", range(10))
async def test_a_writer_that_is_fenced_can_write_nothing_more(seed: int) -> None:
    chance = random.Random(seed)
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session(config={"max_restarts": 1000})
        for number in range(8):
            hold = store.hold(session.id, when=chance.choice(["before", "after"]))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(session.send_message, "user", f"{number}"))
                await hold.reached.wait()
                await kill_child(session, "context_manager")
                hold.released.set()

        assert await said(session) == [("user", f"{number}") for number in range(8)]
        await journal(client, session)
