"""Threads that wait for a disk or a server, so that the loop does not: one that writes in groups, some that read.

The writer takes whatever has come in while it was busy as one batch: so the more callers there are, the more of them
share one flush to disk. Answers go back to the loop once for each batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from jidoka.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from jidoka.actors.backend import Backend, Slot

T = TypeVar("T")
C = TypeVar("C")

MAX_BATCH: Final = 512


class Job(Generic[T]):
    """Something to be done on a thread, and the place for what comes of it."""

    __slots__ = ("error", "result", "slot", "work")

    def __init__(self, work: T, slot: Slot) -> None:
        self.work = work
        self.slot = slot
        self.result: Any = None
        self.error: BaseException | None = None

    def deliver(self) -> None:
        """Answer whoever asked, if they still wait. On the loop."""
        if self.slot.done():
            return
        if self.error is not None:
            self.slot.set_exception(self.error)
        else:
            self.slot.set_result(self.result)


class _Crew(Generic[T]):
    """Threads around one queue."""

    def __init__(self, name: str, backend: Backend, size: int) -> None:
        self._name = name
        self._backend = backend
        self._queue: SimpleQueue[Job[T] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(size)]
        self._is_closed = False

    async def start(self) -> None:
        """Start the threads, and wait until each is ready. Raises what kept one from it; then none is left."""
        self._started = [Job[None](None, self._backend.new_slot()) for _ in self._threads]
        starting = list(self._started)
        for thread in self._threads:
            thread.start()
        failure = await _all_of(starting)
        if failure is not None:
            await self.close()
            raise failure

    async def close(self) -> None:
        """Finish what has come in, then end the threads. Fine twice. Raises what went wrong at the end of one."""
        if self._is_closed:
            return
        self._is_closed = True
        self._ended = [Job[None](None, self._backend.new_slot()) for _ in self._threads]
        ending = list(self._ended)
        for _ in self._threads:
            self._queue.put(None)
        failure = await _all_of(ending)
        for thread in self._threads:
            thread.join()
        if failure is not None:
            raise failure

    async def do(self, work: T) -> Any:
        """Have *work* done. Whoever is cancelled here does not know what became of it."""
        if self._is_closed:
            raise StoreUnavailable(f"the {self._name} is closed")
        job = Job(work, self._backend.new_slot())
        self._queue.put(job)
        return await job.slot

    def _post(self, jobs: Sequence[Job[Any]]) -> None:
        # The loop may be gone, and with it whoever waited.
        with suppress(RuntimeError):
            self._backend.post(lambda: _deliver(jobs))

    def _run(self) -> None:
        started = self._started.pop()
        try:
            self.begin()
        except Exception as error:
            started.error = error
            self._post([started])
            # Not even begun: nothing to end, but somebody waits for that.
            while self._queue.get() is not None:
                pass
            self._post([self._ended.pop()])
            return
        self._post([started])
        self.serve()
        ended = self._ended.pop()
        try:
            self.end()
        except Exception as error:
            ended.error = error
        self._post([ended])

    def begin(self) -> None:
        """On each thread, first."""

    def serve(self) -> None:
        """On each thread: take from the queue until there is None."""
        raise AssertionError

    def end(self) -> None:
        """On each thread, last."""


async def _all_of(jobs: Sequence[Job[None]]) -> Exception | None:
    """Wait for all of them; the first failure, if there is one."""
    failure: Exception | None = None
    for job in jobs:
        try:
            await job.slot
        except Exception as error:
            failure = failure or error
    return failure


def _deliver(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.deliver()


class WriterThread(_Crew[T]):
    """One thread that does jobs in batches. *write* sets each job's result or error; what it raises is all of theirs.

    *rest* is called when the answers are on their way.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        begin: Callable[[], object],
        write: Callable[[Sequence[Job[T]]], object],
        rest: Callable[[], object],
        end: Callable[[], object],
    ) -> None:
        super().__init__(name, backend, 1)
        self._begin = begin
        self._end = end
        self._write = write
        self._rest = rest

    def begin(self) -> None:
        """What the thread needs."""
        self._begin()

    def end(self) -> None:
        """Let go of it."""
        self._end()

    def serve(self) -> None:
        """Take whatever there is, write it, answer, until there is None."""
        queue = self._queue
        is_over = False
        while not is_over:
            job = queue.get()
            batch: list[Job[T]] = []
            while True:
                if job is None:
                    is_over = True
                    break
                batch.append(job)
                if len(batch) >= MAX_BATCH:
                    break
                try:
                    job = queue.get_nowait()
                except Empty:
                    break
            if batch:
                self._do(batch)
            # What was answered is not kept while there is nothing to do.
            job, batch = None, []

    def _do(self, batch: list[Job[T]]) -> None:
        try:
            self._write(batch)
        except Exception as error:
            for job in batch:
                job.result, job.error = None, error
        self._post(batch)
        self._rest()


Call = Callable[[C], Any]


class ReaderThreads(_Crew[Call[C]]):
    """A few threads, each with a connection of its own, that do calls one at a time."""

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        size: int,
        connect: Callable[[], C],
        disconnect: Callable[[C], object],
    ) -> None:
        super().__init__(name, backend, size)
        self._connect = connect
        self._disconnect = disconnect
        self._local = threading.local()

    def begin(self) -> None:
        """Connect."""
        self._local.connection = self._connect()

    def end(self) -> None:
        """Disconnect."""
        self._disconnect(self._local.connection)

    def serve(self) -> None:
        """One call after the other, until there is None."""
        connection: C = self._local.connection
        while (job := self._queue.get()) is not None:
            try:
                job.result = job.work(connection)
            except Exception as error:
                job.error = error
            self._post([job])
            # A large answer is not kept while there is nothing to do.
            del job
