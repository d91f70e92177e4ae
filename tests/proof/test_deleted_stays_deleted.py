"""I15: whoever comes late to a session that was deleted writes nothing, and nothing brings it back."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import Fenced, JidokaError, SessionNotFound, StaleSequence, Tombstoned
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.ports.store import Store
from jidoka.session import Session
from jidoka.testing.entries import head_of, message_entry
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for
from tests.proof.places import LONG, MakeStore, as_many, let_time_pass
from tests.stories.kit import Shared

DELETIONS, AT_ONCE = 1_000, 100


def models() -> dict[str, ScriptedModel]:
    return {"slow": ScriptedModel(["half ", anyio.Event()])}


LATE: dict[str, Callable[[Session], Awaitable[object]]] = {
    "message": lambda session: session.send_message("user", "late", idempotency_key="late"),
    "prompt": lambda session: session.prompt("late"),
    "file": lambda session: session.add_file("late.py"),
    "working context": lambda session: session.put_context("late", 1),
    "metadata": lambda session: session.update(metadata={"late": True}),
    "halt": lambda session: session.halt(reason="late"),
    "clear": lambda session: session.clear_history(),
    "suspend": lambda session: session.suspend(),
    "resume": lambda session: session.resume(),
    "terminate": lambda session: session.terminate(),
}


class Deletion:
    """One session in the middle of a turn, its deletion, and everybody who comes late."""

    def __init__(self, client: Client, paused: Client, store: FaultyStore, number: int) -> None:
        self.client, self.paused, self.store = client, paused, store
        self.chance = random.Random(number)
        self.id = f"session_{number:04}"
        self.epoch = 0

    async def run(self) -> None:
        config = {"idle_after": 60, "suspend_after": 120, "max_restarts": 100}
        session = await self.client.create_session(session_id=self.id, llm_config={"model": "slow"}, config=config)
        if self.chance.random() < 0.3:
            # Another process has owned it, thinks that it still does, and was paused.
            await self.paused.session(self.id).send_message("user", "mine")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.ask_in_vain, session)
            for _ in range(3):
                tasks.start_soon(self.come_late, session)
            for _ in range(self.chance.randrange(6)):
                await anyio.lowlevel.checkpoint()
            self.epoch = (await head_of(self.store.store, self.id)).epoch
            await session.terminate(purge=True)
            tasks.start_soon(self.come_late, session)
            tasks.start_soon(self.write_as_the_old_owner)

    @staticmethod
    async def ask_in_vain(session: Session) -> None:
        with pytest.raises(JidokaError):
            await session.prompt("question")

    async def come_late(self, session: Session) -> None:
        for _ in range(self.chance.randrange(8)):
            await anyio.lowlevel.checkpoint()
        with suppress(JidokaError):
            await LATE[self.chance.choice(list(LATE))](session)

    async def write_as_the_old_owner(self) -> None:
        for epoch in range(1, self.epoch + 2):
            with pytest.raises((Tombstoned, Fenced, StaleSequence)):
                await self.store.append(self.id, [message_entry(7, "late", epoch=epoch)], expected_seq=6)

    async def wake_the_paused(self) -> None:
        with pytest.raises(JidokaError):
            await self.paused.session(self.id).send_message("user", "late")

    async def is_gone(self) -> None:
        assert await self.store.store.head(self.id) is None
        with pytest.raises(SessionNotFound):
            await self.store.store.read(self.id)
        with pytest.raises(SessionNotFound):
            await self.client.session(self.id).send_message("user", "late")

    async def is_another_when_it_is_made_again(self) -> None:
        await self.client.create_session(session_id=self.id)
        entries: list[Entry] = await self.store.store.read(self.id)
        assert len(entries) == 2
        assert all(entry.epoch > self.epoch for entry in entries)
        await self.write_as_the_old_owner()
        await self.client.terminate_session(self.id, purge=True)


def hesitant(chance: random.Random) -> Callable[[Call], Fault | None]:
    """Some writes are still under way when the session is deleted."""

    def plan(call: Call) -> Fault | None:
        if call.number is None or chance.random() > 0.2:
            return None
        return Fault("delay", chance.choice(["before", "after"]), chance.choice([0, 0, 0.2]))

    return plan


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
async def test_sessions_deleted_in_the_middle_of_a_turn_stay_deleted(make_store: MakeStore) -> None:
    world = VirtualWorld()
    place = store_for(make_store())
    await place.open()
    try:
        store = Shared(place, hesitant(random.Random(15)), world=world)
        options: dict[str, Any] = {"models": models(), "world": world, "settings": Settings(call_timeout=60)}
        async with Client(store, **options) as client, Client(Shared(place, world=world), **options) as paused:
            for start in range(0, as_many(DELETIONS, place), AT_ONCE):
                batch = [Deletion(client, paused, store, number) for number in range(start, start + AT_ONCE)]
                await delete(batch, world, place)
            assert await client.list_sessions(status=list(SessionStatus)) == []  # pyright: ignore
            assert sum((await place.count()).values()) == 0
    finally:
        await place.close()


async def delete(batch: list[Deletion], world: VirtualWorld, place: Store) -> None:
    await meanwhile(world, place, [deletion.run for deletion in batch])
    # Timers that were set before go off now, if anybody has kept them.
    await world.advance(200)
    await meanwhile(world, place, [deletion.wake_the_paused for deletion in batch])
    await meanwhile(world, place, [deletion.is_gone for deletion in batch])
    await meanwhile(world, place, [deletion.is_another_when_it_is_made_again for deletion in batch])
    await meanwhile(world, place, [deletion.is_gone for deletion in batch])


async def meanwhile(world: VirtualWorld, place: Store, work: list[Callable[[], Awaitable[None]]]) -> None:
    """Do all of *work* at once, while time passes."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(let_time_pass, world, place, seconds=0.2))
        async with anyio.create_task_group() as working:
            for one in work:
                working.start_soon(one)
        tasks.cancel_scope.cancel()
