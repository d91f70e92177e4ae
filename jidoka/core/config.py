"""A session's own options: how its supervisor acts, when it rests, how much it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

from jidoka.core.errors import InvalidMessage

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Interrupted = Literal["fail", "resume"]
WhenBusy = Literal["refuse", "queue"]
FailedQuestion = Literal["drop", "keep"]

SUPERVISION: Final = frozenset({"strategy", "max_restarts", "within", "shutdown"})
"""The options that are a supervisor's. `InvalidMessage.field` says whether one of these was refused."""

# A year. Nobody means more, and every clock can count to it.
_LONGEST: Final = 366 * 86_400.0
# A century.
_LONGEST_AGE: Final = 100 * _LONGEST
_MOST: Final = 1_000_000
_LONGEST_PATH: Final = 4096


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Durations are seconds."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 10
    """So many restarts of its children …"""
    within: float = 60.0
    """… in so many seconds; one more, and the session fails."""
    shutdown: float = 5.0
    """How long a child may take to end."""
    idle_after: float = 300.0
    suspend_after: float = 1800.0
    max_age: float | None = None
    """So long after its last activity a session that rests, or has ended, is purged. None: never."""
    interrupted_turn: Interrupted = "fail"
    """A turn that was under way when its process or its orchestrator ended is closed as failed, or gone on with."""
    when_busy: WhenBusy = "refuse"
    """What becomes of a prompt while a turn is under way: refused as TurnInProgress, or begun after it."""
    failed_question: FailedQuestion = "drop"
    """Whether the question of a turn that failed, or was cancelled, is kept in the history."""
    max_files: int = 50
    max_context_items: int = 50
    workspace: str | None = None
    """The directory whose files it may read, and which is looked after. It must lie in `Settings.workspaces`."""
    max_indexed: int = 200
    """So many of the workspace's files are put into its index by themselves."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))

    def with_options(self, options: Mapping[str, Any] | None) -> SessionConfig:
        """These with *options* on top. Raises InvalidMessage, whose `field` is the option."""
        if not options:
            return self
        for name in options:
            if name not in _CHECKS:
                raise InvalidMessage(f"a session has no option {name!r:.80}", field=str(name))
        return replace(self, **options)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def _one_of(*names: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in names:
            raise InvalidMessage(f"{name} is {', '.join(names[:-1])} or {names[-1]}", field=name)

    return check


# Nothing compares with NaN, so that it is in no span.
def _seconds(name: str, value: Any) -> None:
    if not (_is_number(value) and 0 < value <= _LONGEST):
        raise InvalidMessage(f"{name} is a number of seconds, more than 0 and at most a year", field=name)


def _patience(name: str, value: Any) -> None:
    if not (_is_number(value) and 0 <= value <= _LONGEST):
        raise InvalidMessage(f"{name} is a number of seconds, from 0 to a year", field=name)


def _seconds_or_never(name: str, value: Any) -> None:
    if not (value is None or (_is_number(value) and 0 < value <= _LONGEST_AGE)):
        raise InvalidMessage(f"{name} is a number of seconds, more than 0 and at most a century, or null", field=name)


def _at_least(least: int, most: int = _MOST) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if type(value) is not int or not least <= value <= most:
            raise InvalidMessage(f"{name} is a whole number from {least} to {most}", field=name)

    return check


def _directory_or_none(name: str, value: Any) -> None:
    if value is None:
        return
    is_one = isinstance(value, str) and value.startswith("/") and len(value) <= _LONGEST_PATH
    if not is_one or "\0" in value or ".." in value.split("/"):
        raise InvalidMessage(f"{name} is the absolute path of a directory, without `..`, or null", field=name)


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "strategy": _one_of("one_for_one", "one_for_all", "rest_for_one"),
    "max_restarts": _at_least(0),
    "within": _seconds,
    "shutdown": _patience,
    "idle_after": _seconds,
    "suspend_after": _seconds,
    "max_age": _seconds_or_never,
    "interrupted_turn": _one_of("fail", "resume"),
    "when_busy": _one_of("refuse", "queue"),
    "failed_question": _one_of("drop", "keep"),
    "max_files": _at_least(1),
    "max_context_items": _at_least(0),
    "workspace": _directory_or_none,
    "max_indexed": _at_least(0, 10_000),
}

assert _CHECKS.keys() == {field.name for field in fields(SessionConfig)}
