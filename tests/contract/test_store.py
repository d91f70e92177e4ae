"""What every store promises. A new one joins by one line in STORES."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from jidoka.adapters.encryption import MasterKeys
from jidoka.adapters.memory import MemoryStore
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.ports.store import Store
from jidoka.testing.contracts import StoreContract

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda place: SQLiteStore(place / "jidoka.db"),
    "encrypted": lambda place: SQLiteStore(place / "jidoka.db", keyring=MasterKeys([b"k" * 32])),
}


class TestEveryStore(StoreContract):
    @pytest.fixture(params=STORES)
    async def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
        store = STORES[request.param](tmp_path)
        await store.open()
        yield store
        await store.close()
