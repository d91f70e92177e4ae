"""Turns that take their time, and what is true of every history."""

from functools import partial
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.session import Session
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import all_of


class Turn:
    """A prompt that is under way."""

    def __init__(self) -> None:
        self.outcome: Any = None

    async def ask(self, session: Session, content: str = "question", **options: Any) -> None:
        [self.outcome] = await all_of([partial(session.prompt, content, **options)])


def slow(*rest: Any) -> ScriptedModel:
    """A model that says something, then waits for ever, or for what is given."""
    return ScriptedModel(["half ", *(rest or (anyio.Event(),))])


async def a_session(client: Client, **options: Any) -> Session:
    return await client.create_session(llm_config={"model": "model"}, **options)


async def is_well_formed(client: Client, session: Session) -> None:
    """No turn is open, and whoever asked in vain has left no trace in the history."""
    head = await client.house.store.head(session.id)
    assert head is not None
    assert head.turn is None
    history = await session.get_history()
    turns = [message.metadata["turn_id"] for message in history if "turn_id" in message.metadata]
    assert turns[::2] == turns[1::2]
    assert len(set(turns[::2])) == len(turns[::2])
