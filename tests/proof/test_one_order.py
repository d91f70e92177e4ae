"""I10: everything that happens to a session has one order, and everybody sees that one."""

from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.events import Event
from jidoka.session import Session
from jidoka.testing.wellformed import well_formed
from jidoka.testing.world import VirtualWorld
from tests.proof.places import LONG, MakeStore, as_many
from tests.stories.kit import take

CLIENTS, POSTS = 50, 200


class Listener:
    """Subscribes when it is told to, and hears everything up to the last entry."""

    def __init__(self, session: Session, after: int | None, last: int) -> None:
        self._session, self._after, self._last = session, after, last
        self.events: list[Event] = []

    async def listen(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        async with self._session.subscribe(after=self._after, max_buffer=CLIENTS * POSTS + 100) as events:
            task_status.started()
            async for event in events:
                self.events.append(event)
                if event.seq == self._last:
                    return


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
async def test_fifty_clients_post_at_once_and_there_is_one_order(make_store: MakeStore) -> None:
    async with Client(make_store(), world=VirtualWorld()) as client:
        session = await client.create_session()
        born = (await session.info()).last_seq
        posts = as_many(POSTS, client.house.store)
        last = born + CLIENTS * posts
        live, replaying = Listener(session, None, last), Listener(session, 0, last)
        answers: dict[int, list[int]] = {number: [] for number in range(CLIENTS)}

        async def post(number: int) -> None:
            mine = client.session(session.id)
            for post in range(posts):
                answers[number].append((await mine.send_message("user", f"{number}:{post}")).seq)

        async with anyio.create_task_group() as tasks:
            await tasks.start(live.listen)
            await tasks.start(replaying.listen)
            for number in range(CLIENTS):
                tasks.start_soon(post, number)

        journal = await client.house.store.read(session.id)
        well_formed(journal, await client.house.store.head(session.id))
        said = [(entry.seq, entry.data["content"]) for entry in journal[born:]]
        assert [seq for seq, _ in said] == list(range(born + 1, last + 1))
        assert [(message.seq, message.content) for message in await session.get_history()] == said
        assert [(event.seq, event.data["content"]) for event in live.events] == said
        assert [(event.seq, event.data["content"]) for event in replaying.events[born:]] == said
        async with session.subscribe(after=born) as events:
            assert [(event.seq, event.data["content"]) for event in await take(events, len(said))] == said
        for number in range(CLIENTS):
            mine = [(seq, content) for seq, content in said if content.startswith(f"{number}:")]
            assert mine == list(zip(answers[number], (f"{number}:{post}" for post in range(posts)), strict=True))
