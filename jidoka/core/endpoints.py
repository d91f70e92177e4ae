"""Where providers' models are reached, how long and how much they may say, and what a session may ask of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictStr, ValidationError, field_validator

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import JsonObject
from jidoka.core.records import Record

Kind = Literal["openai", "openai-responses", "anthropic"]

ENDPOINT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")

KEYS: Final = frozenset({"api_key", "apikey", "auth_token", "authorization", "password", "secret"})
"""No session's `llm_config` has these: it is stored, exported and shown. Keys belong to the server's settings."""


OF_OTHERS: Final = frozenset({"budget", "context", "max_turns", "rules", "tools"})
"""What else is in a `llm_config`: none of a model's business, and checked where it belongs."""


class Endpoint(BaseModel):
    """A provider's address, and the key that is sent there and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Kind | None = None
    """The protocol it speaks. None: the one of its name, or OpenAI's chat completions, as most do."""
    base_url: str | None = None
    """None: the provider's own."""
    api_key: SecretStr | None = None
    """None: no key is sent. Only where there is no `base_url` either, the provider's environment variable counts."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return value if value is None else checked_base_url(value)


def checked_base_url(value: str) -> str:
    """*value*, if it is a place and nothing else: what is in it would be logged. Raises ValueError."""
    try:
        parts = urlsplit(value)
        is_sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_sound = False
        parts = urlsplit("")
    if not is_sound:
        raise ValueError("a base_url begins with http:// or https:// and a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("a base_url has no user, password, query or fragment: a key goes into api_key")
    return value


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """How much patience a provider's model meets with. Durations are seconds."""

    attempts: int = 3
    """Requests for one answer, until its first piece is there."""
    retry_first: float = 1.0
    """About how long to wait before the second; then twice as long each time …"""
    retry_wait: float = 30.0
    """… and at most so long. A provider that asks for more is not waited for."""
    silence: float = 120.0
    """How long it may say nothing."""
    deadline: float = 600.0
    """How long an answer may take in all."""
    answer: int = 1_000_000
    """Characters of an answer: text, thoughts and arguments of tools together."""
    chunk: int = 4_000_000
    """Bytes that may come in one piece, or as an error."""
    failures: int = 3
    """Answers that fail in a row before the endpoint is left alone …"""
    pause: float = 60.0
    """… for so long."""


class ModelOptions(Record):
    """What a session's `llm_config` may ask of a provider's model. Anything else is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: StrictStr
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    seed: int | None = None
    stop: list[Annotated[str, Field(min_length=1, max_length=255)]] | None = Field(default=None, max_length=16)
    output_schema: JsonObject | None = None
    """A JSON schema of an object: the answer is JSON that keeps to it, as far as the provider sees to that."""


def model_options(llm_config: Mapping[str, Any]) -> ModelOptions:
    """What *llm_config* asks for. Raises InvalidMessage, which names the option and never what it was."""
    try:
        return ModelOptions.model_validate({name: llm_config[name] for name in llm_config.keys() - OF_OTHERS})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        known = ", ".join(ModelOptions.model_fields)
        why = f"there are: {known}" if first["type"] == "extra_forbidden" else first["msg"]
    # Outside of the handler: what pydantic says of bad input may quote it, and would stay in the context.
    raise InvalidMessage(f"llm_config has a bad option {name!r:.80}: {why}", field="llm_config")


def refuse_keys(llm_config: Mapping[str, Any]) -> None:
    """Raises InvalidMessage for a key in *llm_config*."""
    for name in llm_config:
        if name.lower().replace("-", "_") in KEYS:
            text = f"llm_config is stored and shown, so that {name!r} has no place in it: set it for the server"
            raise InvalidMessage(text, field="llm_config")
