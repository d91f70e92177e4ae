"""The writer's side of the SQLite store. Everything here happens on its one thread, a batch of requests to a commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

import apsw

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.durable import Adopt, Append, Claim, Purge
from jidoka.adapters.sqlite_batch import Batch, Held
from jidoka.adapters.sqlite_read import Sight, load
from jidoka.adapters.sqlite_tail import PURGED, Tail, read_tail
from jidoka.adapters.threads import Job
from jidoka.core.admission import not_whole, refusal, refusal_to_begin, stamped
from jidoka.core.coding import decode, hashed, terms
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, Fenced, JidokaError, SessionExists
from jidoka.core.heads import Head
from jidoka.core.views import Damage

log = logging.getLogger("jidoka.store")

# Sessions whose place is remembered, so that it need not be read before each write.
MOST_HELD: Final = 10_000
# Pages without content that a file may keep for what comes next.
FREE_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """Anything else, inside the commit."""

    call: Callable[[file.Connection], Any]


Request = Append | Adopt | Claim | Purge | Run


class Writing:
    """The file's only writer. `begin` takes the lock."""

    def __init__(
        self,
        path: Path,
        sight: Sight,
        *,
        synchronous: str,
        migrations: Mapping[int, str],
        max_pages: int | None = None,
    ) -> None:
        self._path = path
        self._sight = sight
        self._synchronous = synchronous
        self._migrations = migrations
        self._max_pages = max_pages
        # What is remembered of sessions, those that were written last at the end.
        self._held: dict[str, Held] = {}
        self._log_pages = 0

    # --- opening and closing ----------------------------------------------------------------------

    def begin(self) -> None:
        """Lock, open, bring up to date, and see whether anything has been lost. Raises StoreUnavailable."""
        with file.translated(self._path):
            file.prepare(self._path)
            self._tail = Tail(self._path)
        try:
            self._connection = file.writing(
                self._path, synchronous=self._synchronous, migrations=self._migrations, max_pages=self._max_pages
            )
            self._connection.set_wal_hook(self._committed)
            with file.translated(self._path):
                kept = self._sight.unlock(self._connection)
                if kept is not None:
                    self._connection.execute("insert or replace into vault (name, value) values ('keys', ?)", (kept,))
                self._compare_with_the_tail()
                self._next_arrival = self._last_arrival() + 1
                self._checkpoint()
        except BaseException:
            self._tail.close()
            raise

    def _last_arrival(self) -> int:
        sql = "select max(coalesce((select max(arrival) from {}), 0), coalesce((select max(arrival) from {}), 0))"
        return file.rows(self._connection, sql.format("sessions", "tombstones"))[0][0]

    def _compare_with_the_tail(self) -> None:
        """What was told and is not there is damage that is remembered; what was purged and came back goes again."""
        with self._connection:
            for arrival, session_id, lost in missing(self._connection, self._path):
                if lost is None:
                    self._delete(arrival, session_id)
                    continue
                log.error("entries are lost", extra={"session_id": session_id, "first_seq": lost.first_seq})
                self._connection.execute(_DAMAGED, (session_id, lost.first_seq, lost.last_seq, lost.text))
        self._sight.look_for_damages(self._connection)

    def end(self) -> None:
        """Leave a single file behind."""
        try:
            with file.translated(self._path):
                try:
                    self._checkpoint("truncate")
                finally:
                    self._connection.close()
        finally:
            self._tail.close()

    # --- a batch ----------------------------------------------------------------------------------

    def write(self, jobs: Sequence[Job[Request]]) -> None:
        """Do *jobs* in one commit. If that fails each is tried by itself, so that it fails for its own reasons."""
        try:
            with file.translated(self._path):
                self._commit(jobs)
        except JidokaError as error:
            if len(jobs) == 1:
                jobs[0].result, jobs[0].error = None, error
                return
            for job in jobs:
                job.result = job.error = None
                self.write([job])

    def _commit(self, jobs: Sequence[Job[Request]]) -> None:
        batch = Batch(self._sight.secret)
        connection, arrival = self._connection, self._next_arrival
        connection.execute("begin immediate")
        try:
            for job in jobs:
                try:
                    job.result = self._do(job.work, batch)
                except JidokaError as refused:
                    job.error = refused
            batch.store(connection)
            connection.execute("commit")
        except BaseException:
            self._next_arrival = arrival
            for session_id in batch.held:
                self._held.pop(session_id, None)
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        self._remember(batch)
        self._tail.note((arrival, seq, id) for arrival, (seq, id) in batch.reached.items())

    def _remember(self, batch: Batch) -> None:
        remembered = self._held
        for session_id, held in batch.held.items():
            remembered.pop(session_id, None)
            if held is not None:
                remembered[session_id] = held
        while len(remembered) > MOST_HELD:
            del remembered[next(iter(remembered))]

    def rest(self) -> None:
        """After the answers have gone out: bring the log into the file, if it has grown."""
        if self._log_pages < file.CHECKPOINT_PAGES:
            return
        try:
            with file.translated(self._path):
                self._checkpoint()
        except JidokaError:
            # The disk may be full. The log holds everything, and the next checkpoint tries again.
            log.exception("a checkpoint failed")

    def _checkpoint(self, mode: str = "passive") -> None:
        _, log_pages, done = file.rows(self._connection, f"pragma wal_checkpoint({mode})")[0]
        if log_pages == done:
            self._tail.clear()
            self._log_pages = 0

    def _committed(self, connection: file.Connection, name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    # --- requests ---------------------------------------------------------------------------------

    def _do(self, request: Request, batch: Batch) -> Any:
        match request:
            case Append(session_id, entries, expected_seq):
                return self._append(session_id, entries, expected_seq, batch)
            case Claim(session_id, expected_epoch):
                return self._claim(session_id, expected_epoch, batch)
            case Adopt(session_id, entries, epoch):
                return self._adopt(session_id, entries, epoch, batch)
            case Purge(session_id):
                return self._purge(session_id, batch)
            case Run(call):
                batch.store(self._connection)
                return call(self._connection)
            case _:
                assert_never(request)

    def _holding(self, session_id: str, batch: Batch) -> Held | None:
        """What is known of a session. Raises CorruptRecord."""
        if session_id in batch.held:
            return batch.held[session_id]
        held = self._held.get(session_id)
        if held is None:
            found = load(self._connection, self._sight, session_id)
            if found is None:
                return None
            held = Held(found.head, last_sum=found.last_sum, profile_sum=found.profile_sum, seal=found.seal)
            self._held[session_id] = held
        return held

    def _append(self, session_id: str, entries: Sequence[Entry], expected_seq: int, batch: Batch) -> Head:
        held = self._holding(session_id, batch)
        if held is None:
            epoch = self._tombstone(session_id)
            refused = refusal_to_begin(session_id, entries, expected_seq, epoch)
            if refused is not None:
                raise refused
            return self._begin(session_id, stamped(entries, epoch or 1), None, batch)
        refused = refusal(held.head, entries, expected_seq, lambda key: self._find(held, key, batch))
        if refused is not None:
            raise refused
        head = held.head.copy()
        for entry in entries:
            head.apply(entry)
        batch.go_on(held, head, entries)
        return head.copy()

    def _begin(self, session_id: str, entries: Sequence[Entry], epoch: int | None, batch: Batch) -> Head:
        head = Head(session_id, arrival=self._next_arrival)
        for entry in entries:
            head.apply(entry)
        if epoch is not None:
            head.epoch = epoch
        seal, wrapped = self._sight.keyring.new(session_id)
        batch.begin(head, entries, seal, wrapped)
        self._next_arrival += 1
        return head.copy()

    def _find(self, held: Held, key: str, batch: Batch) -> Entry | None:
        arrival, session_id = held.head.arrival, held.head.session_id
        found = batch.keys.get((arrival, key))
        if found is not None:
            return found
        for seq, kept in file.rows(self._connection, _BY_KEY, (arrival, hashed(key, self._sight.secret))):
            entry = decode(session_id, seq, held.seal.unseal(str(seq), kept[4:]))
            if entry.key == key:
                return entry
        return None

    def _adopt(self, session_id: str, entries: Sequence[Entry], epoch: int, batch: Batch) -> Head:
        if self._holding(session_id, batch) is not None:
            raise SessionExists(session_id)
        refused = not_whole(entries)
        if refused is not None:
            raise refused
        return self._begin(session_id, entries, epoch, batch)

    def _claim(self, session_id: str, expected_epoch: int | None, batch: Batch) -> Head | None:
        held = self._holding(session_id, batch)
        if held is None:
            return None
        if expected_epoch not in (None, held.head.epoch):
            raise Fenced(epoch=expected_epoch, current=held.head.epoch)
        head = held.head.copy()
        head.epoch += 1
        batch.go_on(held, head, ())
        return head.copy()

    def _tombstone(self, session_id: str) -> int | None:
        found = file.rows(self._connection, _TOMBSTONE, (session_id,))
        return found[0][0] if found else None

    # --- purging ----------------------------------------------------------------------------------

    def _purge(self, session_id: str, batch: Batch) -> None:
        batch.store(self._connection)
        rows = file.rows(self._connection, "select arrival from sessions where id = ?", (session_id,))
        if rows:
            (arrival,) = rows[0]
            self._delete(arrival, session_id)
            batch.reached[arrival] = PURGED, session_id
        self._connection.execute("delete from damages where id = ?", (session_id,))
        self._sight.damages.pop(session_id, None)
        batch.held[session_id] = None

    def _delete(self, arrival: int, session_id: str) -> None:
        connection = self._connection
        for sql in self._deletions(arrival, session_id):
            connection.execute(sql, (arrival,))
        if file.rows(connection, "pragma freelist_count")[0][0] > FREE_PAGES:
            connection.execute(f"pragma incremental_vacuum({FREE_PAGES})")

    def _deletions(self, arrival: int, session_id: str) -> Iterator[str]:
        yield _BURIED
        yield "update totals set sessions = sessions - 1 where status = (select status from sessions where arrival = ?)"
        try:
            found = load(self._connection, self._sight, session_id)
        except CorruptRecord:
            # Its metadata cannot be read: then the terms are looked for one by one.
            yield "delete from terms where arrival = ?"
        else:
            wanted = () if found is None else terms(found.head.metadata, self._sight.secret)
            for term in wanted:
                self._connection.execute("delete from terms where term = ? and arrival = ?", (term, arrival))
        yield "delete from entries where session = ?"
        yield "delete from keys where session = ?"
        yield "delete from profiles where arrival = ?"
        yield "delete from sessions where arrival = ?"


def missing(connection: file.Connection, path: Path) -> Iterator[tuple[int, str, Damage | None]]:
    """The sessions that are not where they were when this file was last written to; None for one that was purged."""
    for arrival, (session_id, reached) in read_tail(path).items():
        (seq,) = next(iter(file.rows(connection, _SEQ, (arrival,))), (None,))
        if reached == PURGED:
            if seq is not None:
                yield arrival, session_id, None
        elif (seq or 0) < reached and not file.rows(connection, _TOMBSTONE_OF, (arrival,)):
            text = "the end of its journal is gone: it was committed, and the file does not have it"
            yield (
                arrival,
                session_id,
                Damage(session_id=session_id, first_seq=(seq or 0) + 1, last_seq=reached, text=text),
            )


_BURIED = "insert into tombstones (arrival, id, epoch) select arrival, id, epoch + 1 from sessions where arrival = ?"
_SEQ = "select seq from sessions where arrival = ?"
_BY_KEY = "select seq, body from keys join entries using (session, seq) where keys.session = ? and key = ?"
_TOMBSTONE = "select epoch from tombstones where id = ? order by arrival desc limit 1"
_TOMBSTONE_OF = "select epoch from tombstones where arrival = ?"
_DAMAGED = "insert or ignore into damages (id, first_seq, last_seq, text) values (?, ?, ?, ?)"
