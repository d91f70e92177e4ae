"""An agent made with the official package of the Agent Client Protocol. What it is asked says how it behaves."""

import asyncio
from typing import Any

from acp import (
    Agent,
    InitializeResponse,
    NewSessionResponse,
    PromptResponse,
    run_agent,
    start_tool_call,
    update_agent_message_text,
    update_tool_call,
)
from acp.schema import PermissionOption, ToolCallUpdate


class Stub(Agent):
    _conn: Any

    def __init__(self) -> None:
        self._cancelled = asyncio.Event()

    def on_connect(self, conn: Any) -> None:
        self._conn = conn

    async def initialize(self, protocol_version: int, **kwargs: Any) -> InitializeResponse:
        return InitializeResponse(protocol_version=protocol_version)

    async def new_session(self, cwd: str, **kwargs: Any) -> NewSessionResponse:
        return NewSessionResponse(session_id=f"stub:{cwd}")

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        self._cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **kwargs: Any) -> PromptResponse:
        self._cancelled = asyncio.Event()
        texts = [block.text for block in prompt]

        async def say(text: str) -> None:
            await self._conn.session_update(session_id=session_id, update=update_agent_message_text(text))

        match texts[-1].split():
            case ["many", number]:
                for one in range(int(number)):
                    await say(f"{one} ")
            case ["hang"]:
                await say("half ")
                await self._cancelled.wait()
                await say("too late")
                return PromptResponse(stop_reason="cancelled")
            case ["tool"]:
                await self._conn.session_update(
                    session_id, start_tool_call("t1", "Reading it", kind="read", status="pending")
                )
                await self._conn.session_update(
                    session_id, update_tool_call("t1", status="in_progress", raw_input={"path": "/a"})
                )
                await self._conn.session_update(
                    session_id, update_tool_call("t1", status="completed", raw_output="abc")
                )
                await self._conn.session_update(session_id, start_tool_call("t2", "Never done", status="in_progress"))
                await say("read it")
            case ["permit"]:
                answer = await self._conn.request_permission(
                    session_id=session_id,
                    tool_call=ToolCallUpdate(
                        tool_call_id="t9", title="Delete it", kind="delete", raw_input={"path": "/"}
                    ),
                    options=[
                        PermissionOption(option_id="always", name="Always", kind="allow_always"),
                        PermissionOption(option_id="yes", name="Allow", kind="allow_once"),
                        PermissionOption(option_id="no", name="Reject", kind="reject_once"),
                    ],
                )
                outcome = answer.outcome
                await say(f"{outcome.outcome} {getattr(outcome, 'option_id', '')}")
            case ["files"]:
                try:
                    await self._conn.read_text_file(session_id=session_id, path="/etc/passwd")
                except Exception as error:
                    await say(f"refused: {error}")
            case ["refuse"]:
                return PromptResponse(stop_reason="refusal")
            case ["fail"]:
                raise RuntimeError("something of mine")
            case _:
                await say(f"[{texts[-1]}]")
        return PromptResponse(stop_reason="end_turn")


asyncio.run(run_agent(Stub()))
