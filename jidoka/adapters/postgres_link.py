"""One connection to PostgreSQL, for one thread: made when it is needed, and never waited for without a limit.

psycopg waits for a silent server as long as the kernel does, and longer still when it is interrupted. What helps is to
shut the socket down under it, which a watch does that all connections of a store share.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from jidoka.adapters.postgres_arrays import teach
from jidoka.core.errors import StorageFull, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]

MISSING_DRIVER: Final = "PostgreSQL needs psycopg and alembic: pip install 'jidoka[postgres]'"
# libpq takes whole seconds, and no fewer.
CONNECT_SECONDS: Final = 2
# A peer that has vanished is noticed, also by a connection that rests. What the DSN says goes first.
_LIVENESS: Final = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5_000}

# "jidoka" in ASCII, as the number of an advisory lock: whoever holds it may change what all of them need.
LOCK: Final = int.from_bytes(b"jidoka", "big")
# Plans are made when there may be next to nothing in the tables, and kept: so they are told that there will be.
_LARGE_TABLES: Final = (
    "set enable_seqscan = off; set enable_bitmapscan = off; set enable_mergejoin = off; set jit = off"
)
# Of a store that only looks: the server sees to it as well.
_LOOKS_ONLY: Final = "set default_transaction_read_only = on"
# What a writer says is the same however much of it there is. Planning it anew takes longer than doing it.
_PLANNED_ONCE: Final = "set plan_cache_mode = force_generic_plan"


class Conflict(StoreUnavailable):
    """Two transactions stood in each other's way, and this one gave way. Nothing of it was done: do it again."""


class Watch:
    """Hangs up on servers that do not answer in time. Its thread sleeps while nobody waits for one."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        """How many seconds one exchange with a server may take."""
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._is_needed = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jidoka postgres watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Fine twice."""
        self._is_over.set()
        self._is_needed.set()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, link: Link) -> None:
        """Look after it from now on."""
        with self._lock:
            self._links.add(link)

    def remove(self, link: Link) -> None:
        """No longer."""
        with self._lock:
            self._links.discard(link)

    def wake(self) -> None:
        """Somebody waits for a server."""
        if not self._is_needed.is_set():
            self._is_needed.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._is_needed.wait()
            self._is_over.wait(self.limit / 20)
            # Cleared before looking: who begins to wait after that, or ends this, sets it again.
            self._is_needed.clear()
            with self._lock:
                links = list(self._links)
            if any([link.is_waited_for() for link in links]):
                self._is_needed.set()


