"""A client on a virtual clock, after which everything is as it was before."""

from collections.abc import AsyncIterator

import pytest

from jidoka.client import Client
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import purge_everything


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture
async def client(world: VirtualWorld) -> AsyncIterator[Client]:
    async with Client(world=world) as client, nothing_left_behind(client):
        yield client
        await purge_everything(client)
