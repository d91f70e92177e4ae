"""Providers' models, through pydantic-ai: what it streams becomes chunks, what goes wrong becomes TurnFailed.

Needs the extra `llm`, and asyncio: the providers' SDKs know no other loop. pydantic-ai itself is imported, in a
thread, when the first turn asks for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from pydantic import ValidationError

from jidoka.core.breaker import CircuitBreaker, CircuitOpen
from jidoka.core.endpoints import Endpoint, ModelLimits, model_options
from jidoka.core.errors import InvalidMessage, ModelNotFound, TurnFailed
from jidoka.ports.world import SystemWorld

if TYPE_CHECKING:
    from jidoka.adapters.providers import Connection
    from jidoka.core.chunks import Chunk, LLMConfig
    from jidoka.core.messages import Context
    from jidoka.ports.world import World

INSTALL: Final = "pip install 'jidoka[llm]'"


def check_surroundings(model: str) -> None:
    """Raises ModelNotFound if providers' models cannot run here, saying what to do."""
    if find_spec("pydantic_ai") is None or find_spec("stamina") is None:
        raise ModelNotFound(model, hint=f"providers' models need the extra llm: {INSTALL}")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        hint = "providers' models run on asyncio only, and this is another event loop (trio?)"
    else:
        return
    raise ModelNotFound(model, hint=hint)


class Place:
    """A provider as this process sees it: one circuit breaker, one set of connections, opened when needed."""

    def __init__(self, name: str, endpoint: Endpoint | None, *, limits: ModelLimits, world: World) -> None:
        self.name = name
        self.limits = limits
        self.world = world
        self.breaker = CircuitBreaker(failures=limits.failures, pause=limits.pause, clock=world.monotonic)
        self._endpoint = endpoint
        self._connection: Connection | None = None
        self._opening = anyio.Lock()
        self._connecting = threading.Lock()

    def __repr__(self) -> str:
        where = f" at {self._endpoint.base_url}" if self._endpoint is not None and self._endpoint.base_url else ""
        return f"<Place {self.name}{where}: {self.breaker!r}>"

    async def connection(self) -> Connection:
        """Raises TurnFailed: no_api_key."""
        async with self._opening:
            if self._connection is not None:
                return self._connection
            # The import takes seconds, and reading certificates takes its time as well. Nobody has to wait for that
            # who does not want to any more.
            return await anyio.to_thread.run_sync(self._connect, abandon_on_cancel=True)

    def _connect(self) -> Connection:
        from jidoka.adapters.providers import Connection

        # It is needed next, and takes a while as well.
        import_module("jidoka.adapters.answers")
        # One that was abandoned may be at it yet.
        with self._connecting:
            if self._connection is None:
                self._connection = Connection(self.name, self._endpoint, self.limits)
            return self._connection

    async def aclose(self) -> None:
        """Close the connections. The next turn opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()


class PydanticAIModel:
    """The model *name*, `provider:model` as pydantic-ai has it.

    In `Client(models={…})` it has an address and a key of its own: `PydanticAIModel("openai:gpt-5-mini",
    base_url="https://…", api_key="…")`. The client closes its connections when it is closed.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        limits: ModelLimits | None = None,
        world: World | None = None,
        place: Place | None = None,
    ) -> None:
        provider, _, self._model = name.partition(":")
        if not (provider and self._model):
            raise ModelNotFound(name, hint="a provider's model is called provider:model")
        if place is None:
            has_own = base_url is not None or api_key is not None
            endpoint = _endpoint(base_url, api_key) if has_own else None
            place = Place(provider, endpoint, limits=limits or ModelLimits(), world=world or SystemWorld())
        self.name = name
        self.place = place

    def __repr__(self) -> str:
        return f"<PydanticAIModel {self.name}: {self.place!r}>"

    async def aclose(self) -> None:
        """Close its connections."""
        await self.place.aclose()

    async def respond(self, context: Context, config: LLMConfig) -> AsyncGenerator[Chunk]:
        """Raises TurnFailed with a `reason`. Cancelled, or left early, it closes the provider's stream."""
        check_surroundings(self.name)
        options = model_options({"model": config.model, **config.options})
        connection = await self.place.connection()
        from jidoka.adapters.answers import Answer
        from jidoka.adapters.provider_failures import BLAMED, turn_failed

        try:
            passage = self.place.breaker.admit()
        except CircuitOpen as is_open:
            detail = "" if is_open.retry_after is None else f"try again in {is_open.retry_after:.3g} s"
            raise turn_failed("circuit_open", detail, retry_after=is_open.retry_after) from is_open
        is_well: bool | None = None
        try:
            async with (
                Answer(connection, self._model, self.place, passage) as answer,
                aclosing(answer.to(context, options)) as chunks,
            ):
                async for chunk in chunks:
                    yield chunk
            is_well = True
        except TurnFailed as failure:
            is_well = failure.reason not in BLAMED
            raise
        finally:
            passage.settle(is_well)


def _endpoint(base_url: str | None, api_key: str | None) -> Endpoint:
    try:
        # As a dict: pydantic makes a secret of the key.
        return Endpoint.model_validate({"base_url": base_url, "api_key": api_key})
    except ValidationError as error:
        names = ", ".join(sorted({str(part["loc"][0]) for part in error.errors(include_input=False)}))
    raise InvalidMessage(f"this cannot be the {names} of a provider", field=names)
