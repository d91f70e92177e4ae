"""A link to an agent that speaks the Agent Client Protocol: JSON-RPC in lines on its standard input and output.

We are the client, of which an agent needs six methods. The official package speaks them on asyncio only, hears
notifications in no order, and without a bound (decision 0027); the tests drive this against that package's agent side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

from jidoka.adapters.agent_link import Answer
from jidoka.adapters.agent_speech import LineLink
from jidoka.core import acp
from jidoka.core.agent_lines import line_of
from jidoka.core.agents import AgentLimits, agent_failed
from jidoka.core.chunks import Chunk

if TYPE_CHECKING:
    from jidoka.adapters.agent_process import ChildProcess
    from jidoka.core.messages import Context
    from jidoka.ports.world import World

_REFUSED: Final = frozenset({"refusal", "cancelled"})


class AcpLink(LineLink):
    """One connection, with one session of the agent's on it."""

    def __init__(self, process: ChildProcess, limits: AgentLimits, world: World, *, cwd: str | None) -> None:
        super().__init__(process, limits, world)
        self._cwd = cwd or os.getcwd()
        self._numbers = count(1)
        self._session_id = ""
        # The prompt that has no answer yet, and the question that is with a person.
        self._prompt: int | None = None
        self._question: Any = None

    # --- before the first question ---------------------------------------------------------------------------

    async def greet(self) -> None:
        """Agree on a version, and open a session."""
        await self.in_time(self.limits.start, self._greet, why="agent_not_started")
        await super().greet()

    async def _greet(self) -> None:
        agreed = await self._call("initialize", acp.INITIALIZE)
        if agreed.get("protocolVersion") != acp.VERSION:
            raise agent_failed("agent_not_started", f"it does not speak version {acp.VERSION} of the protocol")
        opened = await self._call("session/new", {"cwd": self._cwd, "mcpServers": []})
        session_id = opened.get("sessionId")
        if not isinstance(session_id, str):
            raise agent_failed("agent_garbled", "a session without an id")
        self._session_id = session_id

    async def _call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = self._send_request(method, params)
        while True:
            said = await self.next_object()
            if _is_answer(said, number):
                return self._result_of(said)
            self._refuse(said)

    # --- a turn ----------------------------------------------------------------------------------------------

    async def answer(self, context: Context) -> Answer:
        """Raises TurnFailed."""
        self.begin_to_count()
        calls = acp.ToolCalls()
        content = acp.text_blocks(self.hearing.news(context))
        number = self._prompt = self._send_request("session/prompt", {"sessionId": self._session_id, "prompt": content})
        while not _is_answer(said := await self.in_time(self.limits.silence, self.next_object), number):
            if said.get("method") == "session/request_permission":
                params = _params(said)
                for chunk in calls.updated({**_object(params.get("toolCall")), "status": None}):
                    yield chunk
                self._question = said.get("id")
                call = calls.asked(_object(params.get("toolCall")).get("toolCallId"))
                reply = yield Chunk(question=acp.question_of(call, params.get("options")))
                self._reply(acp.outcome_of(reply, params.get("options")))
                continue
            for chunk in self._news(said, calls):
                yield chunk
        self._prompt = None
        for chunk in self._end(self._result_of(said), calls):
            yield chunk

    def _news(self, said: Mapping[str, Any], calls: acp.ToolCalls) -> Iterator[Chunk]:
        params = _params(said)
        if said.get("method") != "session/update" or params.get("sessionId") != self._session_id:
            self._refuse(said)
            return
        update = _object(params.get("update"))
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                text = acp.text_of(update.get("content"))
                self.count(text)
                if text:
                    yield Chunk(text=text)
            case "tool_call" | "tool_call_update":
                yield from calls.updated(update)
            case _:
                return

    def _end(self, result: Mapping[str, Any], calls: acp.ToolCalls) -> Iterator[Chunk]:
        yield from calls.closed()
        reason = result.get("stopReason")
        if reason in _REFUSED:
            raise agent_failed("agent_refused", str(reason))
        usage = acp.usage_of(result)
        if usage is not None:
            yield Chunk(usage=usage)

    # --- calling it off --------------------------------------------------------------------------------------

    async def _stop_answering(self) -> None:
        number = self._prompt
        if number is None:
            return
        self._send({"method": "session/cancel", "params": {"sessionId": self._session_id}})
        self._reply(acp.CANCELLED)
        while not _is_answer(said := await self.next_object(), number):
            if said.get("method") == "session/request_permission":
                self._question = said.get("id")
                self._reply(acp.CANCELLED)
            else:
                self._refuse(said)
        self._prompt = None

    # --- messages --------------------------------------------------------------------------------------------

    def _send(self, message: Mapping[str, Any]) -> None:
        self.process.send(line_of({"jsonrpc": "2.0", **message}))

    def _send_request(self, method: str, params: Mapping[str, Any]) -> int:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": params})
        return number

    def _reply(self, outcome: Mapping[str, Any]) -> None:
        question, self._question = self._question, None
        if question is not None:
            self._send({"id": question, "result": outcome})

    def _refuse(self, said: Mapping[str, Any]) -> None:
        """A request that we said we cannot do: no files, no terminals. Notifications want no answer."""
        if "id" in said and isinstance(said.get("method"), str):
            error = {"code": acp.METHOD_NOT_FOUND, "message": "method not found"}
            self._send({"id": said["id"], "error": error})

    def _result_of(self, said: Mapping[str, Any]) -> dict[str, Any]:
        error = said.get("error")
        if error is not None:
            self._prompt = None
            facts = _object(error)
            text = self.process.fit_to_print(str(facts.get("message", "")))
            raise agent_failed("agent_failed", f"error {facts.get('code')}: {text}")
        return _object(said.get("result"))


def _is_answer(said: Mapping[str, Any], number: int) -> bool:
    return said.get("id") == number and "method" not in said


def _params(said: Mapping[str, Any]) -> dict[str, Any]:
    return _object(said.get("params"))


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
