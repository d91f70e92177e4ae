"""Language models, as a session's orchestrator sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.messages import Context


class Model(Protocol):
    """Answers a conversation, piece by piece."""

    def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        """The answer to the last message of `context.conversation`.

        An async generator will do. When the turn is cancelled it is cancelled where it waits, and closed.
        """
        ...


class Models(Protocol):
    """The models that a house has, by name."""

    def find(self, name: str) -> Model:
        """The model that goes by *name*. Raises ModelNotFound: with the nearest names, or with what to do."""
        ...

    def check(self, llm_config: Mapping[str, Any]) -> None:
        """Raises ModelNotFound, or InvalidMessage for options that its model does not have."""
        ...
