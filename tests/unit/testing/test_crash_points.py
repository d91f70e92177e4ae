"""The tool that proves by crash: it dies everywhere, and it notices what was lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.core.settings import Settings
from jidoka.testing.crash_points import Crash, every_crash_point
from jidoka.testing.models import ScriptedModel

A = "session_a"


async def talk(client: Client, confirmed: list[Any]) -> None:
    session = await client.create_session(session_id=A)
    for number in range(3):
        confirmed.append((await session.send_message("user", f"{number}")).content)


async def heard(client: Client, crash: Crash) -> None:
    if await client.house.store.head(A) is None:
        assert crash.confirmed == []
        return
    said = [message.content for message in await client.session(A).get_history()]
    assert said[: len(crash.confirmed)] == crash.confirmed
    assert len(said) <= len(crash.confirmed) + 1


async def test_it_dies_before_and_after_every_write() -> None:
    crashes = await every_crash_point(talk, heard)

    assert [(crash.number, crash.when) for crash in crashes] == [
        (number, when) for number in (1, 2, 3, 4) for when in ("before", "after")
    ]
    assert [crash.call and crash.call.name for crash in crashes] == ["append"] * 8
    assert [len(crash.confirmed) for crash in crashes] == [0, 0, 0, 0, 1, 1, 2, 2]
    assert str(crashes[0]) == "crash before write 1 (append of session_a), 0 things confirmed"


class Forgetful(MemoryStore):
    """Confirms what it has not written yet: that comes with the next write. Not to be relied upon."""

    def __init__(self) -> None:
        super().__init__()
        self._late: tuple[str, Sequence[Entry], int] | None = None

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        if self._late is not None:
            late, self._late = self._late, None
            await super().append(late[0], late[1], expected_seq=late[2])
        if not expected_seq:
            return await super().append(session_id, entries, expected_seq=expected_seq)
        self._late = (session_id, entries, expected_seq)
        head = self._journals[session_id].head.copy()
        for entry in entries:
            head.apply(entry)
        return head


async def test_a_store_that_confirms_before_it_writes_is_found_out() -> None:
    class Forgetting(Forgetful):
        async def close(self) -> None:
            self._late = None

    with pytest.raises(AssertionError) as caught:
        await every_crash_point(talk, heard, make_store=Forgetting)

    assert "things confirmed" in caught.value.__notes__[-1]


async def test_a_check_that_fails_says_after_which_crash() -> None:
    async def refuse(client: Client, crash: Crash) -> None:
        assert (crash.number, crash.when) != (3, "after")

    with pytest.raises(AssertionError) as caught:
        await every_crash_point(talk, refuse)

    assert caught.value.__notes__ == ["crash after write 3 (append of session_a), 1 things confirmed"]


async def test_a_scenario_that_fails_by_itself_is_not_taken_for_a_crash() -> None:
    async def mistaken(client: Client, confirmed: list[Any]) -> None:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake") as caught:
        await every_crash_point(mistaken, heard)

    assert caught.value.__notes__ == ["crash after write 0 (not reached), 0 things confirmed"]


async def test_a_scenario_that_waits_for_ever_dies_too() -> None:
    async def hang(client: Client, confirmed: list[Any]) -> None:
        session = await client.create_session(session_id=A)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.send_message, "user", "0")
            await session.prompt("question")

    crashes = await every_crash_point(hang, lambda client, _: client.list_sessions())

    assert len(crashes) == 8


async def test_both_clients_have_the_models_and_settings_that_were_given() -> None:
    async def ask(client: Client, confirmed: list[Any]) -> None:
        session = await client.create_session(session_id=A, llm_config={"model": "scripted"})
        confirmed.append((await session.prompt("question")).content)

    async def ask_again(client: Client, crash: Crash) -> None:
        assert client.house.call_timeout == 3
        if await client.house.store.head(A) is not None:
            assert (await client.session(A).prompt("question")).content == "answer"

    await every_crash_point(
        ask,
        ask_again,
        make_models=lambda: {"scripted": ScriptedModel(["answer"])},
        settings=Settings(call_timeout=3),
    )


async def test_a_place_may_be_a_url(tmp_path: Path) -> None:
    seen: list[str] = []

    def make() -> str:
        seen.append("memory://")
        return "memory://"

    # Nothing is left of memory after a crash: only what says so passes.
    async def gone(client: Client, crash: Crash) -> None:
        assert await client.list_sessions() == []

    await every_crash_point(talk, gone, make_store=make)

    assert len(seen) == 9
