"""Stores on a real server, with and without something in between that breaks."""

from collections.abc import AsyncGenerator

import pytest

from jidoka.adapters.postgres import PostgresStore
from tests.proxy import FaultProxy
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import LIMIT, opened


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncGenerator[PostgresStore]:
    async with opened(postgres_dsn) as store:
        yield store


@pytest.fixture
async def other(postgres_dsn: str, store: PostgresStore) -> AsyncGenerator[PostgresStore]:
    """Another store on the same database, as another process has it."""
    async with opened(postgres_dsn) as other:
        yield other


@pytest.fixture
async def far(postgres: Postgres, database: str, proxy: FaultProxy) -> AsyncGenerator[PostgresStore]:
    """One behind the proxy, and not patient."""
    async with opened(postgres.dsn(database, port=proxy.port), limit=LIMIT) as store:
        yield store
