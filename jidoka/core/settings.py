"""What a process is told by its environment: `JIDOKA_…`. Slow to import, so it is imported when it is asked for."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jidoka.core.config import SessionConfig, Strategy

_DEFAULTS = SessionConfig()


class Settings(BaseSettings):
    """One jidoka. Each is read from `JIDOKA_` and its name in capitals, unless it is given."""

    model_config = SettingsConfigDict(env_prefix="JIDOKA_", frozen=True, extra="forbid")

    max_sessions: int = Field(default=100_000, ge=1)
    """Running ones. Suspended and ended sessions do not count."""
    call_timeout: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    mailbox: int = Field(default=10_000, ge=1)
    """Messages that may wait for one actor."""
    max_context_tokens: int = Field(default=120_000, ge=1)
    file_cache_items: int = Field(default=100, ge=0)
    """Files whose contents one session may keep in memory …"""
    file_cache_bytes: int = Field(default=10_000_000, ge=0)
    """… and how large they may be in all."""

    strategy: Strategy = _DEFAULTS.strategy
    max_restarts: int = _DEFAULTS.max_restarts
    within: float = _DEFAULTS.within
    shutdown: float = _DEFAULTS.shutdown
    idle_after: float = _DEFAULTS.idle_after
    suspend_after: float = _DEFAULTS.suspend_after
    max_age: float | None = _DEFAULTS.max_age
    max_files: int = _DEFAULTS.max_files
    max_context_items: int = _DEFAULTS.max_context_items

    @model_validator(mode="after")
    def _session_defaults_are_sound(self) -> Settings:
        self.session_defaults()
        return self

    def session_defaults(self) -> SessionConfig:
        """What a session has that says nothing else."""
        names: dict[str, Any] = {name: getattr(self, name) for name in _DEFAULTS.as_dict()}
        return SessionConfig(**names)
