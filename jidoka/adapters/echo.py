"""The model that needs no network: it says what it was told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import anyio.lowlevel

from jidoka.core.chunks import Chunk, LLMConfig, Usage
from jidoka.core.messages import Context
from jidoka.core.tokens import estimated_tokens

# A word and the space after it; or the space at the beginning.
_WORD = re.compile(r"\S+\s*|\s+")
# However long the text is, it comes in no more pieces.
_MOST_PIECES = 256


class EchoModel:
    """Streams the last user message back, word by word, and then what it took."""

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        """Every character of the message, in order. Nothing but usage when there is none."""
        text = next((said.content for said in reversed(context.conversation) if said.role == "user"), "")
        for piece in pieces(text):
            yield Chunk(text=piece)
            await anyio.lowlevel.checkpoint()
        heard = context.metadata.get("estimated_tokens")
        if heard is None:
            heard = sum(estimated_tokens(said.content) for said in context.conversation)
        yield Chunk(usage=Usage(input_tokens=heard, output_tokens=len(text) and estimated_tokens(text)))


def pieces(text: str) -> Iterator[str]:
    """*text* in words, or in groups of words if there are many."""
    words = _WORD.findall(text)
    size = -(-len(words) // _MOST_PIECES)
    for start in range(0, len(words), size or 1):
        yield "".join(words[start : start + size])
