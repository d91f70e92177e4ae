"""What every store promises. A new one joins by one line in STORES."""

from collections.abc import AsyncGenerator, Callable

import pytest

from jidoka.adapters.encryption import MasterKeys
from jidoka.adapters.memory import MemoryStore
from jidoka.adapters.postgres import PostgresStore
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.ports.store import Store
from jidoka.testing.contracts import StoreContract

STORES: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda request: SQLiteStore(request.getfixturevalue("tmp_path") / "jidoka.db"),
    "encrypted": lambda request: SQLiteStore(
        request.getfixturevalue("tmp_path") / "jidoka.db", keyring=MasterKeys([b"k" * 32])
    ),
    "postgres": lambda request: PostgresStore(request.getfixturevalue("postgres_dsn")),
}


class TestEveryStore(StoreContract):
    @pytest.fixture(params=STORES)
    async def store(self, request: pytest.FixtureRequest) -> AsyncGenerator[Store]:
        store = STORES[request.param](request)
        await store.open()
        yield store
        await store.close()
