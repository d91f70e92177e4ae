"""File contents that sessions have looked at: one cache, keyed by session and path, bounded in number and size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 100_000_000

Key = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file as it was when it was read. `mtime` tells whether that is still so."""

    content: str
    mtime: float
    size: int


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What is in a cache, and what it has been good for."""

    items: int
    bytes: int
    hits: int
    misses: int
    evicted: int


class FileCache:
    """What a session caches, only that session sees; `session_id=None` is everybody's. The least used go first."""

    def __init__(self, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._files: OrderedDict[Key, CachedFile] = OrderedDict()
        self._paths: dict[str | None, set[str]] = {}
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = self._hits = self._misses = self._evicted = 0

    def cache_file(self, path: str, content: str, *, session_id: str | None = None, mtime: float = 0.0) -> CachedFile:
        """Keep *content*. A file that is larger than the whole cache is not kept."""
        file = CachedFile(content, mtime, len(content.encode("utf-8", "surrogatepass")))
        self.invalidate_file(path, session_id=session_id)
        if file.size <= self._max_bytes:
            self._files[session_id, path] = file
            self._paths.setdefault(session_id, set()).add(path)
            self._bytes += file.size
            self._make_room()
        return file

    def _make_room(self) -> None:
        while len(self._files) > self._max_items or self._bytes > self._max_bytes:
            session_id, path = next(iter(self._files))
            self.invalidate_file(path, session_id=session_id)
            self._evicted += 1

    def get_file(self, path: str, *, session_id: str | None = None, mtime: float | None = None) -> CachedFile | None:
        """The file as it was cached; None when it is not there, or has another *mtime* by now."""
        file = self._files.get((session_id, path))
        if file is None or (mtime is not None and mtime != file.mtime):
            self._misses += 1
            return None
        self._files.move_to_end((session_id, path))
        self._hits += 1
        return file

    def invalidate_file(self, path: str, *, session_id: str | None = None) -> None:
        """Forget one file of one session. Others keep theirs."""
        file = self._files.pop((session_id, path), None)
        if file is None:
            return
        self._bytes -= file.size
        paths = self._paths[session_id]
        paths.discard(path)
        if not paths:
            del self._paths[session_id]

    def clear_session(self, session_id: str | None) -> None:
        """Forget everything that one session has cached."""
        for path in list(self._paths.get(session_id, ())):
            self.invalidate_file(path, session_id=session_id)

    def stats(self) -> CacheStats:
        """How full it is, and how useful."""
        return CacheStats(len(self._files), self._bytes, self._hits, self._misses, self._evicted)
