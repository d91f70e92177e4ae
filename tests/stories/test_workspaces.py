"""Sessions that work in a directory: they read its files, and their index follows what happens there."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import (
    FileUnreadable,
    InvalidMessage,
    InvalidPath,
    SessionNotFound,
    SessionTerminated,
    WorkspaceUnavailable,
)
from jidoka.core.settings import Settings
from jidoka.core.workspaces import Found, Look
from jidoka.session import Session
from jidoka.sessions.files import LONGEST, LOOK_AGAIN, SHORTEST
from jidoka.testing.events import EventLog, listening_to
from jidoka.testing.faults import kill_child
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import PATIENCE, a_client, journal

ID = "session_with_files"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with two files in it."""
    place = tmp_path / "work"
    (place / "src").mkdir(parents=True)
    (place / "README").write_text("read me")
    (place / "src" / "main.py").write_text("print()")
    return place


class Stage:
    """A client, a session in a workspace, and everything that is heard of it."""

    def __init__(self, client: Client, session: Session, world: VirtualWorld, log: EventLog) -> None:
        self.client, self.session, self.world, self.log = client, session, world, log

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The index, when it is as it should be. It is looked at after each entry about it."""
        with anyio.fail_after(PATIENCE):
            while not holds(index := await self.session.get_file_index()):
                await self.log.next("context_updated")
                await self.world.advance(LONGEST)
        return index

    async def entries(self) -> list[dict[str, Any]]:
        """What the journal says of files that were seen."""
        return [dict(e.data) for e in await journal(self.client, self.session) if "gone" in e.data]


@asynccontextmanager
async def a_stage(root: Path, **config: Any) -> AsyncIterator[Stage]:
    world = VirtualWorld()
    async with a_client(world=world, workspaces=(str(root.parent),)) as client, listening_to(client, ID) as log:
        session = await client.create_session(session_id=ID, config={"workspace": str(root), **config})
        yield Stage(client, session, world, log)


async def at_rest(stage: Stage) -> None:
    """The first look is over, and so is the pause after it."""
    await stage.until(lambda index: "README" in index)
    await stage.world.advance(LONGEST)


# --- reading --------------------------------------------------------------------------------------


async def test_a_file_is_read_once_as_long_as_it_stays_as_it_is(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)

        assert [await stage.session.read_file("src/main.py") for _ in range(3)] == ["print()"] * 3

        stats = stage.client.files.stats()
        assert (stats.items, stats.hits, stats.misses) == (1, 2, 1)


async def test_a_change_is_read(root: Path) -> None:
    async with a_stage(root) as stage:
        await stage.session.read_file("README")
        (root / "new").write_text("read  m")
        # As large, and as old.
        os.utime(root / "new", ns=(0, (root / "README").stat().st_mtime_ns))
        os.replace(root / "new", root / "README")

        assert await stage.session.read_file("README") == "read  m"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        *(
            (path, InvalidPath)
            for path in ("/etc/passwd", "../work-evil/secret", "src/../../x", "..", ".", "out", "hard")
        ),
        *((path, FileUnreadable) for path in ("nothing", "src", "pipe", "binary", "large")),
        *((path, InvalidMessage) for path in ("", "a\0b", 7, None, "x" * 5_000, b"README")),
    ],
)
async def test_what_cannot_be_read_is_refused(root: Path, path: Any, error: type[Exception]) -> None:
    (root.parent / "work-evil").mkdir()
    (root.parent / "work-evil" / "secret").write_text("secret")
    (root / "out").symlink_to("../work-evil/secret")
    os.link(root.parent / "work-evil" / "secret", root / "hard")
    os.mkfifo(root / "pipe")
    (root / "binary").write_bytes(b"\x80")
    (root / "large").write_bytes(b"x" * 2_000_001)

    async with a_stage(root) as stage:
        with pytest.raises(error):
            await stage.session.read_file(path)

        assert await stage.session.read_file("README") == "read me"


async def test_a_session_without_a_workspace_reads_nothing(client: Client) -> None:
    session = await client.create_session()

    with pytest.raises(InvalidMessage) as caught:
        await session.read_file("README")

    assert caught.value.field == "workspace"
    assert [child.id for child in await session.which_children()] == ["context_manager", "orchestrator"]


async def test_one_session_does_not_see_what_another_has_cached(root: Path) -> None:
    async with a_stage(root) as stage:
        other = await stage.client.create_session(config={"workspace": str(root)})
        await stage.session.read_file("README")
        await other.read_file("README")

        assert stage.client.files.stats().items == 2
        await other.terminate()
        assert stage.client.files.stats().items == 1


async def test_an_ended_session_reads_nothing(root: Path) -> None:
    async with a_stage(root) as stage:
        await stage.session.terminate()

        with pytest.raises(SessionTerminated):
            await stage.session.read_file("README")
        with pytest.raises(SessionNotFound):
            await stage.client.session("session_unknown").read_file("README")


# --- which directories ----------------------------------------------------------------------------


async def test_by_default_no_directory_may_be_a_workspace(client: Client, root: Path) -> None:
    with pytest.raises(InvalidMessage) as caught:
        await client.create_session(config={"workspace": str(root)})

    assert caught.value.field == "workspace"
    assert "workspaces" in str(caught.value)


@pytest.mark.parametrize("name", ["work-evil", "..", "work/../work-evil", "nothing", "work/README", "link"])
async def test_a_session_in_another_directory_is_not_created(root: Path, name: str) -> None:
    (root.parent / "work-evil").mkdir()
    (root / "link").symlink_to("../work-evil")

    async with a_client(workspaces=(str(root),)) as client:
        with pytest.raises(InvalidMessage) as caught:
            await client.create_session(config={"workspace": f"{root.parent}/{name}"})

        assert caught.value.field == "workspace"
        assert await client.list_sessions() == []


async def test_an_import_from_a_machine_with_other_directories_works_without_its_files(root: Path) -> None:
    async with a_stage(root) as stage:
        document = await stage.session.export()

    async with a_client() as client, listening_to(client, ID) as log:
        session = await client.import_session(document)
        warning = await log.next("resource_warning")

        assert await session.prompt("hello")
        with pytest.raises(WorkspaceUnavailable):
            await session.read_file("README")
    assert warning.data["resource"] == "workspace"


# --- the index ------------------------------------------------------------------------------------


async def test_the_index_begins_with_what_is_there_and_follows_it(root: Path) -> None:
    async with a_stage(root) as stage:
        first = await stage.until(lambda index: len(index) == 2)
        await stage.world.advance(LONGEST)
        (root / "src" / "main.py").write_text("print(1)")
        (root / "new.py").write_text("")
        (root / "README").unlink()
        last = await stage.until(
            lambda index: "README" not in index and "new.py" in index and index["src/main.py"]["size"] == 8
        )

        assert set(first) == {"README", "src/main.py"}
        assert first["README"]["size"] == 7
        assert set(last) == {"new.py", "src/main.py"}


async def test_what_a_program_says_of_a_file_stays(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        await stage.session.update_file_index("README", {"about": "everything"})
        (root / "README").unlink()
        index = await stage.until(lambda index: index["README"].get("missing") is True)

        assert index["README"]["about"] == "everything"


class Restless:
    """A workspace in which something has changed whenever it is looked at; `changed` takes so many seconds."""

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world
        self.every = 0.0
        self.crashes = 0
        self.looks: list[float] = []

    async def check(self, root: str) -> None:
        pass

    @asynccontextmanager
    async def watching(self, root: str) -> AsyncIterator["Restless"]:
        yield self

    async def look(self, known: Any) -> Look:
        self.looks.append(self._world.monotonic())
        if self.crashes:
            self.crashes -= 1
            raise RuntimeError("a bug")
        return Look({"log": Found(len(self.looks), 0)})

    async def changed(self) -> None:
        await self._world.sleep_until(self._world.monotonic() + self.every)


async def test_a_file_that_goes_on_changing_does_not_flood_the_journal(world: VirtualWorld, client: Client) -> None:
    client.house.workspaces = restless = Restless(world)  # pyright: ignore
    session = await client.create_session(config={"workspace": "/anywhere"})

    await world.advance(300)
    busy, restless.looks = restless.looks, []
    restless.every = 2 * LONGEST
    await world.advance(20 * LONGEST)

    assert busy == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    # There is quiet, and what comes after it is written at once.
    assert [b - a for a, b in pairwise(restless.looks)][1:] == [2 * LONGEST + SHORTEST] * (len(restless.looks) - 2)
    entries = [entry for entry in await journal(client, session) if "gone" in entry.data]
    assert len(entries) == len(busy) + len(restless.looks)


async def test_a_thousand_files_are_a_few_entries_and_no_more_than_there_is_room_for(root: Path) -> None:
    async with a_stage(root, max_indexed=500) as stage:
        await at_rest(stage)
        for number in range(1_000):
            (root / f"f{number}").write_text("1")
        await stage.until(lambda index: len(index) == 500)
        warning = [event for event in stage.log.events if event.type == "resource_warning"]

        assert len(await stage.entries()) <= 10
        assert len(warning) == 1
        assert "max_indexed" in warning[0].data["reason"]


async def test_the_index_makes_no_use_of_the_session(root: Path) -> None:
    async with a_stage(root, idle_after=500, suspend_after=900) as stage:
        await at_rest(stage)
        begun = stage.world.monotonic()
        while (await stage.session.info()).status != "suspended":
            (root / "README").write_text("x" * int(stage.world.monotonic()))
            await stage.world.advance(4)

        assert stage.world.monotonic() - begun <= 900


# --- living and dying -----------------------------------------------------------------------------


async def test_a_suspended_session_watches_nothing_and_sees_afterwards_what_has_happened(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        await stage.session.suspend()
        (root / "README").write_text("anew")
        (root / "src" / "main.py").unlink()

        assert stage.client.house.workspaces.watched == 0  # pyright: ignore
        index = await stage.until(lambda index: index.get("README", {}).get("size") == 4)
        assert set(index) == {"README"}


async def test_a_killed_watcher_comes_back_and_sees_what_it_has_missed(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        await kill_child(stage.session, "files")
        (root / "README").write_text("anew")
        with anyio.fail_after(PATIENCE):
            restarted = await stage.log.next("child_restarted")
        await stage.until(lambda index: index["README"]["size"] == 4)

        assert restarted.data == {"child": "files", "restarts": 1}
        children = await stage.session.which_children()
        assert [child.id for child in children] == ["context_manager", "orchestrator", "files"]


async def test_a_watcher_that_crashes_is_started_again_as_often_as_its_budget_allows(
    world: VirtualWorld, client: Client, unlogged: None
) -> None:
    client.house.workspaces = restless = Restless(world)  # pyright: ignore
    restless.every, restless.crashes = LONGEST, 2
    session = await client.create_session(config={"workspace": "/anywhere", "max_restarts": 2})
    await world.settle()

    assert [child.restarts for child in await session.which_children()] == [0, 0, 2]
    assert "log" in await session.get_file_index()
    restless.crashes = 2
    await world.advance(3 * LONGEST)
    assert (await session.info()).status == "active"
    restless.crashes = 1_000
    await world.advance(3 * LONGEST)
    assert (await session.info()).status == "failed"


async def test_it_goes_on_when_the_context_manager_was_killed(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        await kill_child(stage.session, "context_manager")
        (root / "README").write_text("anew")
        await stage.until(lambda index: index["README"]["size"] == 4)

        assert (await stage.session.info()).status == "active"


async def test_a_root_that_is_deleted_is_said_once_and_found_again(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        shutil.rmtree(root)
        with anyio.fail_after(PATIENCE):
            await stage.log.next("resource_warning")
        await stage.world.advance(10 * LOOK_AGAIN)
        with pytest.raises(WorkspaceUnavailable):
            await stage.session.read_file("README")
        warnings = stage.log.types.count("resource_warning")
        root.mkdir()
        (root / "back").write_text("1")
        await stage.world.advance(LOOK_AGAIN)
        await stage.until(lambda index: "back" in index)

        assert warnings == 1
        assert (await stage.session.info()).status == "active"


async def test_a_fork_and_an_import_have_the_index(root: Path) -> None:
    async with a_stage(root) as stage:
        await at_rest(stage)
        fork = await stage.session.fork()
        copy = await stage.client.import_session(await stage.session.export())

        index = await stage.session.get_file_index()
        assert await fork.get_file_index() == await copy.get_file_index() == index


async def test_the_index_outlives_the_process(root: Path, tmp_path: Path) -> None:
    store, settings = f"sqlite:///{tmp_path}/store.db", Settings(workspaces=(str(tmp_path),))
    async with Client(store, settings=settings, world=VirtualWorld()) as client, listening_to(client, ID) as log:
        session = await client.create_session(session_id=ID, config={"workspace": str(root)})
        stage = Stage(client, session, client.house.world, log)  # pyright: ignore
        before = await stage.until(lambda index: len(index) == 2)
    (root / "src" / "main.py").unlink()

    async with Client(store, settings=settings, world=VirtualWorld()) as client, listening_to(client, ID) as log:
        again = client.session(ID)
        stage = Stage(client, again, client.house.world, log)  # pyright: ignore
        after = await stage.until(lambda index: len(index) == 1)

    assert after == {"README": before["README"]}


async def test_nothing_of_it_is_left_in_the_way_of_the_end(root: Path) -> None:
    async with a_stage(root) as stage:
        more = [await stage.client.create_session(config={"workspace": str(root)}) for _ in range(5)]
        for session in more:
            await session.terminate()

        assert stage.client.house.workspaces.watched <= 1  # pyright: ignore
