"""The writer's side of the PostgreSQL store: on one thread, many requests to a statement.

Other processes may write to the same database. What is remembered here of a session is a guess: it decides nothing by
itself. What it allows is checked again by the statement; what it refuses is refused only after a look at the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, assert_never

from jidoka.adapters.durable import Adopt, Append, Claim, Found, Purge, found_in
from jidoka.adapters.postgres_batch import NOWHERE, PURGED, Change, Kind, Place, change_to
from jidoka.adapters.postgres_link import Conflict, Link
from jidoka.adapters.postgres_read import LOAD, Sight, entry_with
from jidoka.adapters.postgres_statements import statement
from jidoka.adapters.threads import Job
from jidoka.core.admission import not_whole, refusal, refusal_to_begin, stamped
from jidoka.core.coding import first_sum
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, Fenced, JidokaError, SessionExists, StoreUnavailable
from jidoka.core.headrows import Row
from jidoka.core.heads import Head

Request = Append | Adopt | Claim | Purge

# Sessions whose place is remembered, so that it need not be read before each write.
MOST_HELD: Final = 10_000
# How often a request is tried again because another process was quicker.
MOST_TRIES: Final = 50


class Seen(NamedTuple):
    """What a look at the database has shown of a session."""

    place: Place
    """NOWHERE when there is no row."""
    found: Found | None = None
    """None when there is no journal."""
    damage: CorruptRecord | None = None

    @property
    def tombstone(self) -> int | None:
        """The epoch in which a purged session's next life begins."""
        return self.place.epoch if self.place != NOWHERE else None


