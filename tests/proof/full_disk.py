"""A process whose files may not grow any more: `python -m tests.proof.full_disk URL` prints, as JSON, how it fared."""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.core.errors import JidokaError, StorageFull
from jidoka.session import Session
from jidoka.testing.wellformed import all_well_formed

LIMIT = 800_000
TEXT = "hello " * 300


def allow(size: int) -> None:
    """No file may grow beyond *size* bytes; -1 takes the limit away. Python ignores the signal that comes with it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def fill(session: Session) -> list[str]:
    """Send until there is no space; what was confirmed."""
    confirmed: list[str] = []
    while True:
        text = f"{len(confirmed)} {TEXT}"
        try:
            await session.send_message("user", text, idempotency_key=f"key-{len(confirmed)}")
        except StorageFull:
            return confirmed
        confirmed.append(text)


async def outcome(call: Any) -> str:
    try:
        await call()
    except JidokaError as error:
        return error.code
    return "ok"


async def run(url: str) -> dict[str, Any]:
    async with Client(url) as client:
        session, other = await client.create_session(), await client.create_session()
        await other.send_message("user", "short")
        allow(LIMIT)
        confirmed = await fill(session)
        found: dict[str, Any] = {"confirmed": len(confirmed)}
        found["again"] = await outcome(lambda: session.send_message("user", TEXT * 50))
        found["read"] = [message.content for message in await session.get_history()] == confirmed
        found["other"] = [message.content for message in await other.get_history()] == ["short"]
        found["health"] = (await client.health()).status
        found["listed"] = len(await client.list_sessions())
        allow(resource.RLIM_INFINITY)
        begun = time.monotonic()
        found["back"] = await outcome(lambda: session.send_message("user", "back", idempotency_key="back"))
        found["seconds"] = time.monotonic() - begun
        found["delete"] = await outcome(lambda: other.terminate(purge=True))
        # The one that was refused, once more, with its key: once.
        text = f"{len(confirmed)} {TEXT}"
        await session.send_message("user", text, idempotency_key=f"key-{len(confirmed)}")
        found["history"] = [message.content for message in await session.get_history()] == [*confirmed, "back", text]
        await all_well_formed(client.house.store)
        found["damage"] = [damage.text for damage in (await client.house.store.examine())[0]]
    return found


if __name__ == "__main__":
    print(json.dumps(anyio.run(run, sys.argv[1])))
