"""I04: whoever does not hear what became of a write asks again with its key, and it is there once."""

import random
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.errors import JidokaError
from jidoka.core.settings import Settings
from jidoka.session import Session
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for
from tests.proof.places import LONG, MakeStore, as_many, let_time_pass

SESSIONS, MESSAGES = 100, 100
# Turns of the loop after which somebody goes away. Most go before the answer comes, some hardly do.
PATIENCE = [0, 0, 0, 1, 1, 1, 2, 3, 4, 20]


class Impatient:
    """Sends each message, and goes away at a random moment; then asks until it is answered."""

    def __init__(self, session: Session, messages: int, seed: int) -> None:
        self.session = session
        self.messages = messages
        self.chance = random.Random(seed)
        self.seqs: dict[str, int] = {}
        self.went_away = self.timed_out = 0

    async def talk(self) -> None:
        for number in range(self.messages):
            key = f"key-{number}"
            answers = {await self.attempt(key, self.chance.choice(PATIENCE))}
            if answers != {None}:
                # Nobody lost patience: once more, and sooner.
                answers.add(await self.attempt(key, 0))
            answers.add(await self.insist(key))
            [self.seqs[key]] = answers - {None}

    async def attempt(self, key: str, patience: int) -> int | None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.leave, scope, patience)
                try:
                    seq = await self.send(key)
                except JidokaError:
                    self.timed_out += 1
                    seq = None
                tasks.cancel_scope.cancel()
                return seq
        self.went_away += 1
        return None

    @staticmethod
    async def leave(scope: anyio.CancelScope, patience: int) -> None:
        for _ in range(patience):
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    async def insist(self, key: str) -> int:
        while True:
            try:
                return await self.send(key)
            except JidokaError:
                self.timed_out += 1

    async def send(self, key: str) -> int:
        return (await self.session.send_message("user", key, idempotency_key=key)).seq


def slow(chance: random.Random) -> Any:
    """Every write takes a turn of the loop, before its effect or after; a few take longer than anybody waits."""

    def plan(call: Call) -> Fault | None:
        if call.name != "append":
            return None
        seconds = 0 if chance.random() > 0.02 else chance.choice([1, 2, 7])
        return Fault("delay", chance.choice(["before", "after"]), seconds)

    return plan


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
async def test_writes_that_were_given_up_are_there_once_each(make_store: MakeStore) -> None:
    world = VirtualWorld()
    store = FaultyStore(store_for(make_store()), world=world)
    async with Client(store, settings=Settings(call_timeout=5), world=world) as client:
        messages = as_many(MESSAGES, store.store)
        talkers = [Impatient(await client.create_session(), messages, seed) for seed in range(SESSIONS)]
        store.plan = slow(random.Random(4))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(let_time_pass, world, store.store))
            async with anyio.create_task_group() as talking:
                for talker in talkers:
                    talking.start_soon(talker.talk)
            tasks.cancel_scope.cancel()

        journals = await all_well_formed(store.store, at_rest=True)
        for talker in talkers:
            keyed = {entry.key: entry.seq for entry in journals[talker.session.id] if entry.key}
            assert keyed == talker.seqs
        assert sum(talker.went_away + talker.timed_out for talker in talkers) >= 0.8 * SESSIONS * messages
        assert sum(talker.timed_out for talker in talkers) > 2
