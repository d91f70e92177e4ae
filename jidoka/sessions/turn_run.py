"""How a turn goes: the model is called, the tools that it asks for are used, until there is an answer.

Nothing is kept here that a crash could lose: each step is the context manager's answer, from what the journal says.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from jidoka.actors.exits import text_of
from jidoka.core import checks
from jidoka.core.chunks import Chunk, LLMConfig, Question, Reply, ToolCall, ToolResult, Usage
from jidoka.core.errors import JidokaError, LineStopped, TurnFailed
from jidoka.core.events import EventType, live_event
from jidoka.core.frozen import FrozenList
from jidoka.core.json_values import RECORD, sound_text
from jidoka.core.messages import Message
from jidoka.core.tools import CallEnd
from jidoka.sessions import requests as ask
from jidoka.sessions.summarising import summary_context
from jidoka.sessions.turn import Said, Turn

if TYPE_CHECKING:
    from jidoka.core.budgets import Allowance
    from jidoka.core.summaries import SummaryPlan
    from jidoka.core.turns import Place
    from jidoka.ports.models import Model
    from jidoka.ports.tools import Tool
    from jidoka.sessions.setup import SessionSetup

MAX_TURNS: Final = 10
"""So often a model is called in one turn, where `max_turns` says nothing else."""

# More summaries than these are not made before one call.
_MOST_SUMMARIES: Final = 20
_NOTHING: Final = Chunk()


class TurnRun:
    """Runs one turn. *tell* asks the context manager, across its crashes."""

    def __init__(self, setup: SessionSetup, turn: Turn, tell: Callable[[Any], Awaitable[Any]]) -> None:
        self._setup = setup
        self._turn = turn
        self._tell = tell
        llm = setup.llm
        if not isinstance(llm, LLMConfig):
            llm = setup.llm = LLMConfig.model_validate(llm)
        self._config = llm
        self._options = llm.options

    async def converse(self) -> Message:
        """The answer. Raises TurnFailed for whatever is the model's fault, and what the context manager raises."""
        house, turn, prompt = self._setup.house, self._turn, self._turn.prompt
        model = house.models.find(self._config.model)
        tools: Mapping[str, Tool] = house.tools.chosen(self._options) if "tools" in self._options else {}
        start = ask.StartTurn(turn.id, prompt.content, self._config.model, prompt.timeout)
        step = await self._until_decided(start)
        turn.has_begun()
        if isinstance(step, Message):
            return step
        while True:
            if step.context is None and not step.calls:
                step = await self._ready(step, model)
            turn.allowance = step.allowance
            said = turn.said = await self._hear(step, model, tools)
            if not said.calls:
                return await self._complete(step, said)
            step = await self._use_tools(step.place, said, tools)

    async def _until_decided(self, request: Any) -> Any:
        """Ask; where the line is stopped, again after a person has decided."""
        while True:
            seen = self._turn.decided.seq
            try:
                return await self._tell(request)
            except LineStopped:
                await self._turn.wait_for_decision(seen)

    async def _ready(self, step: ask.Step, model: Model) -> ask.Step:
        """The step at which the model is called, or calls are made."""
        summaries = 0
        while step.context is None and not step.calls:
            if step.plan is None:
                step = await self._until_decided(ask.NextStep(self._turn.id))
                continue
            summaries += 1
            step = await self._summarise(step.plan, model, is_last=summaries > _MOST_SUMMARIES)
        return step

    async def _summarise(self, plan: SummaryPlan, model: Model, *, is_last: bool) -> ask.Step:
        """Have the older part summarised. A model that cannot do it is not asked again in this step."""
        without = ask.NextStep(self._turn.id, without_summary=True)
        if is_last:
            return await self._until_decided(without)
        try:
            said = await self._hear_summary(plan, model)
            content = checks.content(said.text, field="summary")
        except Exception:
            return await self._until_decided(without)
        return await self._tell(ask.AddSummary(self._turn.id, plan, content, self.usage_of(said)))

    async def _hear_summary(self, plan: SummaryPlan, model: Model) -> Said:
        said = Said()
        chunks = model.respond(summary_context(self._setup.session_id, plan), self._config)
        try:
            async for chunk in chunks:
                said.pieces.append(sound_text(chunk.text, "output"))
                said.usage = chunk.usage or said.usage
        finally:
            await _close(chunks)
        return said

    # --- the model -------------------------------------------------------------------------------------------

    async def _hear(self, step: ask.Step, model: Model, tools: Mapping[str, Tool]) -> Said:
        if step.context is None:
            # Taken up after a halt: the model has said this before.
            return Said(pieces=[step.text], calls=list(step.calls))
        said = self._turn.said = Said(step.estimated)
        if step.allowance.budgets:
            self._check(step.allowance, Usage(input_tokens=round(step.estimated * step.factor)))
        context = step.context
        if tools:
            context = context.model_copy(update={"tools": FrozenList(tool.spec for tool in tools.values())})
        try:
            answering = model.respond(context, self._config)
            chunks = answering.__aiter__()
        except Exception as failure:
            raise self.failed_by(failure) from failure
        try:
            await self._listen(step, said, chunks)
        finally:
            await _close(answering)
        most = self._options.get("max_turns") or MAX_TURNS
        if said.calls and step.place[1] >= most:
            raise self.failure(f"the model was called {most} times, and still wants tools", reason="max_turns")
        return said

    async def _listen(self, step: ask.Step, said: Said, chunks: AsyncIterator[Any]) -> None:
        """Take in all *chunks*. Whatever a model raises, also if it is one of ours, it has failed."""
        reply: Reply | None = None
        while True:
            try:
                chunk = await (anext(chunks) if reply is None else _asking(chunks).asend(reply))
                text, chunk = (chunk, _NOTHING) if isinstance(chunk, str) else (chunk.text, chunk)
                if text:
                    sound_text(text, "output")
            except StopAsyncIteration:
                return
            except Exception as failure:
                raise self.failed_by(failure) from failure
            reply = None
            if text:
                said.pieces.append(text)
                said.characters += len(text)
                self._say(text)
            if chunk.tool_call is not None or chunk.tool_result is not None:
                await self._hear_of_tools(step, said, chunk)
            if chunk.usage is not None:
                said.usage = step.allowance.limits.priced(chunk.usage)
            if step.allowance.budgets:
                self._check(step.allowance, said.used())
            if chunk.question is not None:
                reply = await self._reply_to(chunk.question)

    async def _hear_of_tools(self, step: ask.Step, said: Said, chunk: Chunk) -> None:
        call, result = chunk.tool_call, chunk.tool_result
        try:
            if call is not None:
                sound_text(call.id, "tool_call.id")
                checks.text(call.name, field="tool_call.name")
                checks.json_object(call.arguments, field="tool_call.arguments", limits=RECORD)
            if result is not None:
                sound_text(result.error or text_of_result(result), "tool_result")
        except JidokaError as failure:
            raise self.failed_by(failure) from failure
        if call is not None:
            said.calls.append(call)
            said.characters += len(str(call.arguments))
        if result is not None:
            await self._record(step.place, said, result)

    def _check(self, allowance: Allowance, spent: Usage) -> None:
        """Raises TurnFailed when a budget is spent: at most one chunk too late."""
        excess = allowance.excess(spent)
        if excess is not None:
            raise self.failure(excess, reason="budget_exceeded")

    def _say(self, piece: str) -> None:
        turn, hub, session_id = self._turn, self._setup.house.hub, self._setup.session_id
        if turn.feed is not None:
            turn.feed.push(piece)
        if hub.is_heard(session_id):
            world = self._setup.house.world
            data = {"turn_id": turn.id, "text": piece}
            hub.publish_live(live_event(session_id, EventType.OUTPUT_RECEIVED, data, id=world.new_id(), at=world.now()))

    async def _reply_to(self, question: Question) -> Reply:
        asked = await self._tell(ask.AskPerson(self._turn.id, question))
        decided = await self._turn.wait_for_decision(asked)
        return Reply(approved=decided.is_approved, text=decided.text)

    async def _complete(self, step: ask.Step, said: Said) -> Message:
        text, usage = said.text, self.usage_of(said, step.allowance)
        if not (said.done or step.place[1] > 1):
            try:
                checks.content(text, field="answer")
            except JidokaError as failure:
                raise self.failed_by(failure) from failure
        measured = None
        if said.usage is not None and said.usage.input_tokens:
            measured = {"estimated": step.estimated, "reported": said.usage.input_tokens}
        return await self._until_decided(ask.CompleteTurn(self._turn.id, text, usage, measured))

    @staticmethod
    def usage_of(said: Said, allowance: Allowance | None = None) -> dict[str, Any]:
        """What the journal keeps: what was reported; an estimate where there is a budget and nothing was."""
        if said.usage is not None:
            return said.usage.model_dump(exclude_none=True)
        if allowance is None or not allowance.budgets:
            return {}
        return allowance.limits.priced(said.used()).model_dump(exclude_none=True)

    # --- tools -----------------------------------------------------------------------------------------------

    async def _record(self, place: Place, said: Said, result: ToolResult) -> None:
        """A call that the model has made by itself, and what came of it."""
        call = next((call for call in said.calls if call.id == result.call_id), None)
        if call is None:
            return
        said.calls.remove(call)
        attempt, number, first = place
        begun = await self._until_decided(
            ask.BeginCall(self._turn.id, (attempt, number, first + said.done), (call,), said.text)
        )
        said.done += 1
        end = CallEnd("error", result.error) if result.error is not None else CallEnd("ok", text_of_result(result))
        await self._tell(ask.EndCall(self._turn.id, begun.info.call_id, end))

    async def _use_tools(self, place: Place, said: Said, tools: Mapping[str, Tool]) -> ask.Step:
        """Make the calls of a round, one after the other; the step after them."""
        turn_id, (attempt, number, first) = self._turn.id, place
        # What was said before a halt is accounted for already.
        usage = self.usage_of(said, self._turn.allowance) if said.characters else {}
        for index in range(len(said.calls)):
            calls = tuple(said.calls[index:])
            tool = tools.get(calls[0].name)
            begin = ask.BeginCall(
                turn_id,
                (attempt, number, first + said.done + index),
                calls,
                said.text,
                usage,
                needs_approval=tool is not None and tool.needs_approval,
            )
            begun: ask.Begun = await self._until_decided(begin)
            if not begun.is_over:
                end = await self._use(tool, calls[0], begun, tools)
                await self._tell(ask.EndCall(turn_id, begun.info.call_id, end))
        return await self._until_decided(ask.NextStep(turn_id))

    async def _use(self, tool: Tool | None, call: ToolCall, begun: ask.Begun, tools: Mapping[str, Tool]) -> CallEnd:
        if tool is None:
            known = ", ".join(tools) or "none"
            return CallEnd("error", f"there is no tool {call.name!r:.80}; there are: {known}")
        return await tool.run(call.arguments, begun.info)

    # --- failures --------------------------------------------------------------------------------------------

    def failed_by(self, failure: Exception) -> TurnFailed:
        """What the turn's failure is called, where *failure* was its reason."""
        known = failure if isinstance(failure, TurnFailed) and failure.reason is not None else None
        error = self.failure(text_of(failure) if known is None else known.error)
        if known is not None:
            error.reason, error.retry_after = known.reason, known.retry_after
        error.__cause__ = failure
        return error

    def failure(self, error: str, *, reason: str | None = None) -> TurnFailed:
        """The turn has failed, and *error* says why."""
        text = f"the turn failed: {error}"
        return TurnFailed(text, session_id=self._setup.session_id, turn_id=self._turn.id, error=error, reason=reason)


def text_of_result(result: ToolResult) -> str:
    """What a model's own tool has said, as text."""
    return result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)


def _asking(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, Reply]:
    return cast("AsyncGenerator[Any, Reply]", chunks)


async def _close(chunks: Any) -> None:
    """What a model has begun to say, and does not finish, is closed here rather than by the garbage collector."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
