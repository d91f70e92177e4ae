"""One question to a session, asked until there is an answer or there will be none. Never answered twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import anyio

from jidoka.actors.errors import ActorRestarted, CallTimeout
from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidTransition, JidokaError, TurnCancelled, TurnFailed, TurnInProgress
from jidoka.core.events import Event, EventType
from jidoka.core.status import SessionStatus
from jidoka.cycles.retry import FINAL, Retry

if TYPE_CHECKING:
    from jidoka.core.messages import Message
    from jidoka.hub.subscription import Subscription
    from jidoka.ports.world import World
    from jidoka.session import Session

T = TypeVar("T")

_ENDS: Final = (EventType.TURN_COMPLETED, EventType.TURN_FAILED, EventType.TURN_CANCELLED)
# After one of these a session may be free for a turn.
_CHANGES: Final = (*_ENDS, EventType.SESSION_STATUS, EventType.SESSION_RESUMED, EventType.DECISION_RECORDED)
# Among the turns that ended: a person's no. No key is empty.
REJECTED: Final = ""
# Another process may decide, and nobody here would hear of it: seconds between looks.
LOOK_AGAIN: Final = 60.0

_FAILURES: Final = (TurnFailed, TurnCancelled, CallTimeout, ActorRestarted)


class Failure(NamedTuple):
    """Why there is no answer."""

    reason: str
    error: str
    retry_after: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is of no use to ask again."""
        return self.reason in FINAL


CANCELLED: Final = Failure(TurnCancelled.code, "the turn was cancelled")


class Answer(NamedTuple):
    """What came of it: a message, or a failure."""

    message: Message | None
    failure: Failure | None
    attempts: int
    usage: Usage


class Asker:
    """Asks one session. *timeout* is that of each attempt."""

    def __init__(self, session: Session, world: World, retry: Retry, timeout: float | None) -> None:
        self.session = session
        self._world = world
        self._retry = retry
        self._timeout = timeout

    async def ask(self, prompt: str, key: str, *, after: int, resumed: bool) -> Answer:
        """The answer to *prompt*. *key* and the number of the attempt make each turn's key.

        *after* is a journal entry before the first attempt. When *resumed*, what was tried before is not tried again.
        """
        ended = await self._ended(after) if resumed else {}
        message, failure, attempt = None, None, 0
        for _ in range(self._retry.attempts):
            if failure and f"{key}:{attempt}" not in ended:
                await self._retry.pause(self._world, attempt, failure.retry_after)
                # It may have been completed all the same, and only its answer was lost.
                ended = await self._ended(after)
            attempt = _completed(key, attempt, ended) or attempt + 1
            message, failure = await self._attempt(prompt, f"{key}:{attempt}", ended)
            if failure is None or failure.is_final:
                break
        return Answer(message, failure, attempt, await self._usage(key, after))

    async def _attempt(self, prompt: str, key: str, ended: dict[str, Event]) -> tuple[Message | None, Failure | None]:
        before = ended.get(key)
        if before is not None and before.type != EventType.TURN_COMPLETED:
            return None, _failure_then(before)
        if before is None and REJECTED in ended:
            return None, CANCELLED
        return await self._retry.insist(self._world, partial(self._turn, prompt, key))

    async def _turn(self, prompt: str, key: str) -> tuple[Message | None, Failure | None]:
        """One turn. Waits while somebody else has one, and while the line is stopped."""
        async with self.session.subscribe(types=_CHANGES) as changes:
            while True:
                try:
                    return await self.session.prompt(prompt, idempotency_key=key, timeout=self._timeout), None
                except TurnInProgress:
                    await self._change(changes)
                except InvalidTransition as stopped:
                    if stopped.status != SessionStatus.WAITING_INPUT:
                        raise
                    if is_rejection(await self._change(changes)):
                        return None, CANCELLED
                except _FAILURES as error:
                    return None, _failure_now(error)

    async def wait_while_halted(self) -> bool:
        """Wait for a person's decision. False if there was none to wait for."""
        if not await self._is_halted():
            return False
        async with self.session.subscribe(types=_CHANGES) as changes:
            while await self._is_halted():
                await self._change(changes)
        return True

    async def _is_halted(self) -> bool:
        info = await self._retry.insist(self._world, self.session.info)
        return info.status is SessionStatus.WAITING_INPUT

    async def _change(self, changes: Subscription) -> Event | None:
        """The next thing that happens. None when it is time to look again, or there will be none."""
        try:
            return await within(self._world, LOOK_AGAIN, partial(anext, changes, None))
        except TimeoutError:
            return None

    # --- what the journal says ---------------------------------------------------------------------------------

    async def _usage(self, key: str, after: int) -> Usage:
        ended = await self._ended(after)
        used = (event.data.get("usage") for name, event in ended.items() if name.startswith(f"{key}:"))
        return sum((Usage.model_validate(usage) for usage in used if usage), Usage())

    async def _ended(self, after: int) -> dict[str, Event]:
        """By their keys, the turns that ended after that entry."""
        return await self._retry.insist(self._world, partial(ended_turns, self.session, after))


async def ended_turns(session: Session, after: int) -> dict[str, Event]:
    """How the turns ended that ended after entry *after*, by their idempotency keys; and whether a person said no."""
    last, found = (await session.info()).last_seq, dict[str, Event]()
    if last <= after:
        return found
    async with session.subscribe(after=after) as events:
        async for event in events:
            if event.type in _ENDS:
                found[str(event.data["turn_id"]).removeprefix("turn_")] = event
            elif is_rejection(event):
                found[REJECTED] = event
            if event.seq is not None and event.seq >= last:
                break
    return found


def _completed(key: str, attempts: int, ended: dict[str, Event]) -> int | None:
    """Which of so many attempts was completed."""
    for attempt in range(1, attempts + 1):
        event = ended.get(f"{key}:{attempt}")
        if event is not None and event.type == EventType.TURN_COMPLETED:
            return attempt
    return None


def _failure_now(error: JidokaError) -> Failure:
    if isinstance(error, TurnFailed):
        return Failure(error.reason or error.code, error.error, error.retry_after)
    return Failure(error.code, str(error))


def _failure_then(event: Event) -> Failure:
    if event.type == EventType.TURN_CANCELLED:
        return CANCELLED
    error = str(event.data.get("error"))
    # Where there is one word for it, that comes first.
    word = error.partition(":")[0]
    return Failure(word if word in FINAL else TurnFailed.code, error)


def is_rejection(event: Event | None) -> bool:
    """Whether a person has said no."""
    return event is not None and event.type == EventType.DECISION_RECORDED and event.data.get("decision") == "reject"


async def within(world: World, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """What *call* answers. Raises TimeoutError when that takes longer."""
    outcome: list[T | Exception] = []
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            try:
                outcome.append(await call())
            except Exception as error:
                outcome.append(error)
            tasks.cancel_scope.cancel()

        tasks.start_soon(ask)
        await world.sleep_until(world.monotonic() + seconds)
        tasks.cancel_scope.cancel()
    if not outcome:
        raise TimeoutError(f"it took longer than {seconds:g} s")
    [answer] = outcome
    if isinstance(answer, Exception):
        raise answer
    return answer
