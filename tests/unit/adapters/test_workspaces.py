"""Which directories may be a workspace, and how one is looked after, with real files."""

import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.adapters.watching import CannotWatch, Notifier, rust_notifier
from jidoka.adapters.workspaces import MANY, POLL, SURELY, LocalWorkspaces
from jidoka.core.errors import FileUnreadable, InvalidPath, WorkspaceUnavailable
from jidoka.testing.world import VirtualWorld

PATIENCE = 20


@asynccontextmanager
async def workspaces(
    *allowed: Path, world: VirtualWorld | None = None, most_bytes: int = 1_000, **options: Any
) -> AsyncIterator[LocalWorkspaces]:
    names = [str(path) for path in allowed]
    found = LocalWorkspaces(
        names, world=world or VirtualWorld(), most_bytes=most_bytes, **{"most_watched": 9, **options}
    )
    await found.open()
    try:
        yield found
    finally:
        await found.close()


# --- which directories ----------------------------------------------------------------------------


async def test_a_directory_and_those_below_it_may_be_workspaces(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)

    async with workspaces(tmp_path) as found:
        await found.check(str(tmp_path))
        await found.check(f"{tmp_path}//a/./b/")


async def test_no_other_directory_may(tmp_path: Path) -> None:
    for name in ("tenant1", "tenant1-evil", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "tenant1" / "file").write_text("x")
    (tmp_path / "tenant1" / "out").symlink_to(tmp_path / "other")

    async with workspaces(tmp_path / "tenant1") as found:
        for root in ("tenant1-evil", "other", ".", "tenant1/../other", "tenant1/out", "tenant1/file", "tenant1/no"):
            with pytest.raises(WorkspaceUnavailable):
                await found.check(f"{tmp_path}/{root}")


async def test_without_any_nothing_may_be_read(tmp_path: Path) -> None:
    async with workspaces() as found:
        with pytest.raises(WorkspaceUnavailable):
            await found.read(str(tmp_path), "file")


async def test_the_allowed_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("x")
    (tmp_path / "here").symlink_to("there")

    async with workspaces(tmp_path / "here") as found:
        assert (await found.read(f"{tmp_path}/here", "file")).content == "x"


# --- reading --------------------------------------------------------------------------------------


async def test_what_is_read_is_text(tmp_path: Path) -> None:
    (tmp_path / "fine").write_text("grün 🌱\r\n")
    (tmp_path / "bad").write_bytes(b"abc\xff")

    async with workspaces(tmp_path) as found:
        read = await found.read(str(tmp_path), "fine")
        with pytest.raises(FileUnreadable) as caught:
            await found.read(str(tmp_path), "bad")
        known = await found.read(str(tmp_path), "fine", known=read.stamp)

    assert read.content == "grün 🌱\r\n"
    assert (caught.value.reason, caught.value.at) == ("encoding", 3)
    assert known.content is None


