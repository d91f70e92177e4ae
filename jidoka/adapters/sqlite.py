"""Journals in one SQLite file: durable, checked, and quick enough to forget about.

One thread writes, whatever has come in meanwhile to one commit; a few others read beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote

import anyio

from jidoka.actors.backend import Backend
from jidoka.adapters import sqlite_file as file
from jidoka.adapters import sqlite_listing as listing
from jidoka.adapters import sqlite_read as reads
from jidoka.adapters import sqlite_write as ask
from jidoka.adapters.durable_store import DurableStore, Reads
from jidoka.adapters.encryption import keys_from
from jidoka.adapters.sqlite_backup import copy_of
from jidoka.adapters.sqlite_examine import examine
from jidoka.adapters.sqlite_rotate import rotated
from jidoka.adapters.threads import ReaderThreads, WriterThread
from jidoka.core.errors import InvalidMessage, StoreUnavailable
from jidoka.core.views import Damage
from jidoka.ports.sealing import Keyring, encrypted

READERS: Final = 2

# What an acknowledged write has survived, and what SQLite calls it.
DURABILITIES: Final = {"power": "full", "process": "normal"}


class SQLiteStore(DurableStore):
    """A `Store` in a file.

    *durability* "power": what is acknowledged is on the disk, and survives a power cut. "process": it survives the
    end of this process, however sudden; a power cut, or a crash of the operating system, may take the last commits
    before it, never more than those, and never damages what is older.

    Opening raises StoreUnavailable where another process writes to the file, or a newer jidoka has written it. With
    *read_only* one may always look, and every write raises StoreUnavailable.
    """

    reads: ClassVar = Reads(reads.read, reads.head, reads.entry_with, listing.heads, listing.count)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "power",
        read_only: bool = False,
        keyring: Keyring | None = None,
        migrations: Mapping[int, str] = file.MIGRATIONS,
        max_pages: int | None = None,
    ) -> None:
        if durability not in DURABILITIES:
            raise InvalidMessage(f"durability is power or process, not {durability!r:.40}", field="durability")
        self.path = Path(path).absolute()
        self.read_only = read_only
        self._newest = max(migrations)
        self._sight = reads.Sight(self.path, keyring)
        self._writing = ask.Writing(
            self.path,
            self._sight,
            synchronous=DURABILITIES[durability],
            migrations=migrations,
            max_pages=max_pages,
        )
        self._writer: WriterThread[ask.Request] | None = None
        self._readers: ReaderThreads[Any] | None = None

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """`sqlite:///relative.db` or `sqlite:////absolute.db`.

        Options: `?durability=process`, `mode=ro`, and `key=env:NAME` or `key=file:PATH` for encryption.
        """
        where, _, query = url.removeprefix("sqlite://").partition("?")
        path = unquote(where.removeprefix("/"))
        if not where.startswith("/") or not path or path.endswith("/") or "\0" in path or path == ":memory:":
            raise InvalidMessage(
                f"not the URL of a file: sqlite://{where}; it is sqlite:///name or sqlite:////place/name"
            )
        options = dict(parse_qsl(query, keep_blank_values=True))
        mode = options.pop("mode", "rw")
        durability = options.pop("durability", "power")
        keyring = keys_from(options.pop("key")) if "key" in options else None
        if options or mode not in {"rw", "ro"}:
            raise InvalidMessage(f"{path}: the options are durability=power|process, mode=rw|ro and key=env:…|file:…")
        return cls(path, durability=durability, read_only=mode == "ro", keyring=keyring)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path}>"

    def beside(self, path: Path) -> SQLiteStore:
        """Another file that can be read with what this one is read with: a copy of it."""
        return SQLiteStore(path, read_only=True, keyring=self.keyring)

    @property
    def keyring(self) -> Keyring:
        """What it is encrypted with."""
        return self._sight.keyring

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self) -> None:
        backend = Backend()
        if not self.read_only:
            writing = self._writing
            writer = WriterThread[ask.Request](
                "jidoka writer", backend, begin=writing.begin, write=writing.write, rest=writing.rest, end=writing.end
            )
            await writer.start()
            self._writer = writer
        self._readers = ReaderThreads(
            "jidoka reader", backend, size=READERS, connect=self._connect, disconnect=file.disconnect
        )
        try:
            await self._readers.start()
        except BaseException:
            await self.close()
            raise

    def _connect(self) -> Any:
        connection = file.reading(self.path, newest=self._newest)
        if self.read_only:
            with file.translated(self.path):
                self._sight.unlock(connection)
                self._sight.look_for_damages(connection)
                for _, session_id, lost in ask.missing(connection, self.path):
                    if lost is not None:
                        self._sight.damages[session_id] = lost
        return connection

    async def close(self) -> None:
        readers, writer = self._readers, self._writer
        self._readers = self._writer = None
        # What has come in is finished, and the lock is let go, also where somebody is in a hurry.
        with anyio.CancelScope(shield=True):
            if readers is not None:
                await readers.close()
            if writer is not None:
                await writer.close()

    # --- all of them ------------------------------------------------------------------------------

    async def examine(self, *, after: int = 0, limit: int = 100) -> tuple[list[Damage], int | None]:
        return await self._read(examine, after, limit)

    @property
    def known_damage(self) -> Collection[Damage]:
        """What has been found damaged so far."""
        return [*self._sight.damages.values(), *self._sight.left_out.values()]

    async def backup(self, target: Path) -> None:
        """The store as it is now, as one file, while others go on writing. Raises InvalidMessage if there is one."""
        await self._read(copy_of, target)

    async def rotate(self, *, after: int = 0, limit: int = 100) -> int | None:
        """Wrap the keys of the *limit* sessions that arrived next after *after* with the newest master key.

        The answer is where to go on; None after the last. Then whatever is read needs the newest key only. Others go
        on meanwhile, and it may be stopped at any time and begun again.
        """
        encrypted(self)
        return await self._write(ask.Run(lambda connection: rotated(connection, self._sight, after, limit)))

    # --- the threads ------------------------------------------------------------------------------

    async def _write(self, request: ask.Request) -> Any:
        if self._writer is None:
            why = "open for reading only" if self.read_only else "closed"
            raise StoreUnavailable(f"{self.path} is {why}")
        return await self._writer.do(request)

    async def _read(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._readers is None:
            raise StoreUnavailable(f"{self.path} is closed")

        def call(connection: file.Connection) -> Any:
            return function(connection, self._sight, *args)

        return await self._readers.do(call)
