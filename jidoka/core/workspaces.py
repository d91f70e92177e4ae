"""The files of a session's workspace: which names may be followed, and what a look at them changes in its index."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from jidoka.core.errors import InvalidPath

# What tools make for themselves. Names that begin with a dot are left out as well.
IGNORED: Final = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
# A journal entry about files names at most so many.
PER_ENTRY: Final = 200
_MAX_NAME: Final = 255
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Found(NamedTuple):
    """What a file looks like from outside."""

    size: int
    modified_ns: int

    def as_metadata(self) -> dict[str, Any]:
        """What the index says of it."""
        return {"size": self.size, "modified": _written(self.modified_ns)}


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a workspace."""

    found: Mapping[str, Found]
    gone: Collection[str] = ()
    """Asked about, and not there."""
    left_out: int = 0
    """Files that were there and not looked at, because there are too many. At least so many."""
    warning: str | None = None
    """Why it is not watched as it should be."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """What changes in an index."""

    files: Mapping[str, dict[str, Any]]
    gone: tuple[str, ...]
    left_out: int
    """New files for which the index has no room."""

    def entries(self) -> Iterator[dict[str, Any]]:
        """What the journal says of it, in parts of a bounded size."""
        files, gone = list(self.files.items()), list(self.gone)
        while files or gone:
            some, files = files[:PER_ENTRY], files[PER_ENTRY:]
            room = PER_ENTRY - len(some)
            ended, gone = gone[:room], gone[room:]
            yield {"part": "file_index", "files": dict(some), "gone": ended}


def is_within(directory: PurePosixPath, allowed: PurePosixPath) -> bool:
    """Whether *directory* is *allowed* or lies in it. Names are compared whole: a sibling may begin alike."""
    return ".." not in directory.parts and directory.is_relative_to(allowed)


def parts_of(path: str) -> tuple[str, ...]:
    """The names on the way to *path*, which must lead downwards from the workspace. Raises InvalidPath."""
    if path.startswith("/"):
        raise InvalidPath(path, why="is absolute")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts:
        raise InvalidPath(path, why="leads upwards")
    if not parts:
        raise InvalidPath(path, why="names no file")
    if "\0" in path or any(len(part) > _MAX_NAME for part in parts):
        raise InvalidPath(path, why="is no file name")
    return parts


def is_ignored(parts: Collection[str]) -> bool:
    """Whether nobody means a file like this, unless they say so."""
    return any(part.startswith(".") or part in IGNORED for part in parts)


def refreshed(
    index: Mapping[str, Mapping[str, Any]], active: Collection[str], look: Look, *, max_indexed: int
) -> Refresh:
    """What *look* changes in *index*: first in what is known, then among *active* files, then new ones while there is
    room, those nearest to the root first."""
    files = {path: found.as_metadata() for path, found in look.found.items() if path in index or path in active}
    new = sorted((path for path in look.found if path not in files), key=_nearest)
    room = max(0, max_indexed - len(index.keys() | files.keys()))
    files |= {path: look.found[path].as_metadata() for path in new[:room]}
    changed = {path: metadata for path, metadata in files.items() if not _says(index.get(path), metadata)}
    gone = [path for path in look.gone if path in index]
    for path in gone:
        if _is_somebodys(index[path]) and index[path].get("missing") is not True:
            changed[path] = {"missing": True}
    ended = tuple(path for path in gone if not _is_somebodys(index[path]))
    return Refresh(changed, ended, look.left_out + max(0, len(new) - room))


def _nearest(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _is_somebodys(known: Mapping[str, Any]) -> bool:
    """Whether somebody has said something of this file. Such an entry stays when the file goes."""
    return "last_accessed" in known


def _says(known: Mapping[str, Any] | None, metadata: dict[str, Any]) -> bool:
    if known is None:
        return False
    if known.get("missing") is True:
        metadata["missing"] = False
        return False
    return all(known.get(name) == value for name, value in metadata.items())


def _written(time_ns: int) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=time_ns // 1_000_000)
    except OverflowError:
        # A file system may say anything.
        time = _EPOCH
    return time.isoformat(timespec="milliseconds")
