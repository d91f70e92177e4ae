"""What jidoka writes for a turn, as rows of one table in the same two commits, with nothing around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.bench.contestants.durable_raw import ADD, Known, Sqlite
from tests.bench.durable.backend import Message

IDS = {"id": f"message_{'0' * 32}", "turn_id": f"turn_{'0' * 32}"}
DONE = {"turn_id": IDS["turn_id"], "message_seq": 4, "usage": {}}


class TwoCommits(Sqlite):
    """First that the turn has begun; then question, answer, and that it is complete."""

    async def turn(self, session: Known, pair: Sequence[Message]) -> None:
        (_, question), (_, answer) = pair
        await self._write(session, {"turn_id": IDS["turn_id"], "content": question, "model": "echo"})
        await self._write(session, said("user", question), said("assistant", answer), DONE)

    async def _write(self, session: Known, *entries: dict[str, Any]) -> None:
        rows = [(session.number, seq, json.dumps(data)) for seq, data in enumerate(entries, session.seq + 1)]
        session.seq += len(rows)
        await self._commit(lambda: self._db.executemany(ADD, rows))


def said(role: str, content: str) -> dict[str, Any]:
    """A message as a session writes it."""
    return {**IDS, "role": role, "content": content, "metadata": {"turn_id": IDS["turn_id"]}}
