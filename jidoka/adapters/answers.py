"""One answer of a provider's model: asked for until it begins, then heard to its end. Needs the extra `llm`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio
import stamina
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)

from jidoka.adapters.provider_failures import RETRIED, failure_of, turn_failed
from jidoka.adapters.provider_messages import messages_of, parameters_of, settings_of, wishes_of
from jidoka.adapters.waiting import in_time
from jidoka.core import checks
from jidoka.core.chunks import Chunk, ToolCall, Usage
from jidoka.core.dialogue import dialogue_of, ids_like, ids_of
from jidoka.core.errors import InvalidMessage, TurnFailed
from jidoka.core.frozen import FrozenDict
from jidoka.core.json_values import json_object
from jidoka.core.tools import INVALID_JSON

if TYPE_CHECKING:
    from pydantic_ai.models import StreamedResponse

    from jidoka.adapters.providers import Connection
    from jidoka.adapters.pydantic_ai import Place
    from jidoka.core.breaker import Passage
    from jidoka.core.endpoints import ModelOptions
    from jidoka.core.messages import Context

T = TypeVar("T")

# A connection is closed at once, or left to the system.
_CLOSING: Final = 2.0
_MOST_NAME: Final = 255
_MOST_RAW: Final = 10_000


class Answer:
    """An async context manager, so that the provider's stream is closed however this ends."""

    def __init__(self, connection: Connection, model: str, place: Place, passage: Passage) -> None:
        self._connection = connection
        self._model = model
        self._world = place.world
        self._limits = place.limits
        self._passage = passage
        self._deadline = place.world.monotonic() + place.limits.deadline
        self._open = AsyncExitStack()
        self._stream: StreamedResponse | None = None
        self._length = 0
        self._ids: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._close()

    async def _close(self) -> None:
        opened, self._open, self._stream = self._open, AsyncExitStack(), None
        with anyio.move_on_after(_CLOSING, shield=True):
            try:
                await opened.aclose()
            except Exception:
                # It was given up anyway, and why is known. What the SDK says of it may quote anything.
                return

    async def to(self, context: Context, options: ModelOptions) -> AsyncGenerator[Chunk]:
        """Text as it comes; when all has been said, the tool calls, then what it took. Raises TurnFailed."""
        model = self._connection.model(self._model)
        dialogue = dialogue_of(context)
        self._ids = ids_of(dialogue)
        dialogue.system.extend(wishes_of(options, model))
        ask = partial(
            model_request_stream,
            model,
            messages_of(dialogue),
            model_settings=settings_of(options),
            model_request_parameters=parameters_of(options, model, context.tools),
            instrument=False,
        )
        event = await self._first(ask)
        self._passage.answers()
        said: list[str] = []
        while event is not None:
            chunk = self._chunk_of(event)
            if chunk is not None:
                said.append(chunk.text)
                yield chunk
            event = await self._next()
        assert self._stream is not None
        answer = self._stream.get()
        _check_end(answer)
        # Only now: pieces of several calls may come mixed.
        for call in answer.tool_calls:
            yield Chunk(tool_call=self._tool_call(call))
        if options.output_schema is not None and not (answer.tool_calls or _is_json("".join(said))):
            raise turn_failed("garbled", "JSON was asked for")
        yield Chunk(usage=_usage(answer))

    # --- until it begins ------------------------------------------------------------------------------------

    async def _first(self, ask: Callable[[], Any]) -> ModelResponseStreamEvent | None:
        """The beginning of an answer. What has begun is not asked for again: it would be said twice."""
        retries = stamina.retry_context(
            on=self._is_worth_another_try,
            attempts=1 if self._passage.is_probe else self._limits.attempts,
            timeout=None,
            wait_initial=self._limits.retry_first,
            wait_jitter=self._limits.retry_first,
            wait_max=self._limits.retry_wait,
        )
        async for attempt in retries:
            with attempt:
                await self._close()
                self._stream = await self._guarded(lambda: self._open.enter_async_context(ask()))
                return await self._next()
        raise AssertionError("stamina tries at least once")

    def _is_worth_another_try(self, failure: Exception) -> bool | float:
        if not isinstance(failure, TurnFailed) or failure.reason not in RETRIED:
            return False
        wait = failure.retry_after
        if wait is None:
            return True
        fits = wait <= self._limits.retry_wait and self._world.monotonic() + wait < self._deadline
        return wait if fits else False

    # --- while it comes -------------------------------------------------------------------------------------

    async def _next(self) -> ModelResponseStreamEvent | None:
        assert self._stream is not None
        try:
            return await self._guarded(aiter(self._stream).__anext__)
        except StopAsyncIteration:
            return None

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        """What *call* returns, in time. What it raises is translated, and nothing of it is kept: see failure_of."""
        until = min(self._world.monotonic() + self._limits.silence, self._deadline)
        try:
            return await in_time(self._world, until, call)
        except StopAsyncIteration:
            raise
        except TimeoutError:
            failure = turn_failed("timed_out")
        except TurnFailed as known:
            failure = known
        except Exception as error:
            failure = failure_of(error, has_begun=self._stream is not None, key=self._connection.key)
        # Outside of the handler, so that the provider's error does not come along as its context.
        raise failure

    def _chunk_of(self, event: ModelResponseStreamEvent) -> Chunk | None:
        match event:
            case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                self._count(text)
                return Chunk(text=text) if text else None
            case PartStartEvent(part=ThinkingPart(content=thought)):
                self._count(thought)
            case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=thought)):
                self._count(thought or "")
            case PartStartEvent(part=ToolCallPart(args=str(arguments))):
                self._count(arguments)
            case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=arguments)) if arguments:
                self._count(arguments)
            case _:
                pass
        return None

    def _tool_call(self, call: ToolCallPart) -> ToolCall:
        """Some providers begin with the same id in each answer: here, each call of a conversation has its own."""
        call_id = next(each for each in ids_like(_sound(call.tool_call_id)) if each not in self._ids)
        self._ids.add(call_id)
        return ToolCall(id=call_id, name=_sound(call.tool_name), arguments=_arguments(call))

    def _count(self, piece: str | dict[str, Any]) -> None:
        self._length += len(piece)
        if self._length > self._limits.answer:
            raise turn_failed("too_large", f"more than {self._limits.answer} characters")


def _check_end(response: ModelResponse) -> None:
    """Raises TurnFailed if it is not complete."""
    match response.finish_reason:
        case None:
            raise turn_failed("cut_off")
        case "content_filter":
            raise turn_failed("filtered")
        case "error":
            raise turn_failed("server_error")
        case _:
            pass


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _arguments(call: ToolCallPart) -> FrozenDict:
    """Those that are no JSON object, or none that a journal could hold, are told as a text that no tool takes."""
    try:
        return json_object(call.args_as_dict(raise_if_invalid=True), field="arguments")
    except (ValueError, AssertionError):
        raw = call.args if isinstance(call.args, str) else json.dumps(call.args)
    sound = raw[:_MOST_RAW].replace("\0", "\ufffd").encode(errors="replace").decode()
    return FrozenDict({INVALID_JSON: sound})


def _sound(name: str) -> str:
    try:
        return checks.text(name, field="name", most=_MOST_NAME)
    except InvalidMessage:
        failure = turn_failed("garbled", "a tool without a proper name was called")
    raise failure


def _usage(response: ModelResponse) -> Usage:
    took = response.usage
    return Usage(
        input_tokens=took.input_tokens,
        output_tokens=took.output_tokens,
        cached_tokens=took.cache_read_tokens,
        cost=None if took.cost is None else float(took.cost),
    )
