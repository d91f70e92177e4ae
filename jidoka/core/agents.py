"""Agent processes as models: which commands there are, what one is told, and how much of it is borne."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from jidoka.core.endpoints import OF_OTHERS
from jidoka.core.errors import InvalidMessage, TurnFailed
from jidoka.core.messages import Context, Message

AgentKind = Literal["acp", "exec"]

CHILD: Final = "agent"
"""The id under which a session's supervisor has it."""

INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""The variables of our own environment that every agent has. Any other, and above all a key, is named for it."""

_HISTORY: Final = "(What was said before, as data: a JSON object for each message.)"

SENTENCES: Final = {
    "agent_not_started": "the agent could not be started",
    "agent_ended": "the agent ended in the middle of the turn",
    "agent_failed": "the agent did not make it",
    "agent_refused": "the agent does not go on with this",
    "agent_garbled": "what the agent says cannot be read",
    "agent_too_large": "the agent says more than is taken",
    "agent_silent": "the agent was silent for too long",
}
"""Why a turn fails at an agent process."""


class AgentCommand(BaseModel):
    """A command that sessions may have as their model: `acp:NAME` or `exec:NAME`. The server says which there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    argv: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments: a list, or a text that is split as a shell would. There is no shell."""
    cwd: str | None = None
    """Where it works; an absolute path. None: where we do."""
    env: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Variables of its own: keys too, for they are shown nowhere."""
    pass_env: tuple[str, ...] = ()
    """Variables of ours that it has, besides `INHERITED`."""
    lines: bool = False
    """For `exec:`: one process for the session, with which JSON lines are exchanged, rather than one for each turn."""
    history: bool = False
    """For `exec:` without `lines`: its input begins with what was said before."""

    @field_validator("argv", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("argv")
    @classmethod
    def _has_a_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0] or any("\0" in part for part in value):
            raise ValueError("a command begins with a program, and has no NUL in it")
        return value

    @field_validator("cwd")
    @classmethod
    def _is_absolute(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("cwd is an absolute path")
        return value

    @field_validator("env", "pass_env")
    @classmethod
    def _are_variables(cls, value: Any) -> Any:
        if any(not name or "=" in name or "\0" in name for name in cast("Iterable[str]", value)):
            raise ValueError("a variable has a name without = in it")
        return value

    def environment(self, ours: Mapping[str, str], **more: str) -> dict[str, str]:
        """The whole environment of the process, of which *ours* is where we take from."""
        inherited = {name: ours[name] for name in (*INHERITED, *self.pass_env) if name in ours}
        return {**inherited, **{name: value.get_secret_value() for name, value in self.env.items()}, **more}

    def secrets(self, ours: Mapping[str, str]) -> tuple[str, ...]:
        """What must not be quoted when the process is: all that it was given on purpose."""
        passed = (ours[name] for name in self.pass_env if name in ours)
        return (*passed, *(value.get_secret_value() for value in self.env.values()))


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """How much patience an agent process meets with. Durations are seconds."""

    start: float = 30.0
    """How long it may take to greet, where it does."""
    silence: float = 600.0
    """How long it may say nothing in a turn. While it waits for a person, nobody counts."""
    grace: float = 2.0
    """What it has to end in order: after SIGTERM, or after it was told that the turn is called off."""
    line: int = 1_000_000
    """Bytes of a line, where it speaks in lines."""
    answer: int = 1_000_000
    """Characters of an answer."""
    tail: int = 2_000
    """Characters that are kept of the end of its standard error, for the text of errors."""


def kind_of(model: object) -> AgentKind | None:
    """Which kind of agent process *model* names, if it names one."""
    if not isinstance(model, str):
        return None
    prefix, _, rest = model.partition(":")
    return cast("AgentKind", prefix) if prefix in {"acp", "exec"} and rest.strip() else None


def check_options(llm_config: Mapping[str, Any]) -> None:
    """Raises InvalidMessage for what a session cannot choose: an agent has tools and options of its own."""
    unknown = sorted(llm_config.keys() - OF_OTHERS - {"model"})
    if unknown:
        text = f"llm_config has a bad option {unknown[0]!r:.80}: an agent process has none but its model"
        raise InvalidMessage(text, field="llm_config")
    if llm_config.get("tools"):
        raise InvalidMessage("an agent process has tools of its own: llm_config cannot list any", field="llm_config")


def agent_failed(reason: str, detail: str = "") -> TurnFailed:
    """The error for *reason*."""
    return TurnFailed(f"{reason}: {SENTENCES[reason]}{detail and f' ({detail})'}", reason=reason)


class Hearing:
    """What an agent that remembers has heard of a session, and what is news to it."""

    def __init__(self) -> None:
        self._heard = 0
        self._asked: str | None = None

    def news(self, context: Context) -> list[str]:
        """What was said meanwhile by others, if anything, then the question."""
        question = question_of(context)
        known = self._turn_of_its_own(context)
        others = [
            message
            for message in context.conversation
            if message is not question and message.seq > self._heard and not (known and _turn_of(message) == known)
        ]
        self._heard, self._asked = question.seq, question.content
        return [*transcript(others), question.content]

    def _turn_of_its_own(self, context: Context) -> str | None:
        """The turn that it answered last: it knows what is recorded of it, the question with its answer."""
        for message in context.conversation:
            # Its question may have been recorded when it was asked, or when it was answered.
            if message.seq >= self._heard and message.role == "user" and message.content == self._asked:
                return _turn_of(message)
        return None


def question_of(context: Context) -> Message:
    """What the model is to answer."""
    for message in reversed(context.conversation):
        if message.role == "user":
            return message
    raise InvalidMessage("there is no question", field="context")


def transcript(messages: Iterable[Message]) -> list[str]:
    """*messages* as one text, or none."""
    lines = [
        json.dumps({"role": said.role, "content": said.content}, ensure_ascii=False)
        for said in messages
        if said.content.strip()
    ]
    return ["\n".join([_HISTORY, *lines])] if lines else []


def _turn_of(message: Message) -> str | None:
    turn_id = message.metadata.get("turn_id")
    return turn_id if isinstance(turn_id, str) else None


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """*text* with something else for each of *secrets* that is long enough to be one."""
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "[key]")
    return text
