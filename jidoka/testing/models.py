"""A model that says what a test tells it to, when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable

import anyio

from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.messages import Context

Step = str | Chunk | BaseException | anyio.Event


class ScriptedModel:
    """Each turn takes one script: pieces to say, errors to raise, events to wait for. The last script is repeated.

    `seen` keeps what each turn was shown; `started` is set when a turn has begun to wait for an event.
    """

    def __init__(self, *scripts: Iterable[Step]) -> None:
        self._scripts: deque[list[Step]] = deque(list(script) for script in scripts)
        self.seen: list[Context] = []
        self.started = anyio.Event()

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        self.seen.append(context)
        script = self._scripts[0] if len(self._scripts) == 1 else self._scripts.popleft()
        for step in script:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, anyio.Event):
                self.started.set()
                await step.wait()
            else:
                yield Chunk(text=step) if isinstance(step, str) else step
