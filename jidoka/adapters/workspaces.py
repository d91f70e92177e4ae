"""Directories of this machine that sessions may work in: reads beneath them, and looks after them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from jidoka.actors.backend import Backend
from jidoka.adapters.beneath import Scan, is_directory, look_at_all, opened, read_beneath, scan
from jidoka.adapters.threads import ReaderThreads
from jidoka.adapters.waiting import in_time
from jidoka.adapters.watching import CannotWatch, DirectoryGone, NewNotifier, SystemWatcher, rust_notifier
from jidoka.core.errors import FileUnreadable, WorkspaceUnavailable
from jidoka.core.workspaces import Found, Look, is_ignored, is_within
from jidoka.ports.workspaces import FileText, Stamp, Watch

if TYPE_CHECKING:
    from jidoka.ports.world import World

T = TypeVar("T")

THREADS: Final = 2
MOST_FILES: Final = 10_000
MOST_DIRECTORIES: Final = 2_000
# When more than so many paths have changed, everything is looked at: the system may have lost count.
MANY: Final = 200
# Seconds between looks where the system cannot be listened to.
POLL: Final = 10.0
# Seconds between looks at everything where it can.
SURELY: Final = 300.0
# A file is settled when it was last changed so many nanoseconds ago: more than any file system's clock is coarse.
SETTLED: Final = 2_000_000_000
# So often directories may turn up while others are being registered.
_ATTEMPTS: Final = 3


class LocalWorkspaces:
    """The directories in *allowed*, and those below them. Its threads are there while it is open, if there are any."""

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        world: World,
        most_bytes: int,
        most_watched: int,
        new_notifier: NewNotifier = rust_notifier,
    ) -> None:
        # The nearest first.
        self._allowed = sorted((PurePosixPath(path) for path in allowed), key=lambda path: -len(path.parts))
        self._most_bytes = most_bytes
        self._threads: ReaderThreads[None] | None = None
        self.world = world
        self.most_watched = most_watched
        self.new_notifier = new_notifier
        self.watched = 0

    async def open(self) -> None:
        """Start what threads there are to be."""
        self.backend = Backend()
        if self._allowed:
            self._threads = ReaderThreads(
                "jidoka-files", self.backend, size=THREADS, connect=lambda: None, disconnect=lambda _: None
            )
            await self._threads.start()

    async def close(self) -> None:
        """End them."""
        if self._threads is not None:
            await self._threads.close()

    # --- which directories --------------------------------------------------------------------------

    def _way_to(self, root: str) -> tuple[str, tuple[str, ...]]:
        """An allowed directory that *root* lies in, and the steps down from there."""
        wanted = PurePosixPath(root)
        for allowed in self._allowed:
            if is_within(wanted, allowed):
                return str(allowed), wanted.relative_to(allowed).parts
        raise WorkspaceUnavailable(root, why="is not among the `workspaces` of the settings")

    async def within(self, root: str, work: Callable[[int], T]) -> T:
        """What *work* makes of the open directory, on a thread. Raises WorkspaceUnavailable."""
        allowed, parts = self._way_to(root)
        assert self._threads is not None

        def do(_: None) -> Any:
            try:
                with opened(allowed, parts) as descriptor:
                    return work(descriptor)
            except OSError as error:
                # What goes wrong beneath it is not an OSError any more.
                raise WorkspaceUnavailable(root, why=f"cannot be opened: {error.strerror or error}") from error

        return await self._threads.do(do)

    async def check(self, root: str) -> None:
        """Raises WorkspaceUnavailable unless *root* can be opened, and leads through no link below what is allowed."""
        await self.within(root, lambda _: None)

    # --- reading ------------------------------------------------------------------------------------

    async def read(self, root: str, path: str, *, known: Stamp | None = None) -> FileText:
        """The text of a file, which is UTF-8. Raises InvalidPath, FileUnreadable, WorkspaceUnavailable."""
        now_ns = int(self.world.now().timestamp() * 1e9)
        most = self._most_bytes

        def work(descriptor: int) -> FileText:
            content, stamp, is_quiet = read_beneath(descriptor, path, most=most, known=known)
            is_settled = is_quiet and max(stamp[-2:]) + SETTLED < now_ns
            return FileText(None if content is None else _text_of(content, path), stamp, is_settled)

        return await self.within(root, work)

    # --- looking after ------------------------------------------------------------------------------

    @asynccontextmanager
    async def watching(self, root: str) -> AsyncGenerator[Watch]:
        """Look after *root*. What cannot be listened to is looked at every few seconds."""
        await self.check(root)
        watch = LocalWatch(str(PurePosixPath(root)), self)
        try:
            yield watch
        finally:
            await watch.close()


def _text_of(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FileUnreadable(path, reason="encoding", at=error.start) from error


class LocalWatch:
    """Scans once, then looks only at what the system says has changed."""

    def __init__(self, root: str, house: LocalWorkspaces) -> None:
        self._root = root
        self._house = house
        self._watcher: SystemWatcher | None = None
        self._why_not: str | None = None
        self._heard = anyio.Event()
        # None: anything may have changed.
        self._paths: set[str] | None = None
        self._known: frozenset[str] = frozenset()

    async def look(self, known: Collection[str]) -> Look:
        """What has changed since the last look."""
        paths, self._paths = self._paths, set()
        self._heard = anyio.Event()
        # Somebody may have another name for one of them.
        self._known = frozenset(str(PurePosixPath(path)) for path in known)
        try:
            if paths is not None and not await self._is_about_directories(paths):
                return await self._look_at(paths, known)
            return await self._look_around(known)
        except BaseException:
            # Nothing was seen: the next look is at everything.
            self._hear(None)
            raise

    async def changed(self) -> None:
        """Return when something has been heard of, or after a while: not every file system tells everything."""
        is_watched = self._watcher is not None and not self._watcher.is_over
        world = self._house.world
        try:
            await in_time(world, world.monotonic() + (SURELY if is_watched else POLL), self._heard.wait)
        except TimeoutError:
            self._hear(None)

    async def close(self) -> None:
        """Listen no more."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            self._house.watched -= 1
            await watcher.close()

    def _hear(self, paths: frozenset[str] | None) -> None:
        wanted = paths and frozenset(path for path in paths if path in self._known or not _is_ignored(path))
        if wanted is None or self._paths is None or len(self._paths | wanted) > MANY:
            self._paths = None
        elif wanted:
            self._paths |= wanted
        else:
            return
        self._heard.set()

    # --- a few paths --------------------------------------------------------------------------------

    async def _is_about_directories(self, paths: set[str]) -> bool:
        """Whether there are more of them now, or fewer, or the watcher has broken down."""
        watcher = self._watcher
        if watcher is None or watcher.is_over or not paths.isdisjoint(watcher.directories):
            return True
        new = [path for path in paths if not _is_ignored(path)]
        return await self._house.within(self._root, lambda root: any(is_directory(root, path) for path in new))

    async def _look_at(self, paths: set[str], known: Collection[str]) -> Look:
        others = {path for path in known if path not in paths and str(PurePosixPath(path)) in paths}
        asked = paths | others
        found, gone = await self._house.within(self._root, lambda root: look_at_all(root, asked))
        return Look(found, gone, warning=self._why_not)

    # --- everything ---------------------------------------------------------------------------------

    async def _look_around(self, known: Collection[str]) -> Look:
        seen = await self._house.within(self._root, _scan)
        for _ in range(_ATTEMPTS):
            if not await self._listen_to(seen.directories):
                break
            # What happened before it listened is seen now.
            seen = await self._house.within(self._root, _scan)
        else:
            # They come and go faster than one can look.
            self._hear(None)
        others = [path for path in known if path not in seen.files]
        found, gone = await self._house.within(self._root, lambda root: look_at_all(root, others))
        files: dict[str, Found] = {**seen.files, **found}
        return Look(files, gone, seen.left_out, self._why_not)

    async def _listen_to(self, directories: Sequence[str]) -> bool:
        """Whether it listens anew, so that another look is due."""
        if (
            self._watcher is not None
            and not self._watcher.is_over
            and self._watcher.directories == frozenset(directories)
        ):
            return False
        await self.close()
        if self._house.watched >= self._house.most_watched:
            self._why_not = f"changes are looked for every few seconds: {self._house.watched} workspaces are watched"
            return False
        watcher = SystemWatcher(
            self._root,
            directories,
            backend=self._house.backend,
            heard=self._hear,
            new_notifier=self._house.new_notifier,
        )
        self._house.watched += 1
        self._watcher, self._why_not = watcher, None
        try:
            await watcher.start()
        except DirectoryGone:
            await self.close()
        except CannotWatch as refusal:
            self._why_not = str(refusal)
            await self.close()
            return False
        return True


def _is_ignored(path: str) -> bool:
    return is_ignored(path.split("/"))


def _scan(root: int) -> Scan:
    return scan(root, most_files=MOST_FILES, most_directories=MOST_DIRECTORIES)
