"""A directory of small files: written whole or not at all, never through a symbolic link, damaged ones set aside.

It needs POSIX: files are opened relative to the directory, and writers lock it (`flock`) against other processes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jidoka.core.errors import CorruptRecord, JidokaError, StorageFull, StoreUnavailable

QUARANTINE: Final = "quarantine"

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY: Final = _READ | os.O_DIRECTORY
# O_NONBLOCK: nobody waits for the other end of a pipe that lies here.
_FILE: Final = _READ | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def translated(path: Path) -> Generator[None]:
    """What the operating system refuses in here is a StorageFull or a StoreUnavailable."""
    try:
        yield
    except OSError as error:
        kind: type[JidokaError] = StorageFull if error.errno in _FULL else StoreUnavailable
        raise kind(f"{path}: {error.strerror or error}") from error


def make_directory(path: Path) -> None:
    """*path* and its parents, where they are missing, for nobody else to look into."""
    if path.is_dir():
        return
    if path.parent != path:
        make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        with _opened(path.parent) as parent:
            os.fsync(parent)


@contextmanager
def _opened(path: Path | str, *, at: int | None = None) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_directory(path: Path, *, create: bool = False) -> Generator[Folder | None]:
    """The directory while it is open; None where there is none. Whoever named it may have meant a link."""
    with translated(path):
        if create:
            make_directory(path)
        elif not path.exists():
            yield None
            return
        with _opened(path) as descriptor:
            yield Folder(path, descriptor)


class Folder:
    """An open directory. Names are of files in it, never paths."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @contextmanager
    def locked(self) -> Generator[None]:
        """Nobody else writes meanwhile, in no process. Ends with the process at the latest."""
        with _opened(".", at=self._descriptor) as own:
            fcntl.flock(own, fcntl.LOCK_EX)
            yield

    def names(self) -> list[str]:
        """The plain files, sorted."""
        with os.scandir(self._descriptor) as found:
            return sorted(entry.name for entry in found if entry.is_file(follow_symlinks=False))

    def has(self, name: str) -> bool:
        """Whether anything goes by that name."""
        try:
            os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """All of a file, or None. Raises CorruptRecord for what is no plain file."""
        try:
            descriptor = os.open(name, _FILE, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            # ELOOP, or on some systems EMLINK: a link. ENXIO: a socket.
            if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO}:
                raise self._no_file(name) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._no_file(name)
        with open(descriptor, "rb") as file:
            return file.read()

    def _no_file(self, name: str) -> CorruptRecord:
        return CorruptRecord("is not a plain file", place=str(self.path / name))

    def write(self, name: str, content: bytes) -> None:
        """All of it or nothing, and durable when this returns. Only while the directory is `locked`."""
        draft = f".{name}.tmp"
        # Left behind by a process that died.
        self._unlink(draft)
        try:
            with open(os.open(draft, _NEW, 0o600, dir_fd=self._descriptor), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            self._unlink(draft)
            raise
        os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Fine when it is not there."""
        if self._unlink(name):
            os.fsync(self._descriptor)

    def _unlink(self, name: str) -> bool:
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return False
        return True

    # --- what is damaged ------------------------------------------------------------------------

    @contextmanager
    def quarantine(self, *, create: bool = False) -> Generator[Folder | None]:
        """Where damaged files are kept. None where nothing was damaged yet."""
        if create:
            with suppress(FileExistsError):
                os.mkdir(QUARANTINE, 0o700, dir_fd=self._descriptor)
        try:
            descriptor = os.open(QUARANTINE, _DIRECTORY, dir_fd=self._descriptor)
        except FileNotFoundError:
            yield None
            return
        try:
            yield Folder(self.path / QUARANTINE, descriptor)
        finally:
            os.close(descriptor)

    def set_aside(self, name: str) -> Path:
        """Move a file to the quarantine, under a name that nothing there has; where it is now."""
        with self.quarantine(create=True) as kept:
            assert kept is not None
            number, new = 0, ""
            while not new:
                number += 1
                new = kept.reserve(numbered(name, number))
            os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=kept._descriptor)
            os.fsync(kept._descriptor)
            os.fsync(self._descriptor)
            return kept.path / new

    def reserve(self, name: str) -> str:
        """An empty file of that name, for the caller to replace; "" if there is something already."""
        try:
            os.close(os.open(name, _NEW, 0o600, dir_fd=self._descriptor))
        except FileExistsError:
            return ""
        return name


def numbered(name: str, number: int) -> str:
    """`a.json` as `a.1.json`."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{number}{dot}{ending}"