async def test_a_file_that_was_changed_just_now_is_not_settled(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    world = VirtualWorld()

    async with workspaces(tmp_path, world=world) as found:
        os.utime(file, (0, world.now().timestamp()))
        young = await found.read(str(tmp_path), "file")
        await world.advance(3)
        old = await found.read(str(tmp_path), "file")

    assert (young.is_settled, old.is_settled) == (False, True)


# --- looking after --------------------------------------------------------------------------------


async def next_look(watch: Any, known: Iterable[str] = ()) -> Any:
    with anyio.fail_after(PATIENCE):
        await watch.changed()
        return await watch.look(frozenset(known))


async def until_seen(watch: Any, path: str) -> Any:
    """The first look that sees *path*. One write can be told in several parts."""
    while True:
        look = await next_look(watch)
        if path in look.found:
            return look


async def test_the_first_look_is_at_everything_and_the_next_at_what_has_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")

    async with workspaces(tmp_path) as found, found.watching(str(tmp_path)) as watch:
        first = await watch.look(frozenset())
        (tmp_path / "b").write_text("12")
        second = await until_seen(watch, "b")
        (tmp_path / "b").unlink()
        third = await next_look(watch)

    assert (set(first.found), first.warning) == ({"a", "b"}, None)
    assert (set(second.found), second.found["b"].size) == ({"b"}, 2)
    assert list(third.gone) == ["b"]


async def test_a_directory_that_is_moved_in_is_looked_through_and_watched(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "deep" / "file").write_text("1")

    async with workspaces(root) as found, found.watching(str(root)) as watch:
        await watch.look(frozenset())
        (tmp_path / "new").rename(root / "new")
        look = await until_seen(watch, "new/deep/file")
        (root / "new" / "deep" / "later").write_text("1")
        later = await until_seen(watch, "new/deep/later")
        (root / "new" / "deep").rename(tmp_path / "away")
        gone = await next_look(watch, known=["new/deep/file"])

    assert set(look.found) == {"new/deep/file"}
    assert "new/deep/later" in later.found
    assert list(gone.gone) == ["new/deep/file"]


async def test_what_is_ignored_is_not_even_watched(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    registered: list[list[str]] = []

    def notifier(directories: list[str]) -> AbstractContextManager[Notifier]:
        registered.append(sorted(directories))
        return rust_notifier(directories)

    async with workspaces(tmp_path, new_notifier=notifier) as found, found.watching(str(tmp_path)) as watch:
        await watch.look(frozenset())
        (tmp_path / ".git" / "index").write_text("1")
        (tmp_path / ".hidden").write_text("1")
        (tmp_path / "seen").write_text("1")
        look = await until_seen(watch, "seen")

    assert registered == [[str(tmp_path)]]
    assert set(look.found) == {"seen"}


async def test_what_is_known_is_looked_at_though_it_is_hidden(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("1")
    (tmp_path / "outside").symlink_to("/etc/passwd")

    async with workspaces(tmp_path) as found, found.watching(str(tmp_path)) as watch:
        look = await watch.look(frozenset({".env", "lost", "outside", "/etc/passwd", "../x"}))
        (tmp_path / ".env").write_text("12")
        again = await next_look(watch, known=[".env"])

    assert (set(look.found), list(look.gone)) == ({".env"}, ["lost"])
    assert again.found[".env"].size == 2


async def test_a_thousand_changes_are_one_look_or_few(tmp_path: Path) -> None:
    async with workspaces(tmp_path) as found, found.watching(str(tmp_path)) as watch:
        await watch.look(frozenset())
        for number in range(1_000):
            (tmp_path / f"f{number}").write_text("1")
        seen: set[str] = set()
        looks = 0
        while len(seen) < 1_000:
            seen |= set((await next_look(watch)).found)
            looks += 1

    assert looks < 1_000 / MANY


async def test_where_the_package_is_missing_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)
    world = VirtualWorld()

    async with workspaces(tmp_path, world=world) as found, found.watching(str(tmp_path)) as watch:
        look = await watch.look(frozenset())
        (tmp_path / "new").write_text("1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.changed)
            await world.advance(POLL)
        polled = await watch.look(frozenset())

    assert "pip install 'jidoka[watch]'" in (look.warning or "")
    assert set(polled.found) == {"new"}


async def test_a_system_that_refuses_is_looked_at_every_few_seconds(tmp_path: Path) -> None:
    def refuse(directories: list[str]) -> AbstractContextManager[Notifier]:
        raise CannotWatch("OS file watch limit reached")

    world = VirtualWorld()

    async with (
        workspaces(tmp_path, world=world, new_notifier=refuse) as found,
        found.watching(str(tmp_path)) as watch,
    ):
        look = await watch.look(frozenset())
        assert look.warning == "OS file watch limit reached"
        assert found.watched == 0


async def test_a_directory_that_vanishes_before_it_is_watched_is_no_reason_to_warn(tmp_path: Path) -> None:
    (tmp_path / "brief").mkdir()
    registered: list[list[str]] = []

    def notifier(directories: list[str]) -> AbstractContextManager[Notifier]:
        registered.append(directories)
        if len(registered) == 1:
            (tmp_path / "brief").rmdir()
        return rust_notifier(directories)

    async with workspaces(tmp_path, new_notifier=notifier) as found, found.watching(str(tmp_path)) as watch:
        look = await watch.look(frozenset())

        assert (look.warning, found.watched) == (None, 1)
    assert registered[1:] == [[str(tmp_path)]]


async def test_only_so_many_are_watched(tmp_path: Path) -> None:
    async with workspaces(tmp_path, most_watched=1) as found:
        async with found.watching(str(tmp_path)) as one, found.watching(str(tmp_path)) as other:
            assert (await one.look(frozenset())).warning is None
            assert "1 workspaces are watched" in ((await other.look(frozenset())).warning or "")
        assert found.watched == 0


async def test_a_watcher_that_breaks_down_is_replaced(tmp_path: Path) -> None:
    made: list[str] = []

    class Broken:
        def __enter__(self) -> "Broken":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def watch(self, *_: Any) -> Any:
            raise RuntimeError("Unable to decode path")

    def notifier(directories: list[str]) -> Any:
        made.append("broken" if not made else "sound")
        return Broken() if len(made) == 1 else rust_notifier(directories)

    async with workspaces(tmp_path, new_notifier=notifier) as found, found.watching(str(tmp_path)) as watch:
        await watch.look(frozenset())
        (tmp_path / "new").write_text("1")
        look = await next_look(watch)

    assert made == ["broken", "sound"]
    assert set(look.found) == {"new"}


class Deaf:
    """A notifier that hears nothing until it is stopped."""

    def __enter__(self) -> "Deaf":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def watch(self, debounce_ms: int, step_ms: int, timeout_ms: int, stop_event: Any) -> Any:
        stop_event.wait()


async def test_what_nobody_told_of_is_found_after_a_while(tmp_path: Path) -> None:
    world = VirtualWorld()

    async with (
        workspaces(tmp_path, world=world, new_notifier=lambda _: Deaf()) as found,
        found.watching(str(tmp_path)) as watch,
    ):
        await watch.look(frozenset())
        (tmp_path / "new").write_text("1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.changed)
            await world.advance(SURELY)
        look = await watch.look(frozenset())

    assert set(look.found) == {"new"}


async def test_a_root_that_is_deleted_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()

    async with workspaces(tmp_path) as found, found.watching(str(root)) as watch:
        await watch.look(frozenset())
        root.rmdir()

        with pytest.raises(WorkspaceUnavailable):
            await next_look(watch)


async def test_a_path_that_leads_out_is_refused_by_name(tmp_path: Path) -> None:
    async with workspaces(tmp_path) as found:
        with pytest.raises(InvalidPath):
            await found.read(str(tmp_path), "../x")
