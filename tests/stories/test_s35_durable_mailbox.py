"""S34 and S35 with a journal: state is rebuilt from it, and what waits behind a crash is delivered once or answered."""

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.ref import ActorRef
from jidoka.client import Client
from jidoka.core.messages import Message
from jidoka.session import Session
from jidoka.sessions import requests as ask
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.crashing import everything_in, furnished
from tests.stories.kit import a_client, all_of, journal, said
from tests.stories.stores import STORES, PoisonStore, StalledStore

pytestmark = pytest.mark.usefixtures("unlogged")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StalledStore:
    return StalledStore(PoisonStore(STORES[request.param](tmp_path), error=SystemExit))  # pyright: ignore


@pytest.fixture
async def client(store: StalledStore) -> AsyncIterator[Client]:
    async with a_client(store, world=VirtualWorld()) as client:
        yield client


async def context_of(session: Session) -> ActorRef[Any]:
    """The session's context manager, past the door."""
    return next(child.ref for child in await session.which_children() if child.id == "context_manager")


# --- S34 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
async def test_s34_a_new_incarnation_has_a_new_identity_and_the_state_of_the_journal(
    client: Client, times: int
) -> None:
    session = await furnished(client)
    before, ref = await everything_in(session), await context_of(session)
    actor = ref.cell.actor

    for _ in range(times):
        await kill_child(session, "context_manager")
        await session.get_history()

    assert await everything_in(session) == before
    after = await context_of(session)
    assert after.actor_urn != ref.actor_urn
    assert after.cell.actor is not actor
    assert after.cell.actor is not None
    # What it knows is what it has read: nothing of the one before it.
    assert after.cell.actor.state.messages is not actor.state.messages  # pyright: ignore
    assert after.cell.actor.state.seq == len(await journal(client, session))


@pytest.mark.parametrize("name", [name for name in STORES if name != "memory"])
async def test_s34_so_it_is_for_another_process(name: str, tmp_path: Path) -> None:
    async with Client(STORES[name](tmp_path), world=VirtualWorld()) as client:
        session = await furnished(client)
        before = await everything_in(session)

    async with Client(STORES[name](tmp_path), world=VirtualWorld(seed=1)) as client:
        assert await everything_in(client.session(session.id)) == before


# --- S35 --------------------------------------------------------------------------------------------------------------


class Behind:
    """Five commands and five questions that wait behind a message, asked past the door, and their answers."""

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.ref = ref
        self.commands: list[Any] = [None] * 5
        self.questions: list[Any] = [None] * 5

    async def ask(self) -> None:
        calls: list[Any] = []
        for number in range(5):
            command = ask.AddMessage("user", f"command {number}", {}, f"key-{number}")
            calls += [partial(self.ref.call, command), partial(self.ref.call, ask.ReadHistory())]
        outcomes = await all_of(calls)
        self.commands, self.questions = outcomes[::2], outcomes[1::2]


async def test_s35_behind_a_crash_commands_are_delivered_once_each_and_questions_are_told(
    client: Client, store: StalledStore
) -> None:
    session = await client.create_session()
    ref = await context_of(session)
    store.stalled.add(session.id)
    behind = Behind(ref)

    async with anyio.create_task_group() as tasks:
        ref.tell(ask.AddMessage("user", "poison", {}, "poison-key"))
        await store.reached.wait()
        tasks.start_soon(behind.ask)
        await anyio.wait_all_tasks_blocked()
        store.released.set()

    assert [command.content for command in behind.commands] == [f"command {number}" for number in range(5)]
    assert [type(question) for question in behind.questions] == [ActorRestarted] * 5
    assert not any(question.was_handled for question in behind.questions)
    # Each once, under its key; what was only told and crashed is not repeated.
    assert sorted(await said(session)) == [("user", f"command {number}") for number in range(5)]
    keys = Counter(entry.key for entry in await journal(client, session) if entry.key is not None)
    assert keys == Counter(f"key-{number}" for number in range(5))


async def test_s35_whoever_repeats_a_command_with_its_key_has_the_same_answer(
    client: Client, store: StalledStore
) -> None:
    session = await client.create_session()
    ref = await context_of(session)
    store.stalled.add(session.id)
    behind = Behind(ref)
    async with anyio.create_task_group() as tasks:
        ref.tell(ask.AddMessage("user", "poison", {}, "poison-key"))
        await store.reached.wait()
        tasks.start_soon(behind.ask)
        await anyio.wait_all_tasks_blocked()
        store.released.set()
    first = list(behind.commands)

    await behind.ask()

    assert behind.commands == first
    assert len(await said(session)) == 5


@pytest.mark.parametrize("victim", ["crash", "context_manager", "supervisor"])
async def test_s35_through_the_door_everybody_has_an_answer_and_every_command_took_effect_once(
    client: Client, store: StalledStore, victim: str
) -> None:
    session = await client.create_session()
    store.stalled.add(session.id)
    outcomes: list[Any] = []

    async def talk() -> None:
        calls: list[Any] = []
        for number in range(10):
            calls += [partial(session.send_message, "user", f"command {number}"), session.get_history]
        outcomes.extend(await all_of(calls))

    async with anyio.create_task_group() as tasks:
        first = "poison" if victim == "crash" else "in hand"
        tasks.start_soon(all_of, [partial(session.send_message, "user", first)])
        await store.reached.wait()
        tasks.start_soon(talk)
        await anyio.wait_all_tasks_blocked()
        if victim == "context_manager":
            await kill_child(session, "context_manager")
        elif victim == "supervisor":
            await kill_supervisor(session)
        store.released.set()

    assert {type(outcome) for outcome in outcomes} == {Message, list}
    contents = [content for _, content in await said(session)]
    assert sorted(content for content in contents if content.startswith("command")) == [
        f"command {number}" for number in range(10)
    ]
    assert contents.count(first) == (0 if victim == "crash" else 1)
    assert [letter.kind for letter in await session.dead_letters()] == ["send_message"] * (victim == "crash")
    await journal(client, session)


async def test_s35_when_the_whole_supervisor_is_killed_everybody_past_the_door_is_told(
    client: Client, store: StalledStore
) -> None:
    session = await client.create_session()
    ref = await context_of(session)
    store.stalled.add(session.id)
    behind = Behind(ref)

    async with anyio.create_task_group() as tasks:
        ref.tell(ask.AddMessage("user", "in hand", {}, "key"))
        await store.reached.wait()
        tasks.start_soon(behind.ask)
        await anyio.wait_all_tasks_blocked()
        await kill_supervisor(session)
        store.released.set()

    # No incarnation follows at that address: nobody is left waiting, and whoever has a key may ask again.
    assert [type(outcome) for outcome in behind.commands + behind.questions] == [ActorDead] * 10
    again = Behind(await context_of(session))
    await again.ask()
    assert sorted(await said(session)) == [("user", f"command {number}") for number in range(5)]
