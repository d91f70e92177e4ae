"""File contents that sessions have looked at, keyed by session and path, bounded for each session and in all."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 100_000_000
SESSION_ITEMS: Final = 100
SESSION_BYTES: Final = 10_000_000

Owner = str | None


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file as it was when it was read. `mtime`, or better `stamp`, tells whether that is still so."""

    content: str
    mtime: float
    size: int
    stamp: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What is in a cache, and what it has been good for."""

    items: int
    bytes: int
    hits: int
    misses: int
    evicted: int


class _Shelf:
    """What one session has cached, the least used first."""

    __slots__ = ("bytes", "files")

    def __init__(self) -> None:
        self.files: OrderedDict[str, CachedFile] = OrderedDict()
        self.bytes = 0


class FileCache:
    """What a session caches, only that session sees; `session_id=None` is everybody's.

    A session that has too much loses what it used least; when there is too much in all, the session that has not
    cached anything for longest loses first.
    """

    def __init__(
        self,
        *,
        session_items: int = SESSION_ITEMS,
        session_bytes: int = SESSION_BYTES,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._shelves: OrderedDict[Owner, _Shelf] = OrderedDict()
        self._session_items = session_items
        self._session_bytes = session_bytes
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items = self._bytes = self._hits = self._misses = self._evicted = 0

    def cache_file(
        self,
        path: str,
        content: str,
        *,
        session_id: Owner = None,
        mtime: float = 0.0,
        stamp: tuple[int, ...] | None = None,
    ) -> CachedFile:
        """Keep *content*. A file that is larger than a session's whole share is not kept."""
        file = CachedFile(content, mtime, len(content.encode("utf-8", "surrogatepass")), stamp)
        self.invalidate_file(path, session_id=session_id)
        if file.size <= self._session_bytes and self._session_items > 0:
            shelf = self._shelves.setdefault(session_id, _Shelf())
            self._shelves.move_to_end(session_id)
            shelf.files[path] = file
            shelf.bytes += file.size
            self._items += 1
            self._bytes += file.size
            self._make_room(session_id, shelf)
        return file

    def _make_room(self, session_id: Owner, shelf: _Shelf) -> None:
        while len(shelf.files) > self._session_items or shelf.bytes > self._session_bytes:
            self._evict(session_id)
        while self._items > self._max_items or self._bytes > self._max_bytes:
            self._evict(next(iter(self._shelves)))

    def _evict(self, session_id: Owner) -> None:
        self.invalidate_file(next(iter(self._shelves[session_id].files)), session_id=session_id)
        self._evicted += 1

    def stamp_of(self, path: str, *, session_id: Owner = None) -> tuple[int, ...] | None:
        """The stamp under which a file is cached. Does not count as using it."""
        shelf = self._shelves.get(session_id)
        file = shelf.files.get(path) if shelf is not None else None
        return None if file is None else file.stamp

    def get_file(
        self,
        path: str,
        *,
        session_id: Owner = None,
        mtime: float | None = None,
        stamp: tuple[int, ...] | None = None,
    ) -> CachedFile | None:
        """The file as it was cached; None when it is not there, or has another *mtime* or *stamp* by now."""
        shelf = self._shelves.get(session_id)
        file = shelf.files.get(path) if shelf is not None else None
        is_other = file is not None and (
            (mtime is not None and mtime != file.mtime) or (stamp is not None and stamp != file.stamp)
        )
        if shelf is None or file is None or is_other:
            self._misses += 1
            return None
        shelf.files.move_to_end(path)
        self._hits += 1
        return file

    def invalidate_file(self, path: str, *, session_id: Owner = None) -> None:
        """Forget one file of one session. Others keep theirs."""
        shelf = self._shelves.get(session_id)
        file = shelf.files.pop(path, None) if shelf is not None else None
        if shelf is None or file is None:
            return
        shelf.bytes -= file.size
        self._items -= 1
        self._bytes -= file.size
        if not shelf.files:
            del self._shelves[session_id]

    def clear_session(self, session_id: Owner) -> None:
        """Forget everything that one session has cached."""
        shelf = self._shelves.pop(session_id, None)
        if shelf is not None:
            self._items -= len(shelf.files)
            self._bytes -= shelf.bytes

    def stats(self) -> CacheStats:
        """How full it is, and how useful."""
        return CacheStats(self._items, self._bytes, self._hits, self._misses, self._evicted)
