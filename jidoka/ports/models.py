"""Language models, as a session's orchestrator sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.messages import Context


class Model(Protocol):
    """Answers a conversation, piece by piece."""

    def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        """The answer to the last message of `context.conversation`.

        An async generator will do. When the turn is cancelled it is cancelled where it waits, and closed.
        """
        ...
