"""I05: on a full disk nothing is confirmed that is not there, everything else works, and it goes on by itself."""

import json
import subprocess
import sys
from pathlib import Path

from jidoka.adapters.sqlite import SQLiteStore
from jidoka.client import Client
from jidoka.testing.wellformed import all_well_formed
from tests.proof.full_disk import TEXT, fill, outcome

ROOT = Path(__file__).parents[2]


async def test_where_the_database_may_not_grow(tmp_path: Path) -> None:
    """SQLite says that it is full."""
    async with Client(SQLiteStore(tmp_path / "full.db", max_pages=60)) as client:
        session, other = await client.create_session(), await client.create_session()
        await other.send_message("user", TEXT * 20)

        confirmed = await fill(session)

        assert len(confirmed) > 3
        assert [message.content for message in await session.get_history()] == confirmed
        assert (await client.health()).is_ok
        assert len(await client.list_sessions()) == 2
        assert await outcome(lambda: session.send_message("user", TEXT)) == "storage_full"
        await other.terminate(purge=True)
        assert await outcome(lambda: session.send_message("user", TEXT)) == "ok"
        assert [message.content for message in await session.get_history()] == [*confirmed, TEXT]
        await all_well_formed(client.house.store)
        assert await client.house.store.examine() == ([], None)


def test_where_no_file_may_grow(tmp_path: Path) -> None:
    """The system refuses to write, in the middle of things."""
    command = [sys.executable, "-m", "tests.proof.full_disk", f"sqlite:///{tmp_path}/full.db"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=25)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found.pop("confirmed") > 10
    assert found.pop("seconds") < 5
    assert found == {
        "again": "storage_full",
        "read": True,
        "other": True,
        "health": "ok",
        "listed": 2,
        "back": "ok",
        "delete": "ok",
        "history": True,
        "damage": [],
    }
