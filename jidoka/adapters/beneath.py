"""Files beneath a directory, and nothing else: each step down is taken from an open directory, never through a link.

What is between two steps exchanged for something else is not followed either. It needs POSIX.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from jidoka.core.errors import FileUnreadable, InvalidPath
from jidoka.core.workspaces import Found, is_ignored, parts_of

Stamp = tuple[int, ...]

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY: Final = _READ | os.O_DIRECTORY
# O_NONBLOCK: nobody waits for the other end of a pipe. O_NOCTTY: no terminal becomes ours.
_FILE: Final = _READ | os.O_NONBLOCK | os.O_NOCTTY
_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ESTALE})
_LINK: Final = frozenset({errno.ELOOP, errno.EMLINK})
# So many attempts at reading a file that is being written.
_ATTEMPTS: Final = 3
# So many names are looked at in one scan, whatever they are.
_MOST_NAMES: Final = 200_000


@contextmanager
def opened(root: str, parts: Sequence[str] = (), *, at: int | None = None) -> Generator[int]:
    """The directory at *parts* below *root*. *root* itself may be a link: whoever named it meant it. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if at is None else os.dup(at)
    try:
        for part in parts:
            lower = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = lower
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _parent(root: int, parts: Sequence[str], path: str) -> Generator[int]:
    with _translated(root, parts, path), opened("", parts[:-1], at=root) as parent:
        yield parent


@contextmanager
def _translated(root: int, parts: Sequence[str], path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _LINK or (error.errno == errno.ENOTDIR and _leads_through_a_link(root, parts)):
            raise InvalidPath(path, why="leads through a symbolic link") from error
        if error.errno in _MISSING:
            raise FileUnreadable(path, reason="missing") from error
        if error.errno == errno.ENXIO:
            raise FileUnreadable(path, reason="not_a_file") from error
        raise FileUnreadable(path, reason="denied") from error


def _leads_through_a_link(root: int, parts: Sequence[str]) -> bool:
    for count, part in enumerate(parts):
        with suppress(OSError), opened("", parts[:count], at=root) as parent:
            if stat.S_ISLNK(os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode):
                return True
    return False


def _check_kind(path: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise InvalidPath(path, why="leads through a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise FileUnreadable(path, reason="not_a_file")
    if found.st_nlink > 1:
        raise InvalidPath(path, why="has another name, which may be outside")


# --- reading --------------------------------------------------------------------------------------


def stamp_of(found: os.stat_result) -> Stamp:
    """The time of the last change of any kind is in there: the time of writing can be set to anything."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_beneath(root: int, path: str, *, most: int, known: Stamp | None = None) -> tuple[bytes | None, Stamp, bool]:
    """A file's bytes, its stamp, and whether it was quiet meanwhile; None for the bytes of the file that is *known*."""
    parts = parts_of(path)
    with _parent(root, parts, path) as parent:
        # Looked at first: only to open a device can have effects.
        _check_kind(path, os.stat(parts[-1], dir_fd=parent, follow_symlinks=False))
        descriptor = os.open(parts[-1], _FILE, dir_fd=parent)
        try:
            found = os.fstat(descriptor)
            _check_kind(path, found)
            if (stamp := stamp_of(found)) == known:
                return None, stamp, True
            return _read(descriptor, path, most)
        finally:
            os.close(descriptor)


def _read(descriptor: int, path: str, most: int) -> tuple[bytes, Stamp, bool]:
    attempt = 0
    while True:
        attempt += 1
        before = os.fstat(descriptor)
        content = _bytes_of(descriptor, path, most, before.st_size)
        after = os.fstat(descriptor)
        is_quiet = stamp_of(before) == stamp_of(after)
        if is_quiet or attempt == _ATTEMPTS:
            return content, stamp_of(after), is_quiet
        os.lseek(descriptor, 0, os.SEEK_SET)


def _bytes_of(descriptor: int, path: str, most: int, size: int) -> bytes:
    # Not by its size alone: it may be growing, and what /proc holds has none.
    if size > most:
        raise FileUnreadable(path, reason="too_large", limit=most)
    pieces: list[bytes] = []
    left = most + 1
    while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise FileUnreadable(path, reason="too_large", limit=most)
    return b"".join(pieces)


# --- looking --------------------------------------------------------------------------------------


def look_at(root: int, path: str) -> Found | None:
    """The file at *path*; None where there is none that may be read. Raises FileUnreadable for one that is missing."""
    try:
        parts = parts_of(path)
        with _parent(root, parts, path) as parent:
            found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        _check_kind(path, found)
    except InvalidPath:
        return None
    except FileUnreadable as error:
        if error.reason == "missing":
            raise
        return None
    return Found(found.st_size, found.st_mtime_ns)


def is_directory(root: int, path: str) -> bool:
    """Whether there is a directory at *path*, which is no link."""
    try:
        with opened("", parts_of(path), at=root):
            return True
    except (OSError, InvalidPath):
        return False


@dataclass(slots=True)
class Scan:
    """What lies beneath a directory, as far as the bounds allow."""

    files: dict[str, Found] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    """Those that were looked into, as paths; "" is the root."""
    left_out: int = 0
    """Files and directories beyond the bounds that were seen."""


def scan(root: int, *, most_files: int, most_directories: int, most_names: int = _MOST_NAMES) -> Scan:
    """Everything that nobody ignores, level by level. Raises OSError only for the root itself."""
    found, names = Scan(), 0
    waiting: deque[tuple[str, ...]] = deque([()])
    while waiting:
        parts = waiting.popleft()
        if len(found.directories) >= most_directories or names >= most_names:
            found.left_out += 1 + len(waiting)
            break
        try:
            with opened("", parts, at=root) as descriptor:
                found.directories.append("/".join(parts))
                names += _take(found, waiting, descriptor, parts, most_files=most_files, most_names=most_names - names)
        except OSError:
            # Gone since it was seen, or not for us.
            if not parts:
                raise
    return found


def _take(
    found: Scan,
    waiting: deque[tuple[str, ...]],
    descriptor: int,
    parts: tuple[str, ...],
    *,
    most_files: int,
    most_names: int,
) -> int:
    seen = 0
    with os.scandir(descriptor) as entries:
        for entry in entries:
            seen += 1
            if seen > most_names:
                found.left_out += 1
                break
            name = entry.name
            if is_ignored((name,)) or not _can_be_said(name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((*parts, name))
                continue
            with suppress(OSError):
                _take_file(found, entry, "/".join((*parts, name)), most_files)
    return seen


def _take_file(found: Scan, entry: os.DirEntry[str], path: str, most_files: int) -> None:
    if not entry.is_file(follow_symlinks=False):
        return
    if len(found.files) >= most_files:
        found.left_out += 1
        return
    seen = entry.stat(follow_symlinks=False)
    if seen.st_nlink <= 1:
        found.files[path] = Found(seen.st_size, seen.st_mtime_ns)


def _can_be_said(name: str) -> bool:
    """Whether a store can keep this name: half characters stand for bytes that are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def look_at_all(root: int, paths: Collection[str]) -> tuple[dict[str, Found], list[str]]:
    """Those of *paths* that are there, and those that are not. What may not be read is neither."""
    found: dict[str, Found] = {}
    gone: list[str] = []
    for path in paths:
        try:
            seen = look_at(root, path)
        except FileUnreadable:
            gone.append(path)
        else:
            if seen is not None:
                # By the name that whoever asked has for it.
                found[path] = seen
    return found, gone
