"""Journals in PostgreSQL: for several processes, and for those who have one anyway.

One thread writes, whatever has come in meanwhile with one statement; a few others read beside it. psycopg is used
without an event loop, so that it runs under each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode

import anyio

from jidoka.actors.backend import Backend
from jidoka.adapters import postgres_listing as listing
from jidoka.adapters import postgres_read as reads
from jidoka.adapters.durable_store import DurableStore, Reads
from jidoka.adapters.encryption import keys_from
from jidoka.adapters.postgres_link import Link, Watch, driver
from jidoka.adapters.postgres_schema import prepare, require
from jidoka.adapters.postgres_write import Request, Writing
from jidoka.adapters.threads import ReaderThreads, WriterThread
from jidoka.core.errors import InvalidMessage, StoreUnavailable
from jidoka.core.views import Damage
from jidoka.ports.sealing import Keyring, encrypted

LIMIT: Final = 4.5
READERS: Final = 2
MOST_READERS: Final = 32
SCHEMES: Final = ("postgresql://", "postgres://")


class PostgresStore(DurableStore):
    """A `Store` in a PostgreSQL database, which several processes may share.

    A server that does not answer for *limit* seconds has StoreUnavailable raised for it. Each store has one connection
    that writes and *readers* that read; they are made again whenever they are lost.

    Opening raises StoreUnavailable where a newer jidoka has written the database, and leaves it as it is. With
    *read_only* nothing is made or changed, tables neither, and every write raises StoreUnavailable.
    """

    reads: ClassVar = Reads(reads.read, reads.head, reads.entry_with, listing.heads, listing.count)

    def __init__(
        self,
        dsn: str,
        *,
        limit: float = LIMIT,
        readers: int = READERS,
        read_only: bool = False,
        keyring: Keyring | None = None,
        prepare: Callable[[Link, str], None] = prepare,
    ) -> None:
        if not (0 < limit < math.inf):
            raise InvalidMessage(f"limit is a number of seconds, not {limit!r}", field="limit")
        if not 1 <= readers <= MOST_READERS:
            raise InvalidMessage(f"readers is a number from 1 to {MOST_READERS}, not {readers!r}", field="readers")
        self._dsn = dsn
        self._limit = limit
        self._size = readers
        self.read_only = read_only
        self._sight = reads.Sight(keyring)
        self._prepare = prepare
        self._watch: Watch | None = None
        self._writer: WriterThread[Request] | None = None
        self._readers: ReaderThreads[Link] | None = None

    @classmethod
    def from_url(cls, url: str) -> PostgresStore:
        """What libpq understands, and among its options, if one likes, ours.

        They are `limit=SECONDS`, `readers=NUMBER`, `mode=ro`, and `key=env:NAME` or `key=file:PATH` for encryption.
        """
        dsn, options = own_options(url)
        keyring = keys_from(options["key"]) if "key" in options else None
        try:
            limit, readers = float(options.get("limit", LIMIT)), int(options.get("readers", READERS))
            read_only = {"rw": False, "ro": True}[options.get("mode", "rw")]
        except (ValueError, KeyError) as error:
            text = "the store's options are limit=SECONDS, readers=NUMBER, mode=rw|ro and key=env:…|file:…"
            raise InvalidMessage(text, field="store") from error
        return cls(dsn, limit=limit, readers=readers, read_only=read_only, keyring=keyring)

    def __repr__(self) -> str:
        return f"<PostgresStore {shown(self._dsn)}>"

    @property
    def keyring(self) -> Keyring:
        """What it is encrypted with."""
        return self._sight.keyring

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self) -> None:
        driver()
        backend = Backend()
        self._watch = watch = Watch(self._limit)
        watch.start()
        readers = ReaderThreads[Link](
            "jidoka postgres reader",
            backend,
            size=self._size,
            connect=lambda: Link(self._dsn, watch, read_only=self.read_only),
            disconnect=Link.end,
        )
        try:
            if not self.read_only:
                self._writer = writer = self._new_writer(backend, watch)
                await writer.start()
            self._readers = readers
            await readers.start()
            if self.read_only:
                await self._read(_recognize)
        except BaseException:
            await self.close()
            raise

    def _new_writer(self, backend: Backend, watch: Watch) -> WriterThread[Request]:
        writing = Writing(self._sight)

        def begin() -> None:
            link = Link(self._dsn, watch, writes=True)
            writing.begin(link)
            try:
                self._prepare(link, self._dsn)
                self._sight.unlock(link)
            except BaseException:
                link.end()
                raise

        return WriterThread(
            "jidoka postgres writer", backend, begin=begin, write=writing.write, rest=writing.rest, end=writing.end
        )

    async def close(self) -> None:
        readers, writer, watch = self._readers, self._writer, self._watch
        self._readers = self._writer = self._watch = None
        try:
            # What has come in is finished, also where somebody is in a hurry.
            with anyio.CancelScope(shield=True):
                if readers is not None:
                    await readers.close()
                if writer is not None:
                    await writer.close()
        finally:
            if watch is not None:
                watch.stop()

    @property
    def known_damage(self) -> Collection[Damage]:
        """What has been found damaged so far."""
        return list(self._sight.damages.values())

    # --- all of them ------------------------------------------------------------------------------

    async def examine(self, *, after: int = 0, limit: int = 100) -> tuple[list[Damage], int | None]:
        return await self._read(reads.examine, after, limit, within=math.inf)

    async def rotate(self, *, after: int = 0, limit: int = 100) -> int | None:
        """Wrap the keys of the *limit* sessions that arrived next after *after* with the newest master key.

        The answer is where to go on; None after the last. Others go on meanwhile, and it may be stopped at any time
        and begun again.
        """
        encrypted(self)
        return await self._read(reads.rotate, after, limit)

    # --- the threads ------------------------------------------------------------------------------

    async def _write(self, request: Request) -> Any:
        if self._writer is None:
            raise StoreUnavailable(f"the store is {'open for reading only' if self.read_only else 'closed'}")
        with anyio.move_on_after(self._limit):
            return await self._writer.do(request)
        raise self._silence()

    async def _read(self, function: Callable[..., Any], *args: Any, within: float | None = None) -> Any:
        if self._readers is None:
            raise StoreUnavailable("the store is closed")

        def call(link: Link) -> Any:
            return function(link, self._sight, *args)

        with anyio.move_on_after(self._limit if within is None else within):
            return await self._readers.do(call)
        raise self._silence()

    def _silence(self) -> StoreUnavailable:
        return StoreUnavailable(f"PostgreSQL has not answered within {self._limit:g} s")


def _recognize(link: Link, sight: reads.Sight) -> None:
    """Whether this is a database of ours, and the keys are its keys."""
    require(link)
    sight.look_up_keys(link)


def own_options(url: str) -> tuple[str, dict[str, str]]:
    """*url* without the options that are ours and that libpq would refuse, and those options."""
    dsn, _, query = url.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in options if name in OWN_OPTIONS}
    rest = urlencode([(name, value) for name, value in options if name not in OWN_OPTIONS], safe="/,:")
    return (f"{dsn}?{rest}" if rest else dsn), own


OWN_OPTIONS: Final = frozenset({"limit", "readers", "mode", "key"})


def shown(dsn: str) -> str:
    """*dsn* for people: without the password."""
    where = dsn.partition("?")[0]
    scheme, _, place = where.partition("://")
    user, at, host = place.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{host}"
