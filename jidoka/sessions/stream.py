"""A turn as a stream of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.actors.ref import ActorRef
    from jidoka.core.messages import Message
    from jidoka.sessions.feed import Feed


class TurnStream:
    """Iterate for the text; `message` is there when the turn has completed.

    The end of the iteration raises what ended the turn: TurnFailed, TurnCancelled, CallTimeout.
    """

    def __init__(self, turn_id: str, feed: Feed, orchestrator: ActorRef[Any]) -> None:
        self.turn_id = turn_id
        self._feed = feed
        self._orchestrator = orchestrator
        self._is_detached = False

    @property
    def message(self) -> Message | None:
        """The final message; None before the end."""
        return self._feed.answer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece = await self._feed.next()
        if piece is not None:
            return piece
        if self._feed.error is not None:
            raise self._feed.error
        raise StopAsyncIteration

    async def text(self) -> str:
        """All of what is left of it."""
        return "".join([piece async for piece in self])

    def detach(self) -> None:
        """Leave the turn to the session: going away does not cancel it any more."""
        self._is_detached = True

    async def close(self) -> None:
        """Cancel the turn, unless it is over or left to the session, and wait until that is recorded."""
        if not self._feed.is_over and not self._is_detached:
            if self._orchestrator.is_alive():
                self._orchestrator.tell(ask.CancelTurn(self._feed))
            await self._feed.wait_over()
