"""What a process is told by its environment: `JIDOKA_…`. Slow to import, so it is imported when it is asked for."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, Final

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from jidoka.core import checks
from jidoka.core.agents import AgentCommand, AgentLimits
from jidoka.core.config import FailedQuestion, Interrupted, SessionConfig, Strategy, WhenBusy
from jidoka.core.document_parts import id_or_none
from jidoka.core.endpoints import ENDPOINT_NAME, Endpoint, ModelLimits
from jidoka.core.tools import ToolLimits
from jidoka.core.workspaces import is_within

_PATIENCE = AgentLimits()
_DEFAULTS = SessionConfig()
_LIMITS = ModelLimits()
_TOOLS = ToolLimits()

SEED_001: Final = ("max_context_tokens", "context_prune_threshold", "session_id", "enable_long_context")
"""The settings of seed 001. They are read from its names as well: the same without `JIDOKA_`."""


class Settings(BaseSettings):
    """One jidoka. Each is read from `JIDOKA_` and its name in capitals, unless it is given.

    Those of seed 001 are read from its own names where nothing of ours is said: `MAX_CONTEXT_TOKENS` and so on.
    """

    # Bad input is not quoted: it may be a key.
    model_config = SettingsConfigDict(env_prefix="JIDOKA_", frozen=True, extra="forbid", hide_input_in_errors=True)

    max_sessions: int = Field(default=100_000, ge=1)
    """Running ones. Suspended and ended sessions do not count."""
    call_timeout: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    mailbox: int = Field(default=10_000, ge=1)
    """Messages of clients that may wait for one session."""
    max_context_tokens: int = Field(default=120_000, ge=1)
    context_prune_threshold: float = Field(default=0.8, gt=0, le=1, allow_inf_nan=False)
    """The part of `max_context_tokens` above which a context is due for pruning."""
    session_id: str | None = None
    """The session that a program talks to when it names none. A `Client` does not look at it."""
    enable_long_context: bool = False
    """Whether a program that could do without wants a session that goes on. A `Client` does not look at it."""
    file_cache_items: int = Field(default=100, ge=0)
    """Files whose contents one session may keep in memory …"""
    file_cache_bytes: int = Field(default=10_000_000, ge=0)
    """… and how large they may be in all."""
    workspaces: tuple[str, ...] = ()
    """The directories that may be a session's workspace, and those below them. In the environment: JSON. None: none."""
    workspace_file_bytes: int = Field(default=2_000_000, ge=1, le=checks.MAX_CONTENT)
    """The largest file that a session may read."""
    max_watched: int = Field(default=64, ge=0, le=10_000)
    """So many sessions' workspaces are watched at a time, by two threads each. Others are looked at now and then."""
    housekeeping_every: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds between looks for sessions that were left behind, or have had their time."""
    stale_grace: float = Field(default=60.0, ge=0, le=86_400)
    """So much longer than `suspend_after` nobody may have used a session before others suspend it."""

    agents: dict[str, AgentCommand] = Field(default_factory=dict)
    """The commands that sessions may have as `acp:NAME` or `exec:NAME`. In the environment: JSON."""
    allow_agent_commands: bool = False
    """Whether a session may name any command: whoever may create one then runs what he likes, as we do."""
    # What these mean is said at AgentLimits.
    agent_start: float = Field(default=_PATIENCE.start, gt=0, allow_inf_nan=False)
    agent_silence: float = Field(default=_PATIENCE.silence, gt=0, allow_inf_nan=False)
    agent_grace: float = Field(default=_PATIENCE.grace, ge=0, allow_inf_nan=False)
    agent_line: int = Field(default=_PATIENCE.line, ge=1, le=100_000_000)
    agent_answer: int = Field(default=_PATIENCE.answer, ge=1, le=checks.MAX_CONTENT)
    agent_tail: int = Field(default=_PATIENCE.tail, ge=0, le=100_000)

    llm_endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    """Providers' addresses and keys, by the name that models have before the colon. In the environment: JSON."""
    # What these mean is said at ModelLimits.
    llm_attempts: int = Field(default=_LIMITS.attempts, ge=1, le=100)
    llm_retry_first: float = Field(default=_LIMITS.retry_first, ge=0, allow_inf_nan=False)
    llm_retry_wait: float = Field(default=_LIMITS.retry_wait, ge=0, allow_inf_nan=False)
    llm_silence: float = Field(default=_LIMITS.silence, gt=0, allow_inf_nan=False)
    llm_deadline: float = Field(default=_LIMITS.deadline, gt=0, allow_inf_nan=False)
    llm_answer: int = Field(default=_LIMITS.answer, ge=1, le=checks.MAX_CONTENT)
    llm_chunk: int = Field(default=_LIMITS.chunk, ge=1)
    llm_failures: int = Field(default=_LIMITS.failures, ge=1)
    llm_pause: float = Field(default=_LIMITS.pause, ge=0, allow_inf_nan=False)

    # What these mean is said at ToolLimits.
    tool_threads: int = Field(default=_TOOLS.threads, ge=1, le=10_000)
    tool_processes: int = Field(default=_TOOLS.processes, ge=1, le=1_000)
    tool_hung: int = Field(default=_TOOLS.hung, ge=1, le=10_000)
    tool_timeout: float = Field(default=_TOOLS.timeout, gt=0, le=86_400)
    tool_output: int = Field(default=_TOOLS.output, ge=1, le=checks.MAX_CONTENT)

    strategy: Strategy = _DEFAULTS.strategy
    max_restarts: int = _DEFAULTS.max_restarts
    within: float = _DEFAULTS.within
    shutdown: float = _DEFAULTS.shutdown
    idle_after: float = _DEFAULTS.idle_after
    suspend_after: float = _DEFAULTS.suspend_after
    max_age: float | None = _DEFAULTS.max_age
    interrupted_turn: Interrupted = _DEFAULTS.interrupted_turn
    when_busy: WhenBusy = _DEFAULTS.when_busy
    failed_question: FailedQuestion = _DEFAULTS.failed_question
    max_files: int = _DEFAULTS.max_files
    max_context_items: int = _DEFAULTS.max_context_items
    workspace: str | None = _DEFAULTS.workspace
    max_indexed: int = _DEFAULTS.max_indexed

    @field_validator("session_id")
    @classmethod
    def _session_id_is_one(cls, value: str | None) -> str | None:
        return None if value is None else checks.session_id(value)

    @field_validator("agents")
    @classmethod
    def _agents_have_names(cls, value: dict[str, AgentCommand]) -> dict[str, AgentCommand]:
        if not all(ENDPOINT_NAME.fullmatch(name) for name in value):
            raise ValueError("an agent's name has small letters, digits and -, a letter first, 32 at most")
        return value

    @field_validator("llm_endpoints")
    @classmethod
    def _endpoints_have_names(cls, value: dict[str, Endpoint]) -> dict[str, Endpoint]:
        if not all(ENDPOINT_NAME.fullmatch(name) for name in value):
            raise ValueError("an endpoint's name has small letters, digits and -, a letter first, 32 at most")
        return value

    @field_validator("workspaces")
    @classmethod
    def _workspaces_are_directories(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            SessionConfig(workspace=path)
        return value

    @model_validator(mode="after")
    def _session_defaults_are_sound(self) -> Settings:
        self.session_defaults()
        if self.workspace is not None and not any(
            is_within(PurePosixPath(self.workspace), PurePosixPath(allowed)) for allowed in self.workspaces
        ):
            raise ValueError("the workspace of all sessions lies in one of the workspaces that are allowed")
        return self

    def agent_limits(self) -> AgentLimits:
        """How much patience agent processes meet with: the settings that begin with `agent_`."""
        names: dict[str, Any] = {field.name: getattr(self, f"agent_{field.name}") for field in fields(AgentLimits)}
        return AgentLimits(**names)

    def session_defaults(self) -> SessionConfig:
        """What a session has that says nothing else."""
        names: dict[str, Any] = {name: getattr(self, name) for name in _DEFAULTS.as_dict()}
        return SessionConfig(**names)

    def model_limits(self) -> ModelLimits:
        """How much patience providers' models meet with: the settings that begin with `llm_`."""
        names: dict[str, Any] = {field.name: getattr(self, f"llm_{field.name}") for field in fields(ModelLimits)}
        return ModelLimits(**names)

    def tool_limits(self) -> ToolLimits:
        """How much room there is for tools: the settings that begin with `tool_`."""
        names: dict[str, Any] = {field.name: getattr(self, f"tool_{field.name}") for field in fields(ToolLimits)}
        return ToolLimits(**names)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first that says something counts: what is given, our names, the seed's."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings, _SeedNames(settings_cls)


class _SeedNames(PydanticBaseSettingsSource):
    """Reads seed 001's names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return os.environ.get(field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: os.environ[name.upper()] for name in SEED_001 if name.upper() in os.environ}
        if id_or_none(found.get("session_id")) is None:
            # A name that many programs use: what cannot be a session of ours was not said to us.
            found.pop("session_id", None)
        return found


def variable_of(field: str) -> str:
    """The environment variable that says what *field* is, or could."""
    ours = f"JIDOKA_{field.upper()}"
    return field.upper() if field in SEED_001 and ours not in os.environ and field.upper() in os.environ else ours