class Writing:
    """All that this process writes to the database."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        # What is remembered of sessions, those that were written last at the end.
        self._held: dict[str, Found] = {}

    def begin(self, link: Link) -> None:
        """Write through *link* from now on."""
        self._link = link

    def end(self) -> None:
        """Let go of it."""
        self._link.end()

    def rest(self) -> None:
        """Forget the sessions that were not written to for longest."""
        while len(self._held) > MOST_HELD:
            del self._held[next(iter(self._held))]

    # --- a batch ----------------------------------------------------------------------------------

    def write(self, jobs: Sequence[Job[Request]]) -> None:
        """Do *jobs*. Whoever has given up waiting before it is their turn is left out."""
        waiting = [job for job in jobs if not job.slot.done()]
        while waiting:
            now, later = _one_for_each_session(waiting)
            try:
                self._do(now)
            except JidokaError as error:
                # It is not known what became of them. The others would only wait for the same.
                for job in waiting:
                    if job.error is None and job.result is None:
                        job.error = error
                for job in now:
                    self._held.pop(job.work.session_id, None)
                return
            waiting = later

    def _do(self, jobs: Sequence[Job[Request]]) -> None:
        remaining = list(jobs)
        for _ in range(MOST_TRIES):
            if not remaining:
                return
            with suppress(Conflict):
                remaining = self._try(remaining)
            # Whatever was believed of those that are left was wrong.
            for job in remaining:
                self._held.pop(job.work.session_id, None)
        raise StoreUnavailable(f"{MOST_TRIES} times in a row, others have written to the session first")

    def _try(self, jobs: Sequence[Job[Request]]) -> list[Job[Request]]:
        """Do what can be done. The answer is those that have to be looked at again."""
        seen = self._look(jobs)
        again: list[Job[Request]] = []
        decided: list[tuple[Job[Request], Change]] = []
        births = self._arrivals(jobs, seen)
        for job in jobs:
            try:
                change = self._decide(job.work, seen.get(job.work.session_id), births)
            except JidokaError as refused:
                if job.work.session_id in seen:
                    job.error = refused
                else:
                    again.append(job)
            else:
                if change is not None:
                    decided.append((job, change))
        return again + self._store(decided)

    def _store(self, decided: Sequence[tuple[Job[Request], Change]]) -> list[Job[Request]]:
        missed: list[Job[Request]] = []
        for kind in Kind:
            changes = [(job, change) for job, change in decided if change.kind is kind]
            if not changes:
                continue
            text, parameters = statement(kind, [change for _, change in changes], self._sight.secret)
            done = {arrival for (arrival,) in self._link.rows(text, parameters)}
            for job, change in changes:
                if change.arrival in done:
                    self._answer(job, change)
                else:
                    missed.append(job)
        return missed

    def _answer(self, job: Job[Request], change: Change) -> None:
        session_id = job.work.session_id
        self._held.pop(session_id, None)
        if change.after is not None:
            self._held[session_id] = change.after
            job.result = change.after.head.copy()

    # --- looking ----------------------------------------------------------------------------------

    def _look(self, jobs: Iterable[Job[Request]]) -> dict[str, Seen]:
        """What there is of the sessions of which nothing is remembered, and of those that are to end."""
        unknown = [
            job.work.session_id for job in jobs if job.work.session_id not in self._held or isinstance(job.work, Purge)
        ]
        if not unknown:
            return {}
        seen = dict.fromkeys(unknown, Seen(NOWHERE))
        for columns in self._link.rows(f"{LOAD} where s.session_id = any(%s)", (unknown,)):
            one = self._seen_in(columns)
            seen[columns[0]] = one
            if one.found is not None:
                self._held[columns[0]] = one.found
        return seen

    def _seen_in(self, columns: Sequence[Any]) -> Seen:
        row = Row(*columns[: len(Row._fields)])
        place = Place(row.arrival, row.seq, row.epoch)
        if row.status == PURGED:
            return Seen(place)
        try:
            return Seen(place, found_in(columns, self._sight.keyring))
        except CorruptRecord as damage:
            return Seen(place, damage=damage)

    def _arrivals(self, jobs: Sequence[Job[Request]], seen: dict[str, Seen]) -> list[int]:
        """Numbers for the sessions that may begin, the last first."""
        births = sum(
            isinstance(job.work, Append | Adopt) and one.found is None
            for job in jobs
            if (one := seen.get(job.work.session_id)) is not None
        )
        if not births:
            return []
        rows = self._link.rows("select nextval('jidoka_arrivals') from generate_series(1, %s)", (births,))
        return sorted((number for (number,) in rows), reverse=True)

    # --- deciding ---------------------------------------------------------------------------------

    def _decide(self, request: Request, seen: Seen | None, births: list[int]) -> Change | None:
        """What *request* changes; None for nothing. *seen* is there if the session was looked at just now."""
        if seen is not None and seen.damage is not None and not isinstance(request, Purge):
            raise seen.damage
        match request:
            case Append():
                return self._append(request, seen, births)
            case Claim():
                return self._claim(request)
            case Adopt(session_id, entries, epoch):
                return self._adopt(session_id, entries, epoch, seen, births)
            case Purge():
                assert seen is not None
                is_there = seen.found is not None or seen.damage is not None
                return Change(Kind.ENDS, seen.place, None) if is_there else None
            case _:
                assert_never(request)

    def _append(self, request: Append, seen: Seen | None, births: list[int]) -> Change:
        session_id, entries, expected_seq = request.session_id, request.entries, request.expected_seq
        held = self._held.get(session_id)
        if held is None:
            assert seen is not None
            refused = refusal_to_begin(session_id, entries, expected_seq, seen.tombstone)
            if refused is not None:
                raise refused
            return self._begin(session_id, stamped(entries, seen.tombstone or 1), None, seen.place, births)
        refused = refusal(held.head, entries, expected_seq, lambda key: self._find(session_id, key, seen))
        if refused is not None:
            raise refused
        head = held.head.copy()
        for entry in entries:
            head.apply(entry)
        kind = Kind.GROWS if head.metadata is held.head.metadata else Kind.CHANGES
        return change_to(
            kind, _place(held), held, head, entries, secret=self._sight.secret, has_looked=seen is not None
        )

    def _find(self, session_id: str, key: str, seen: Seen | None) -> Entry | None:
        """The entry that has the key. Without a look at the session it is left to the statement to find it."""
        return None if seen is None else entry_with(self._link, self._sight, session_id, key)

    def _claim(self, request: Claim) -> Change | None:
        held = self._held.get(request.session_id)
        if held is None:
            return None
        if request.expected_epoch not in (None, held.head.epoch):
            raise Fenced(epoch=request.expected_epoch, current=held.head.epoch)
        head = held.head.copy()
        head.epoch += 1
        return change_to(Kind.GROWS, _place(held), held, head, (), secret=self._sight.secret)

    def _adopt(
        self, session_id: str, entries: Sequence[Entry], epoch: int, seen: Seen | None, births: list[int]
    ) -> Change:
        if session_id in self._held:
            raise SessionExists(session_id)
        refused = not_whole(entries)
        if refused is not None:
            raise refused
        assert seen is not None
        return self._begin(session_id, entries, epoch, seen.place, births)

    def _begin(
        self, session_id: str, entries: Sequence[Entry], epoch: int | None, before: Place, births: list[int]
    ) -> Change:
        head = Head(session_id, arrival=births.pop())
        for entry in entries:
            head.apply(entry)
        if epoch is not None:
            head.epoch = epoch
        seal, wrapped = self._sight.keyring.new(session_id)
        kind = Kind.BEGINS if before == NOWHERE else Kind.BEGINS_AGAIN
        unborn = Found(head, first_sum(session_id), 0, seal)
        return change_to(
            kind, before, unborn, head, entries, secret=self._sight.secret, has_looked=True, wrapped=wrapped
        )


def _place(held: Found) -> Place:
    return Place(held.head.arrival, held.head.seq, held.head.epoch)


def _one_for_each_session(jobs: Sequence[Job[Request]]) -> tuple[list[Job[Request]], list[Job[Request]]]:
    """The first of each session, and the rest, which must see what becomes of those."""
    first: dict[str, Job[Request]] = {}
    later: list[Job[Request]] = []
    for job in jobs:
        if first.setdefault(job.work.session_id, job) is not job:
            later.append(job)
    return list(first.values()), later
