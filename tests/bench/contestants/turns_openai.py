"""A turn of the OpenAI Agents SDK: `Runner.run` with a model of one's own and its SQLiteSession.

https://openai.github.io/openai-agents-python/running_agents/: the runner reads the session, calls the model, and adds
the question and the answer to the session. Traces are off: they would be sent somewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from agents import Agent, Model, ModelResponse, RunConfig, Runner, SessionSettings, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from tests.bench.contestants.durable_openai import Threaded
from tests.bench.durable.backend import WINDOW, Message


class Echo(Model):
    """Says what it was told last."""

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        text = input if isinstance(input, str) else cast("Any", input[-1])["content"]
        part = ResponseOutputText(type="output_text", text=text, annotations=[])
        said = ResponseOutputMessage(id="message", type="message", role="assistant", status="completed", content=[part])
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


class Runs(Threaded):
    """The model is shown the newest messages."""

    async def open(self) -> None:
        await super().open()
        self._agent = Agent(name="echo", model=Echo())
        self._options = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=WINDOW))

    async def turn(self, session: Any, pair: Sequence[Message]) -> None:
        await Runner.run(self._agent, pair[0][1], session=session, run_config=self._options)
