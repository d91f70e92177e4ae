"""A store that does what it is told, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import anyio

from jidoka.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from jidoka.core.entries import Entry
    from jidoka.core.heads import Head
    from jidoka.core.status import SessionStatus
    from jidoka.core.views import Damage
    from jidoka.ports.store import Statuses, Store
    from jidoka.ports.world import World

T = TypeVar("T")


class Call(NamedTuple):
    """One call of the store: which of the writes it is, from 1, or None for one that only reads."""

    number: int | None
    name: str
    session_id: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a call.

    - `stop`: the process dies. This call and every later one raise StoreUnavailable, and reach the store no more.
    - `error`: StoreUnavailable. *After* the effect it is an acknowledgement that was lost.
    - `delay`: the call waits for *seconds* of the world's time.
    - `duplicate`: the call arrives twice, as a network may deliver it. *Before*, the answer is that of the second
      arrival; *after*, that of the first.

    *when* says whether it strikes before the call has taken effect, or after.
    """

    kind: Literal["stop", "error", "delay", "duplicate"]
    when: Literal["before", "after"] = "before"
    seconds: float = 0.0


Plan = Callable[[Call], "Fault | None"]


class FaultyStore:
    """*store*, behind a plan of faults. `plan` may be replaced at any time; None is no faults.

    `writes` counts the calls that write, `stopped` is set once the process is dead, and `last` is the call that
    killed it. A `delay` needs a *world*, and a store that says `never_waits` no longer says so then.
    """

    def __init__(self, store: Store, plan: Plan | None = None, *, world: World | None = None) -> None:
        self.store = store
        self.plan = plan
        self.writes = 0
        self.stopped = anyio.Event()
        self.last: Call | None = None
        self._world = world
        self._under_way = 0

    def __repr__(self) -> str:
        return f"<FaultyStore: {self.writes} writes{', stopped' if self.is_stopped else ''}, {self.store!r}>"

    @property
    def is_stopped(self) -> bool:
        """Whether a `stop` has struck."""
        return self.stopped.is_set()

    @property
    def is_busy(self) -> bool:
        """Whether the store is doing something that somebody waits for: see `VirtualWorld.is_busy`."""
        return self._under_way > 0

    @property
    def never_waits(self) -> bool:
        return self._world is None and self.store.never_waits

    @property
    def known_damage(self) -> Collection[Damage]:
        return self.store.known_damage

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        await self.store.close()

    # --- calls that write ------------------------------------------------------------------------

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        return await self._write(
            "claim", session_id, lambda: self.store.claim(session_id, expected_epoch=expected_epoch)
        )

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        return await self._write(
            "append", session_id, lambda: self.store.append(session_id, entries, expected_seq=expected_seq)
        )

    async def adopt(self, session_id: str, entries: Sequence[Entry], *, epoch: int) -> Head:
        return await self._write("adopt", session_id, lambda: self.store.adopt(session_id, entries, epoch=epoch))

    async def purge(self, session_id: str) -> None:
        await self._write("purge", session_id, lambda: self.store.purge(session_id))

    # --- calls that only read --------------------------------------------------------------------

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        return await self._read("read", session_id, lambda: self.store.read(session_id, after=after, limit=limit))

    async def head(self, session_id: str) -> Head | None:
        return await self._read("head", session_id, lambda: self.store.head(session_id))

    async def entry_with(self, session_id: str, key: str) -> Entry | None:
        return await self._read("entry_with", session_id, lambda: self.store.entry_with(session_id, key))

    async def heads(
        self,
        *,
        status: Statuses | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        quiet_before: datetime | None = None,
        expired_before: datetime | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[tuple[int, Head]]:
        return await self._read(
            "heads",
            None,
            lambda: self.store.heads(
                status=status,
                owner=owner,
                metadata=metadata,
                quiet_before=quiet_before,
                expired_before=expired_before,
                after=after,
                limit=limit,
            ),
        )

    async def count(self, *, owner: str | None = None) -> dict[SessionStatus, int]:
        return await self._read("count", None, lambda: self.store.count(owner=owner))

    async def examine(self, *, after: int = 0, limit: int = 100) -> tuple[list[Damage], int | None]:
        return await self._read("examine", None, lambda: self.store.examine(after=after, limit=limit))

    # --- faults ----------------------------------------------------------------------------------

    async def _write(self, name: str, session_id: str, work: Callable[[], Awaitable[T]]) -> T:
        self._refuse_the_dead()
        self.writes += 1
        return await self._suffer(Call(self.writes, name, session_id), work)

    async def _read(self, name: str, session_id: str | None, work: Callable[[], Awaitable[T]]) -> T:
        self._refuse_the_dead()
        return await self._suffer(Call(None, name, session_id), work)

    async def _suffer(self, call: Call, work: Callable[[], Awaitable[T]]) -> T:
        fault = self.plan(call) if self.plan is not None else None
        if fault is not None and fault.when == "before":
            await self._strike(fault, call, work)
        self._under_way += 1
        try:
            answer = await work()
        finally:
            self._under_way -= 1
            if fault is not None and fault.when == "after":
                await self._strike(fault, call, work)
        # Dead meanwhile, by another call: what has taken effect is not told to anybody any more.
        self._refuse_the_dead()
        return answer

    async def _strike(self, fault: Fault, call: Call, work: Callable[[], Awaitable[Any]]) -> None:
        match fault.kind:
            case "stop":
                self.last = call
                self.stopped.set()
                raise StoreUnavailable(f"the process stopped {fault.when} write {call.number}")
            case "error":
                raise StoreUnavailable(f"no answer to {call.name}: a fault {fault.when} its effect")
            case "delay":
                if self._world is None:
                    raise RuntimeError("a store that delays needs a world whose time it takes")
                await self._world.sleep_until(self._world.monotonic() + fault.seconds)
                self._refuse_the_dead()
            case "duplicate":
                await work()

    def _refuse_the_dead(self) -> None:
        if self.is_stopped:
            raise StoreUnavailable("the process is dead")
