"""Everything at once, in many orders: whatever is killed, nobody who asks hears of it, and no turn is half there."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.errors import ChildNotFound
from jidoka.client import Client
from jidoka.core.errors import JidokaError, TurnCancelled, TurnFailed, TurnInProgress
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from tests.stories.kit import types_of


async def streamed(session: Session) -> None:
    async with session.stream("hello there") as turn:
        await turn.text()


async def killed_and_not_waited_for(session: Session) -> None:
    (await session.get_ref()).kill()


def everything(client: Client, session: Session) -> list[Callable[[], Awaitable[Any]]]:
    return [
        partial(session.prompt, "hello"),
        partial(streamed, session),
        session.cancel_turn,
        session.suspend,
        session.resume,
        session.get_history,
        session.build_context,
        session.which_children,
        session.get_ref,
        session.get_llm_agent_ref,
        session.fork,
        session.export,
        partial(session.update, metadata={"a": 1}),
        client.supervision_tree,
        client.stats,
        partial(kill_child, session, "orchestrator"),
        partial(kill_child, session, "context_manager"),
        partial(kill_supervisor, session),
        partial(killed_and_not_waited_for, session),
        partial(kill_manager, client),
    ]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_is_killed_everybody_is_answered_and_every_turn_is_over(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    session = await client.create_session(config={"max_restarts": 10_000})
    refused: list[JidokaError] = []

    async def later(act: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(chance.randrange(15)):
            await anyio.lowlevel.checkpoint()
        # A turn may fail, and what is to be killed may be gone already.
        with suppress(TurnFailed, TurnInProgress, TurnCancelled, ChildNotFound):
            try:
                await act()
            except (TurnFailed, TurnInProgress, TurnCancelled, ChildNotFound):
                raise
            except JidokaError as error:
                refused.append(error)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for act in chance.choices(everything(client, session), k=30):
                tasks.start_soon(later, act)
        assert refused == []
        assert (await session.prompt("still there?")).content == "still there?"

    await anyio.wait_all_tasks_blocked()
    types = await types_of(client, session)
    over = {how: types.count(f"turn_{how}") for how in ("completed", "failed", "cancelled")}
    assert sum(over.values()) == types.count("turn_started")
    assert types.count("conversation_added") == 2 * over["completed"]
