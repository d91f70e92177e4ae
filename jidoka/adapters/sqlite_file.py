"""The database file: how it is made, opened, and brought up to date. It knows nothing of journals but their tables."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw
import apsw.sqlite_extra

from jidoka.core.errors import CorruptRecord, JidokaError, StorageFull, StoreUnavailable

APPLICATION: Final = 0x4A49444F
"""In the header of the file: JIDO."""
# Older ones may damage a write-ahead log when it is reset (fixed in 3.51.3).
_OLDEST_SQLITE: Final = (3, 51, 3)
_CHECKED: Final = "cksmvfs"
# What a checkpoint is made after: 8 MiB of log.
CHECKPOINT_PAGES: Final = 1_000

# Version by version, in place. The first makes an empty file; a script that has been released is never changed.
MIGRATIONS: Final[Mapping[int, str]] = {
    1: """
        create table sessions (
            id text not null unique, arrival integer primary key, status integer not null, seq integer not null,
            epoch integer not null, version integer not null, incarnation integer not null, messages integer not null,
            characters integer not null, cycles integer not null, created_at integer not null,
            updated_at integer not null, active_at integer not null, expires_at integer, last_sum integer not null,
            profile_sum integer not null, note blob, row_sum integer not null, owner text
        ) strict;
        create index sessions_by_status on sessions (status, arrival);
        create index sessions_by_owner on sessions (owner, arrival) where owner is not null;
        create index sessions_by_expiry on sessions (expires_at) where expires_at is not null;
        create table profiles (arrival integer primary key, profile blob not null, wrapped blob) strict;
        create table terms (term integer, arrival integer, primary key (term, arrival)) without rowid, strict;
        create table entries (n integer primary key, session integer not null, seq integer not null,
            body blob not null) strict;
        create unique index entries_by_session on entries (session, seq);
        create table keys (session integer, key integer, seq integer, primary key (session, key, seq))
            without rowid, strict;
        create table totals (status integer primary key, sessions integer not null) strict;
        create table tombstones (arrival integer primary key, id text not null, epoch integer not null) strict;
        create index tombstones_by_id on tombstones (id);
        create table damages (id text primary key, first_seq integer, last_seq integer, text text not null) strict;
        create table vault (name text primary key, value blob not null) strict;
    """,
}

# An apsw.Connection. Its own types are partly unknown to a strict checker.
Connection = Any
Row = tuple[Any, ...]


@contextmanager
def translated(path: Path, *, session_id: str | None = None) -> Generator[None]:
    """SQLite's errors as the store's."""
    try:
        yield
    except JidokaError:
        raise
    except apsw.FullError as error:
        raise StorageFull(f"{path}: no space is left") from error
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, UnicodeDecodeError) as error:
        raise CorruptRecord(f"damaged: {error}", place=str(path), session_id=session_id) from error
    except apsw.IOError as error:
        raise _io_error(path, error, session_id) from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"{path}: {error}") from error


def _io_error(path: Path, error: apsw.IOError, session_id: str | None) -> JidokaError:
    extended = getattr(error, "extendedresult", 0)
    if extended in (apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS):
        return CorruptRecord("a page's checksum is wrong", place=str(path), session_id=session_id)
    if extended in (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_TRUNCATE, apsw.SQLITE_IOERR_SHMSIZE):
        # A limit on the size of files, or a quota.
        return StorageFull(f"{path}: cannot grow: {error}")
    return StoreUnavailable(f"{path}: {error}")


def checked_vfs() -> str | None:
    """The file system that gives every page a checksum. None where SQLite came without it."""
    if _CHECKED not in apsw.vfs_names():
        if not apsw.sqlite_extra.has("cksumvfs"):
            return None
        loader = apsw.Connection(":memory:")
        apsw.sqlite_extra.load(loader, "cksumvfs")
        loader.close()
    return _CHECKED


def prepare(path: Path) -> None:
    """Make the file, for nobody else's eyes. Raises StoreUnavailable."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < _OLDEST_SQLITE:
        raise StoreUnavailable(f"SQLite {apsw.sqlite_lib_version()} may damage its log; 3.51.3 and newer do not")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def connect(path: Path, *, read_only: bool = False) -> Connection:
    """A connection of one thread's own."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection: Connection = apsw.Connection(str(path), flags=flags, vfs=checked_vfs())
    connection.set_busy_timeout(5_000)
    connection.execute("pragma cache_size = -16000")
    # Nothing of what is sorted lies about in other files.
    connection.execute("pragma temp_store = memory")
    return connection


def disconnect(connection: Connection) -> None:
    """Close it."""
    connection.close()


def reading(path: Path, *, newest: int) -> Connection:
    """A connection for looking. Raises StoreUnavailable for what is not ours, or newer than we are."""
    with translated(path):
        if not path.exists():
            raise StoreUnavailable(f"there is no {path}")
        connection = connect(path, read_only=True)
        _check_version(connection, path, newest=newest)
        return connection


def writing(
    path: Path, *, synchronous: str, migrations: Mapping[int, str] = MIGRATIONS, max_pages: int | None = None
) -> Connection:
    """The connection for writing. Brings an older file up to date; refuses a newer one, and leaves it as it is."""
    with translated(path):
        connection = connect(path)
        found = _check_version(connection, path, newest=max(migrations))
        if found == 0:
            connection = format_new(connection, path)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", synchronous)
        connection.pragma("secure_delete", "fast")
        # Checkpoints are made by the writer, when it knows what is in them.
        connection.pragma("wal_autocheckpoint", 0)
        _migrate(connection, found, migrations)
        if max_pages is not None:
            connection.pragma("max_page_count", max_pages)
        return connection


def _check_version(connection: Connection, path: Path, *, newest: int) -> int:
    application, version = connection.pragma("application_id"), _version(connection)
    tables = connection.execute("select count(*) from sqlite_schema").get
    if application != APPLICATION and (application or version or tables):
        raise StoreUnavailable(f"{path} is a database, but not one of jidoka's")
    if version > newest:
        raise StoreUnavailable(
            f"{path} was written by a newer jidoka: format {version}, and this one knows {newest}. It is as it was"
        )
    return version


def _version(connection: Connection) -> int:
    return connection.pragma("user_version")


def format_new(connection: Connection, path: Path) -> Connection:
    """What has to be said before the first page is written. Opened again, because only then pages are checked."""
    if checked_vfs() is not None:
        connection.reserve_bytes("main", 8)
    # Half a row of each page is lost at its end: the larger the page, the less that is.
    connection.pragma("page_size", 8192)
    connection.pragma("auto_vacuum", "incremental")
    connection.pragma("application_id", APPLICATION)
    connection.close()
    return connect(path)


def _migrate(connection: Connection, found: int, migrations: Mapping[int, str]) -> None:
    """All steps or none."""
    missing = [version for version in sorted(migrations) if version > found]
    if not missing:
        return
    connection.execute("begin immediate")
    try:
        for version in missing:
            connection.execute(migrations[version])
        connection.pragma("user_version", missing[-1])
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def rows(connection: Connection, sql: str, bindings: Sequence[Any] = ()) -> list[Row]:
    """All rows at once."""
    return connection.execute(sql, bindings).fetchall()
