"""I18 in a thousand random mixes: every message arrives once, or is a dead letter, and nothing is both."""

import random
from pathlib import Path

import anyio
import pytest

from jidoka.actors.errors import ActorRestarted
from jidoka.client import Client
from jidoka.ports.world import SystemWorld
from jidoka.session import Session
from jidoka.testing.world import VirtualWorld
from tests.stories.crashing import KILLS
from tests.stories.kit import journal, purge_everything, said
from tests.stories.stores import STORES, PoisonStore, SlowStore
from tests.stories.turning import is_well_formed

pytestmark = pytest.mark.usefixtures("unlogged")


class Mix:
    """One session, and what should have become of all that was sent to it."""

    def __init__(self, client: Client, session: Session, seed: int) -> None:
        self.client = client
        self.session = session
        self.seed = seed
        self.chance = random.Random(seed)
        self.sent: list[str] = []
        self.dead: list[str] = []

    async def play(self) -> None:
        """Twelve acts: one after the other, or three at once."""
        for number in range(0, 12, 3):
            if self.chance.random() < 0.5:
                async with anyio.create_task_group() as tasks:
                    for part in range(3):
                        tasks.start_soon(self._act, number + part)
            else:
                await self._act(number)

    async def _act(self, number: int) -> None:
        match self.chance.randrange(8):
            case 0 | 1 | 2:
                await self._send(f"good {number}")
            case 3 | 4:
                await self._send(f"poison {number}")
            case 5:
                await self._send(f"fragile {self.chance.randrange(1, 5)} {number} {self.seed}")
            case 6:
                await KILLS[self.chance.choice(list(KILLS))](self.client, self.session)
            case _:
                await self.session.get_history()

    async def _send(self, content: str) -> None:
        try:
            assert (await self.session.send_message("user", content)).content == content
            self.sent.append(content)
        except ActorRestarted as error:
            assert error.dead_letter is not None
            self.dead.append(content)

    async def requeue_some(self) -> None:
        """Those that would not crash any more."""
        for letter in await self.session.dead_letters():
            assert letter.request is not None
            content = letter.request["content"]
            if content.startswith("fragile") and self.chance.random() < 0.5:
                assert (await self.session.requeue(letter.id)).content == content
                self.dead.remove(content)
                self.sent.append(content)

    async def check(self) -> None:
        """Nothing lost, nothing twice, nothing in both places, and a journal without a gap."""
        assert sorted(content for _, content in await said(self.session)) == sorted(self.sent), self.seed
        letters = [letter.request for letter in await self.session.dead_letters()]
        assert sorted(request["content"] for request in letters if request) == sorted(self.dead), self.seed
        assert not [content for content in self.sent if content.startswith("poison")]
        assert not [content for content in self.dead if content.startswith("good")]
        await is_well_formed(self.client, self.session)
        await journal(self.client, self.session)


BLOCK = 50
# In each, so many blocks of mixes. A memory store that waits for nobody cannot be interrupted; the others can.
BLOCKS = [*(("memory", block) for block in range(20)), *(("memory in turns", block) for block in range(4))]
BLOCKS += [(name, 0) for name in STORES if name != "memory"]


@pytest.mark.parametrize(("name", "block"), BLOCKS)
async def test_in_a_random_mix_every_message_arrives_once_or_is_a_letter(name: str, block: int, tmp_path: Path) -> None:
    inner = STORES[name.split(maxsplit=1)[0]](tmp_path)
    store = PoisonStore(SlowStore(inner) if "in turns" in name else inner)
    # Who is killed while coming up is started again a moment later: that moment has to pass.
    async with Client(store, world=VirtualWorld() if name == "memory" else SystemWorld()) as client:
        for seed in range(block * BLOCK, (block + 1) * BLOCK):
            store.tasted.clear()
            session = await client.create_session(config={"max_restarts": 1000})
            mix = Mix(client, session, seed)
            await mix.play()
            await mix.requeue_some()
            await mix.check()
        await purge_everything(client)
