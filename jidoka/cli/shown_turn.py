"""One turn in a chat: what it says as it comes, what stops it, and what the person wants of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from jidoka.cli.halts import TURN_ENDS, Halt
from jidoka.core.errors import JidokaError, TurnCancelled, TurnFailed
from jidoka.core.events import EventType

if TYPE_CHECKING:
    from jidoka.cli.conversation import Conversation
    from jidoka.core.events import Event
    from jidoka.hub.subscription import Subscription
    from jidoka.sessions.stream import TurnStream

_SEEN: Final = (EventType.SESSION_HALTED, EventType.DECISION_RECORDED, EventType.TOOL_CALL, EventType.TOOL_RESULT)
_SEEN_OF_OTHERS: Final = (*_SEEN, EventType.OUTPUT_RECEIVED, EventType.SESSION_FAILED, *TURN_ENDS)


class ShownTurn:
    """A turn that is watched until it ends or the person leaves.

    What a turn that somebody else has begun says comes as events; ours is streamed, which loses nothing.
    """

    def __init__(self, chat: Conversation) -> None:
        self._chat = chat
        self._interrupted = anyio.Event()
        self._changed = anyio.Event()
        self._error: JidokaError | None = None

    def interrupt(self) -> bool:
        """Have the turn cancelled. False when that was asked for before."""
        if self._interrupted.is_set():
            return False
        self._interrupted.set()
        return True

    async def run(self, content: str) -> None:
        """A turn of ours. Raises JidokaError when it cannot begin, or does not end well."""
        session = self._chat.session
        async with session.subscribe(types=_SEEN) as events, session.stream(content) as stream:
            try:
                await self._beside(partial(self._hear, stream), partial(self._watch, events))
            finally:
                if self._chat.halt is not None and not self._interrupted.is_set():
                    # Whoever leaves now has decided nothing: the turn waits for the next who comes.
                    stream.detach()
        if self._error is not None:
            raise self._error

    async def follow(self, turn_id: str, after: int) -> None:
        """A turn of somebody else, from entry *after* on to its end; of its output, what comes from now on."""
        async with self._chat.session.subscribe(after=after, types=_SEEN_OF_OTHERS) as events:
            await self._beside(partial(self._watch, events, turn_id))

    async def _beside(
        self, work: Callable[[], Coroutine[Any, Any, None]], *others: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for other in others:
                tasks.start_soon(other)
            tasks.start_soon(self._cancel, tasks.cancel_scope)
            tasks.start_soon(self._listen, tasks.cancel_scope)
            await work()
            tasks.cancel_scope.cancel()

    async def _hear(self, stream: TurnStream) -> None:
        try:
            async for piece in stream:
                self._chat.voice.piece(piece)
        except JidokaError as error:
            self._error = error
        else:
            self._chat.voice.answered(stream.message)

    async def _cancel(self, all_of_it: anyio.CancelScope) -> None:
        await self._interrupted.wait()
        try:
            if await self._chat.session.cancel_turn():
                return
        except JidokaError as error:
            self._chat.voice.fail(error)
        # It has ended by now, or nobody works on it, or nobody can say.
        all_of_it.cancel()

    # --- what happens to it ----------------------------------------------------------------------------------

    async def _watch(self, events: Subscription, turn_id: str | None = None) -> None:
        heard: list[str] = []
        try:
            async for event in events:
                if event.type == EventType.OUTPUT_RECEIVED:
                    heard.append(str(event.data.get("text", "")))
                    self._chat.voice.piece(heard[-1])
                elif event.type in TURN_ENDS and event.data.get("turn_id") == turn_id:
                    return await self._ended(event, "".join(heard))
                elif event.type == EventType.SESSION_FAILED:
                    # The chat says so, before it asks for the next line.
                    return None
                else:
                    self._see(event)
        except JidokaError as error:
            self._chat.voice.fail(error)

    def _see(self, event: Event) -> None:
        chat = self._chat
        match event.type:
            case EventType.SESSION_HALTED:
                chat.stop(Halt.of(event.data))
                self._ask()
            case EventType.DECISION_RECORDED:
                chat.halt = None
            case EventType.TOOL_CALL:
                chat.voice.call(event.data)
            case EventType.TOOL_RESULT:
                chat.voice.result(event.data)
            case _:
                pass
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _ended(self, event: Event, heard: str) -> None:
        chat = self._chat
        match event.type:
            case EventType.TURN_COMPLETED:
                seq = int(event.data["message_seq"])
                said = await chat.session.get_history(after=seq - 1)
                answer = next(message for message in said if message.seq == seq)
                # Its beginning may have been said before anybody listened.
                chat.voice.answered(answer, is_heard=heard.endswith(answer.content))
            case EventType.TURN_CANCELLED:
                self._error = TurnCancelled()
            case _:
                self._error = TurnFailed(f"the turn failed: {event.data.get('error', '')}")
        if self._error is not None:
            chat.fail(self._error)

    # --- what the person says meanwhile ----------------------------------------------------------------------

    async def _listen(self, all_of_it: anyio.CancelScope) -> None:
        chat = self._chat
        while not chat.is_over:
            if not chat.lines.is_terminal:
                # The next line of a script is for later, unless something is asked.
                await self._until(lambda: chat.halt is not None)
            line = await chat.next_line()
            if line is None:
                # Nobody is there any more who could decide.
                await self._until(lambda: chat.halt is not None)
                chat.leave()
            elif chat.halt is None:
                await chat.hear_meanwhile(line)
            else:
                await self._decide(line)
        all_of_it.cancel()

    async def _decide(self, line: str) -> None:
        halt = self._chat.halt
        if await self._chat.hear(line):
            # The next halt may be there before the answer is; what has happened comes in one order.
            await self._until(lambda: self._chat.halt is not halt)
        elif not self._chat.is_over:
            self._ask()

    def _ask(self) -> None:
        self._chat.voice.prompt("decide")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()
