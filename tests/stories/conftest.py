"""A client on a virtual clock, after which everything is as it was before."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from jidoka.client import Client
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import purge_everything
from tests.stories.processes import REOPENABLE, Machine


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture
async def client(world: VirtualWorld) -> AsyncIterator[Client]:
    async with Client(world=world) as client, nothing_left_behind(client):
        yield client
        await purge_everything(client)


@pytest.fixture(params=REOPENABLE)
def machine(request: pytest.FixtureRequest, world: VirtualWorld) -> Machine:
    return Machine(REOPENABLE[request.param](request), world)


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Many crashes are expected, and nobody wants to read of them."""
    loggers = [logging.getLogger(f"jidoka.{name}") for name in ("actors", "sessions")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    yield
    for logger, was in zip(loggers, before, strict=True):
        logger.disabled = was
