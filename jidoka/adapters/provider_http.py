"""The HTTP client that a provider's SDK is given: one place, one key, and bounds. Needs the extra `llm`.

What an SDK reads it keeps in memory until a line of the stream is complete, however long that line is; it follows
redirects, unpacks what is compressed, and takes headers from the environment. So all of that is decided here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx2
from pydantic_ai.models import get_user_agent

from jidoka.core.endpoints import ModelLimits

# As in the SDKs' own clients.
_ROOM: Final = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
_CONNECT: Final = 10.0

# To an address that is not the provider's own goes what the protocol needs: the SDKs add what the environment has.
_SENT: Final = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent"}
    | {"anthropic-version", "anthropic-beta"}
)


class Unacceptable(Exception):
    """The provider's answer was given up. `reason` is the turn's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Gate:
    """Looks at each request to *base_url* (None: to wherever the SDK goes), and at each response.

    *credentials* are the only ones that are sent: None leaves them to the SDK, at the provider's own address.
    """

    def __init__(self, base_url: str | None, credentials: dict[str, str] | None, limits: ModelLimits) -> None:
        self._origin = None if base_url is None else _origin(httpx2.URL(base_url))
        self._credentials = credentials
        self._limits = limits

    async def on_request(self, request: httpx2.Request) -> None:
        if self._origin is not None and _origin(request.url) != self._origin:
            raise Unacceptable("redirected")
        if self._credentials is not None:
            for name in [name for name in request.headers if name.lower() not in _SENT]:
                del request.headers[name]
            request.headers.update(self._credentials)

    async def on_response(self, response: httpx2.Response) -> None:
        if response.is_redirect:
            raise Unacceptable("redirected")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # Nobody asked for it, and nobody knows how large it will be.
            raise Unacceptable("garbled")
        is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        if response.is_success and not is_stream:
            raise Unacceptable("garbled")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._limits.chunk, is_stream=response.is_success)


class _Bounded(httpx2.AsyncByteStream):
    """As long as lines come, a stream goes on; a line, or an error, has an end."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int, *, is_stream: bool) -> None:
        self._stream = stream
        self._most = most
        self._is_stream = is_stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for data in self._stream:
            end = max(data.rfind(b"\n"), data.rfind(b"\r")) if self._is_stream else -1
            length = length + len(data) if end < 0 else len(data) - end - 1
            if length > self._most:
                raise Unacceptable("too_large")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


def http_client(base_url: str | None, credentials: dict[str, str] | None, limits: ModelLimits) -> httpx2.AsyncClient:
    """A client for *base_url*. Its own time limits are only a net: those of an answer are kept elsewhere."""
    gate = Gate(base_url, credentials, limits)
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(limits.deadline, connect=min(_CONNECT, limits.deadline)),
        limits=_ROOM,
        headers={"User-Agent": get_user_agent(), "Accept-Encoding": "identity"},
        event_hooks={"request": [gate.on_request], "response": [gate.on_response]},
    )


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    port = url.port if url.port is not None else {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port
