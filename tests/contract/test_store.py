"""What every store promises. A new one joins by one line in STORES."""

from collections.abc import AsyncGenerator, Callable

import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.ports.store import Store
from jidoka.testing.contracts import StoreContract

STORES: dict[str, Callable[[], Store]] = {
    "memory": MemoryStore,
}


class TestEveryStore(StoreContract):
    @pytest.fixture(params=STORES)
    async def store(self, request: pytest.FixtureRequest) -> AsyncGenerator[Store]:
        store = STORES[request.param]()
        await store.open()
        yield store
        await store.close()
