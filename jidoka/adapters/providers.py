"""Builds pydantic-ai's models, each with the key of its own endpoint. Slow to import; needs the extra `llm`."""

from __future__ import annotations

import os
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import OpenAIChatCompatibleProvider, infer_model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from jidoka.adapters.provider_failures import turn_failed
from jidoka.adapters.provider_http import http_client
from jidoka.adapters.redaction import REDACTION

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model
    from pydantic_ai.providers import Provider

    from jidoka.core.endpoints import Endpoint, Kind, ModelLimits

OWN_KINDS: Final[dict[str, Kind]] = {
    "openai": "openai",
    "openai-chat": "openai",
    "openai-responses": "openai-responses",
    "anthropic": "anthropic",
}

_OFFICIAL: Final = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
_PLACEHOLDER: Final = "no-key"
# Without one, nobody can tell an answer that broke off from one that is complete.
_HAS_AN_END: Final = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)


class Connection:
    """One endpoint: its models share connections. Made once, and closed once."""

    def __init__(self, name: str, endpoint: Endpoint | None, limits: ModelLimits) -> None:
        """Raises TurnFailed if there is no key."""
        self.name = name
        self.key = ""
        self._kind = _kind(name, endpoint)
        self._http: httpx2.AsyncClient
        self._provider: Provider[Any] | None = None
        if self._kind is None:
            self._http = http_client(None, None, limits)
            return
        vendor = "anthropic" if self._kind == "anthropic" else "openai"
        key, base_url = _key_and_place(vendor, endpoint)
        is_bound = endpoint is not None and endpoint.base_url is not None
        self._hide(key or "")
        self._http = http_client(base_url, _credentials(vendor, key) if is_bound else None, limits)
        self._provider = _provider(name, vendor, key or _PLACEHOLDER, base_url, self._http)
        # The first one imports more: here and now, in a thread, rather than in the event loop.
        self.model("first")

    def model(self, name: str) -> Model:
        """The model that the provider calls *name*. Raises TurnFailed if its environment is not complete."""
        if self._provider is None:
            return self._inferred(name)
        match self._kind:
            case "anthropic":
                return AnthropicModel(name, provider=self._provider)
            case "openai-responses":
                return OpenAIResponsesModel(name, provider=self._provider)
            case _:
                return OpenAIChatModel(name, provider=self._provider, profile=_HAS_AN_END)

    def _inferred(self, name: str) -> Model:
        """One of the many that pydantic-ai knows. Its key and its address are in the provider's own variables."""
        try:
            return infer_model(f"{self.name}:{name}", self._with_our_client)
        except UserError:
            failure = turn_failed("not_configured", "its environment variables are in pydantic-ai's documentation")
        except ImportError:
            failure = turn_failed("not_installed", f"pip install 'pydantic-ai-slim[{self.name}]'")
        raise failure

    def _with_our_client(self, name: str) -> Provider[Any]:
        kind = infer_provider_class(name)
        is_alike = name in get_args(OpenAIChatCompatibleProvider.__value__)
        if not (is_alike and "http_client" in signature(kind).parameters):
            return kind()
        provider = cast("Any", kind)(http_client=self._http)
        self._hide(str(getattr(provider.client, "api_key", "")))
        return provider

    def _hide(self, key: str) -> None:
        if key != self.key:
            REDACTION.hide(key)
            self.key = key

    async def aclose(self) -> None:
        """Close the connections that are open."""
        REDACTION.forget(self.key)
        await self._http.aclose()


def _kind(name: str, endpoint: Endpoint | None) -> Kind | None:
    if endpoint is None:
        return OWN_KINDS.get(name)
    return endpoint.kind or OWN_KINDS.get(name, "openai")


def _key_and_place(vendor: str, endpoint: Endpoint | None) -> tuple[str | None, str]:
    """A key of the environment goes to the environment's address, one of the settings to the settings' address."""
    key = endpoint.api_key.get_secret_value() if endpoint is not None and endpoint.api_key is not None else None
    if endpoint is not None and endpoint.base_url is not None:
        return key, endpoint.base_url
    variable, base_url = f"{vendor.upper()}_API_KEY", _OFFICIAL[vendor]
    if key is None:
        key = os.environ.get(variable) or None
        base_url = os.environ.get(f"{vendor.upper()}_BASE_URL") or base_url
    if key is None and base_url == _OFFICIAL[vendor]:
        raise turn_failed("no_api_key", f"set {variable}, or its api_key in JIDOKA_LLM_ENDPOINTS")
    return key, base_url


def _credentials(vendor: str, key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    bearer = {"authorization": f"Bearer {key}"}
    # Anthropic's SDK sends a bearer; servers that speak its protocol may know the older header only.
    return {**bearer, "x-api-key": key} if vendor == "anthropic" else bearer


def _provider(name: str, vendor: str, key: str, base_url: str, http: httpx2.AsyncClient) -> Provider[Any]:
    # Retries are ours: an SDK's own would multiply them.
    if vendor == "anthropic":
        return AnthropicProvider(
            anthropic_client=AsyncAnthropic(api_key=key, base_url=base_url, http_client=http, max_retries=0)
        )
    client = AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=0)
    if name in OWN_KINDS:
        return OpenAIProvider(openai_client=client)
    return OpenAICompatibleProvider(name, openai_client=client)
