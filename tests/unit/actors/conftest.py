"""An actor system on virtual time, for the tests beside this file."""

from collections.abc import AsyncIterator

import pytest

from jidoka.actors.system import ActorSystem
from jidoka.testing.world import VirtualWorld


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture
async def system(world: VirtualWorld) -> AsyncIterator[ActorSystem]:
    async with ActorSystem(world=world) as running:
        yield running
    assert running.cells == 0
    assert not running.abandoned
