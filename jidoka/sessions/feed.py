"""The text of one turn on its way to whoever streams it, and how the turn ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from jidoka.core.messages import Message


class Feed:
    """Pieces of text, in order, then the end. One reader. It holds no more than the turn's answer."""

    __slots__ = ("_event", "_pieces", "answer", "error", "is_over")

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._event: anyio.Event | None = None
        self.is_over = False
        self.answer: Message | None = None
        self.error: Exception | None = None

    def push(self, piece: str) -> None:
        """One more piece."""
        self._pieces.append(piece)
        self._wake()

    def end(self, answer: Message | None, error: Exception | None) -> None:
        """The turn has ended. Only the first word counts."""
        if not self.is_over:
            self.is_over, self.answer, self.error = True, answer, error
            self._wake()

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    async def _changed(self) -> None:
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()

    async def next(self) -> str | None:
        """The next piece, when there is one; None after the last."""
        while not self._pieces:
            if self.is_over:
                return None
            await self._changed()
        return self._pieces.popleft()

    async def wait_over(self) -> None:
        """Wait for the end."""
        while not self.is_over:
            await self._changed()
