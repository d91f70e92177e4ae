"""A turn of google-adk: its `Runner` with an agent that has a model of one's own, and DatabaseSessionService.

https://google.github.io/adk-docs/runtime/: the runner loads the session, appends the question, lets the agent call the
model with what was loaded, and appends each event that the agent yields.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai.types import Content, Part

from tests.bench.contestants.durable_adk import APP, USER, Database
from tests.bench.durable.backend import WINDOW, Message


class Echo(BaseLlm):
    """Says what it was told last."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        text = llm_request.contents[-1].parts[0].text
        yield LlmResponse(content=Content(role="model", parts=[Part(text=text)]))


class Runs(Database):
    """The model is shown the newest messages."""

    async def open(self) -> None:
        await super().open()
        agent = LlmAgent(name="agent", model=Echo(model="echo"))
        self._runner = Runner(app_name=APP, agent=agent, session_service=self.service)
        self._options = RunConfig(get_session_config=GetSessionConfig(num_recent_events=WINDOW))

    async def turn(self, session: Any, pair: Sequence[Message]) -> None:
        question = Content(role="user", parts=[Part(text=pair[0][1])])
        async for _ in self._runner.run_async(
            user_id=USER, session_id=session.id, new_message=question, run_config=self._options
        ):
            pass