class Link:
    """A connection that comes and goes. Everything but `is_waited_for` belongs to the thread that uses it."""

    def __init__(self, dsn: str, watch: Watch, *, writes: bool = False, read_only: bool = False) -> None:
        # What nobody waits for any more is given up by the server as well, and does not pile up there.
        settings = [_LARGE_TABLES, f"set statement_timeout = {watch.limit * 1000:.0f}"]
        settings += [_PLANNED_ONCE] if writes else []
        settings += [_LOOKS_ONLY] if read_only else []
        self._settings = "; ".join(settings)
        self._dsn = dsn
        self._watch = watch
        self._connection: psycopg.Connection[Row] | None = None
        self._cursor: psycopg.Cursor[Row] | None = None
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._is_late = False
        watch.add(self)

    def rows(self, statement: str, parameters: Sequence[Any] = (), *, planned_for_these: bool = False) -> list[Row]:
        """What the server answers. Raises StoreUnavailable, or Conflict for what may simply be done again.

        What is said often is prepared, and in the end planned once for all parameters. *planned_for_these* asks for a
        plan of their own.
        """
        with self._exchange() as cursor:
            prepare = False if planned_for_these else None
            cursor.execute(cast("LiteralString", statement), parameters, prepare=prepare, binary=True)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Everything inside sees the same moment."""
        self.rows("begin isolation level repeatable read read only")
        try:
            yield
        finally:
            if self._connection is not None:
                self.rows("rollback")

    @contextmanager
    def alone(self) -> Generator[None]:
        """One transaction; of all processes only one at a time is inside. The tables are made and changed in it too."""
        self.rows("begin")
        try:
            self.rows("select pg_advisory_xact_lock(%s)", (LOCK,))
            yield
            self.rows("commit")
        finally:
            if self._connection is not None and self._connection.info.transaction_status:
                self.rows("rollback")

    def close(self) -> None:
        """Let go of the connection, if there is one. The next exchange makes another."""
        self._cursor = None
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(Exception):
                    connection.close()

    def end(self) -> None:
        """Let go of it for good."""
        self.close()
        self._watch.remove(self)

    # --- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _exchange(self) -> Generator[psycopg.Cursor[Row]]:
        with translated():
            self._is_late = False
            self._deadline = time.monotonic() + self._watch.limit
            self._watch.wake()
            try:
                yield self._ready()
            except BaseException:
                self._hang_up_if_broken()
                if self._is_late:
                    text = f"PostgreSQL has not answered within {self._watch.limit:g} s"
                    raise StoreUnavailable(text) from None
                raise
            finally:
                with self._lock:
                    self._deadline = None

    def _ready(self) -> psycopg.Cursor[Row]:
        if self._cursor is None or self._was_left():
            self.close()
            self._connection = connect(self._dsn)
            teach(self._connection)
            cursor = self._connection.cursor()
            cursor.execute(cast("LiteralString", self._settings))
            self._cursor = cursor
        return self._cursor

    def _was_left(self) -> bool:
        """Whether the server has gone: then it has said so, or at least hung up."""
        connection = self._connection
        while connection is not None and not connection.closed:
            if not select.select((connection.fileno(),), (), (), 0)[0]:
                return False
            try:
                connection.pgconn.consume_input()
            except driver().Error:
                break
        return True

    def _hang_up_if_broken(self) -> None:
        if self._is_late or self._connection is None or self._connection.broken:
            self.close()

    def is_waited_for(self) -> bool:
        """Whether somebody waits here, and not for too long: then it hangs up. From the thread of the watch."""
        with self._lock:
            if self._deadline is None:
                return False
            # Connecting has a limit of its own.
            if self._connection is None or time.monotonic() < self._deadline:
                return True
            self._deadline = None
            self._is_late = True
            _shut_down(self._connection)
            return False


def _shut_down(connection: psycopg.Connection[Row]) -> None:
    # A copy of the descriptor: closing it leaves psycopg's own alone.
    with suppress(OSError), socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as copy:
        copy.shutdown(socket.SHUT_RDWR)


def connect(dsn: str, *, autocommit: bool = True) -> psycopg.Connection[Row]:
    """A new connection. Raises StoreUnavailable."""
    psycopg = driver()
    from psycopg.conninfo import conninfo_to_dict

    with translated():
        chosen = {"connect_timeout": CONNECT_SECONDS, "application_name": "jidoka", **_LIVENESS}
        chosen |= conninfo_to_dict(dsn)
        try:
            return psycopg.connect(autocommit=autocommit, **chosen)
        except psycopg.Error as error:
            # They hold the socket, in a circle: it would stay open until the garbage is collected.
            error.__traceback__ = error.__context__ = None
            raise


def driver() -> Any:
    """psycopg, which not everybody has. Raises StoreUnavailable."""
    try:
        import psycopg
    except ImportError as error:
        raise StoreUnavailable(MISSING_DRIVER) from error
    return psycopg


@contextmanager
def translated() -> Generator[None]:
    """PostgreSQL's errors as the store's."""
    import psycopg
    from psycopg import errors

    try:
        yield
    except (errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise Conflict(str(error)) from error
    except errors.DiskFull as error:
        raise StorageFull(f"PostgreSQL: {_first_line(error)}") from error
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailable(f"PostgreSQL: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
