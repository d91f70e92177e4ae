"""The stage of the conformance table."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.actors.supervision.stage import Stage, raised_stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with raised_stage() as stage:
        yield stage
