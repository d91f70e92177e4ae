"""What every store promises, as tests. A new store joins with a fixture:

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore()
            await store.open()
            yield store
            await store.close()

They are async tests for anyio's pytest plugin, and want an empty store each.
"""

from __future__ import annotations

from jidoka.testing.journal_contract import JournalContract
from jidoka.testing.listing_contract import ListingContract
from jidoka.testing.writer_contract import WriterContract


class StoreContract(JournalContract, WriterContract, ListingContract):
    """Every method is a promise. Subclasses have a fixture `store`: open, and empty."""
