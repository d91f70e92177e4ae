"""I03: whatever a process was writing when it died, what it had confirmed is there, and everything else is whole."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import SessionNotFound, SessionTerminated, TurnCancelled, TurnFailed
from jidoka.core.state import SessionState
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.crash_points import Crash, every_crash_point
from jidoka.testing.models import ScriptedModel
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from tests.proof.places import FAR, LONG, PLACES, MakeStore

MAIN, DOOMED, ENDED = "session_main", "session_doomed", "session_ended"
Step = Callable[[Client, Session], Awaitable[Any]]


# --- twenty turns, and everything else that a session can do -----------------------------------------


def models() -> dict[str, ScriptedModel]:
    turns: list[list[Any]] = [["half ", "and half"], [RuntimeError("the model broke")], ["never", anyio.Event()]]
    return {"model": ScriptedModel(*turns * 7, ["at last"])}


async def complete(client: Client, session: Session) -> None:
    assert (await session.prompt("question")).content == "half and half"


async def fail(client: Client, session: Session) -> None:
    with pytest.raises(TurnFailed):
        await session.prompt("question")


async def cancel(client: Client, session: Session) -> None:
    async with session.stream("question") as turn:
        assert await anext(turn) == "never"
        await session.cancel_turn()
        with pytest.raises(TurnCancelled):
            await anext(turn)


def say(number: int) -> Step:
    return lambda client, session: session.send_message("user", f"message {number}", idempotency_key=f"key-{number}")


async def go_idle(client: Client, session: Session) -> None:
    world = client.house.world
    assert isinstance(world, VirtualWorld)
    await world.advance(310)


async def create(client: Client, session: Session) -> None:
    await client.create_session(session_id=MAIN, owner="ada", metadata={"a": 1}, llm_config={"model": "model"})


async def fork_and_import(client: Client, session: Session) -> None:
    fork = await session.fork(metadata={"fork": True})
    await fork.send_message("user", "on my way")
    await client.import_session(await session.export())


async def halt_and_approve(client: Client, session: Session) -> None:
    await session.halt(reason="look")
    await session.approve(decision="approve", by="ada")


async def suspend_and_resume(client: Client, session: Session) -> None:
    await session.suspend()
    await session.resume()


async def end_one(client: Client, session: Session) -> None:
    ended = await client.create_session(session_id=ENDED)
    await ended.send_message("user", "farewell")
    await ended.terminate()


async def purge_one(client: Client, session: Session) -> None:
    doomed = await client.create_session(session_id=DOOMED)
    await doomed.send_message("user", "farewell")
    await doomed.terminate(purge=True)


STEPS: list[tuple[str, Step]] = [
    ("create", create),
    *[(f"say {number}", say(number)) for number in range(3)],
    *[("complete", complete), ("fail", fail), ("cancel", cancel)] * 6,
    ("add a.py", lambda _, s: s.add_file("a.py")),
    ("add b.py", lambda _, s: s.add_file("b.py")),
    ("index", lambda _, s: s.update_file_index("a.py", {"lines": 1})),
    ("remove a.py", lambda _, s: s.remove_file("a.py")),
    ("put", lambda _, s: s.put_context("plan", {"steps": [1, 2]})),
    ("put another", lambda _, s: s.put_context("more", 1)),
    ("delete", lambda _, s: s.delete_context("more")),
    ("update", lambda _, s: s.update(metadata={"b": 2})),
    ("update at a version", lambda _, s: s.update(metadata={"a": None}, expected_version=2)),
    ("suspend and resume", suspend_and_resume),
    ("say after resuming", say(3)),
    ("go idle", go_idle),
    ("say out of idleness", say(4)),
    ("halt and approve", halt_and_approve),
    ("fork and import", fork_and_import),
    ("end one", end_one),
    ("purge one", purge_one),
    ("clear", lambda _, s: s.clear_history()),
    ("complete again", complete),
    ("fail again", fail),
    ("suspend", lambda _, s: s.suspend()),
]

# What writes most differently.
SHORT_NAMES = [
    *("create", "say 0", "complete", "fail", "add a.py", "update", "suspend and resume", "fork and import"),
    *("end one", "purge one", "clear", "suspend"),
]
SHORT = [(name, dict(STEPS)[name]) for name in SHORT_NAMES]
PLACES_AND_STEPS = [(name, SHORT if name in FAR and not LONG else STEPS) for name in PLACES]


# --- what is sound -------------------------------------------------------------------------------------


def content(state: SessionState) -> dict[str, Any]:
    """All that the session holds, without ids and times."""
    return {
        "history": [(message.role, message.content) for message in state.messages],
        "files": [file.path for file in state.files],
        "index": {path: found.get("lines") for path, found in state.file_index.items()},
        "working": dict(state.working),
        "metadata": state.metadata,
        "version": state.version,
    }


async def content_of(client: Client, session_id: str) -> dict[str, Any] | None:
    if await client.house.store.head(session_id) is None:
        return None
    return content(SessionState.of(session_id, await client.house.store.read(session_id)))


class Proof:
    """The scenario, and what must be true after it died somewhere."""

    def __init__(self, steps: list[tuple[str, Step]]) -> None:
        self.steps = steps
        # What the session held after each step of the run that nothing happened to.
        self.contents: list[Any] = []

    async def scenario(self, client: Client, confirmed: list[Any]) -> None:
        session = client.session(MAIN)
        for _, step in self.steps:
            await step(client, session)
            confirmed.append(await content_of(client, MAIN))

    async def check(self, client: Client, crash: Crash) -> None:
        if crash.call is None:
            assert len(crash.confirmed) == len(self.steps)
            self.contents = [None, *crash.confirmed]
        done = len(crash.confirmed)
        assert [None, *crash.confirmed] == self.contents[: done + 1]

        await all_well_formed(client.house.store)
        await self.everybody_answers(client)
        # All that was confirmed, and of the step that was under way all or nothing.
        found = await content_of(client, MAIN)
        assert found in self.contents[done : done + 2], self.steps[min(done, len(self.steps) - 1)][0]
        await self.ended_is_ended(client, done)
        await self.keys_are_kept(client, done)
        await all_well_formed(client.house.store, at_rest=True)

    @staticmethod
    async def everybody_answers(client: Client) -> None:
        for info in await client.list_sessions(status=list(SessionStatus)):
            try:
                await client.session(info.session_id).get_history()
            except (SessionTerminated, SessionNotFound):
                assert info.session_id in (ENDED, DOOMED)

    async def ended_is_ended(self, client: Client, done: int) -> None:
        names = [name for name, _ in self.steps[:done]]
        if "end one" in names:
            assert (await client.get_session_info(ENDED)).status is SessionStatus.TERMINATED
        if "purge one" in names:
            with pytest.raises(SessionNotFound):
                await client.get_session_info(DOOMED)
        for session_id in (ENDED, DOOMED):
            # Whatever was half done can be done to the end.
            with suppress(SessionNotFound):
                await client.terminate_session(session_id, purge=True)
            assert await client.house.store.head(session_id) is None

    async def keys_are_kept(self, client: Client, done: int) -> None:
        names = [name for name, _ in self.steps[: done + 1]]
        if done == 0:
            return
        session = client.session(MAIN)
        sent = [number for number, name in ((3, "say after resuming"), (4, "say out of idleness")) if name in names]
        sent += [number for number in range(3) if f"say {number}" in names]
        for number in sent:
            first = await say(number)(client, session)
            again = await say(number)(client, session)
            assert first == again
        keys = [
            entry.key for entry in await client.house.store.read(MAIN) if entry.key and entry.key.startswith("key-")
        ]
        assert sorted(keys) == sorted(f"key-{number}" for number in sent)


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
@pytest.mark.parametrize(
    ("make_store", "steps"), PLACES_AND_STEPS, ids=[name for name, _ in PLACES_AND_STEPS], indirect=["make_store"]
)
async def test_nothing_confirmed_is_lost_and_nothing_is_half_done_wherever_the_process_dies(
    make_store: MakeStore,
    steps: list[tuple[str, Step]],
) -> None:
    proof = Proof(steps)

    crashes = await every_crash_point(proof.scenario, proof.check, make_store=make_store, make_models=models)

    assert len(crashes) > (140 if steps is STEPS else 45)
    assert [crash for crash in crashes if crash.call is None] == []
