"""StoreContract, as somebody uses it who has written a store: in a project of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """
import pytest
from jidoka import MemoryStore
from jidoka.testing.contracts import StoreContract

class MyStore(MemoryStore):
    {promise}

@pytest.mark.anyio
class TestMyStore(StoreContract):
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @pytest.fixture
    async def store(self):
        store = MyStore()
        await store.open()
        yield store
        await store.close()
"""

FORGETS = "async def read(self, *args, **kwargs): return (await super().read(*args, **kwargs))[:-1]"
OVERWRITES = """
    async def append(self, session_id, entries, *, expected_seq):
        head = await self.head(session_id)
        return await super().append(session_id, entries, expected_seq=head.seq if head else 0)
"""
SHARES = "async def claim(self, session_id): return await self.head(session_id)"


def outcome_of(tmp_path: Path, promise: str) -> tuple[int, dict[str, int]]:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_my_store.py").write_text(PROJECT.format(promise=promise))
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "."]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=25, check=False)
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error|skipped)", run.stdout)}
    return run.returncode, counts


def test_a_store_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    status, counts = outcome_of(tmp_path, "pass")

    assert status == 0
    assert counts.keys() == {"passed"}
    assert counts["passed"] > 30


@pytest.mark.parametrize("promise", [FORGETS, OVERWRITES, SHARES], ids=["forgets", "overwrites", "shares"])
def test_a_store_that_breaks_one_fails(tmp_path: Path, promise: str) -> None:
    status, counts = outcome_of(tmp_path, promise)

    assert status == 1
    assert counts["failed"] > 0
    assert "error" not in counts
