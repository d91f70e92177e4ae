"""Child specs and what a supervisor tells about its children."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pykka

from jidoka.actors.errors import InvalidChildSpec
from jidoka.actors.ref import ActorRef

Restart = Literal["permanent", "transient", "temporary"]
Patience = float | Literal["kill", "infinity"]
Kind = Literal["worker", "supervisor"]
ChildState = Literal["running", "restarting", "stopped", "abandoned"]

_KEYS = frozenset({"id", "actor", "args", "kwargs", "restart", "shutdown", "significant", "type", "start_timeout"})


class ChildSpec:
    """How to start a child, when to start it again, and how long it may take to end. Checked when it is made.

    `shutdown` is seconds, "kill" or "infinity"; left out, it is 5 seconds for a worker and infinity for a supervisor.
    `start_timeout` bounds `on_start` (seconds or "infinity"). Raises InvalidChildSpec.
    """

    __slots__ = ("actor", "args", "id", "kwargs", "restart", "shutdown", "significant", "start_timeout", "type")

    def __init__(
        self,
        id: str,
        actor: type[pykka.Actor],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        restart: Restart = "permanent",
        shutdown: Patience | None = None,
        significant: bool = False,
        type: Kind | None = None,
        start_timeout: float | Literal["infinity"] = "infinity",
        **unknown: Any,
    ) -> None:
        if unknown:
            raise InvalidChildSpec(f"child {id!r}: unknown key {sorted(unknown)[0]!r}")
        is_supervisor = bool(getattr(actor, "has_children", False))
        self.id = id
        self.actor = actor
        self.args = tuple(args)
        self.kwargs: dict[str, Any] = dict(kwargs or {})
        self.restart: Restart = restart
        self.type: Kind = type if type is not None else "supervisor" if is_supervisor else "worker"
        self.shutdown: Patience = shutdown if shutdown is not None else "infinity" if self.type == "supervisor" else 5.0
        self.significant = significant
        self.start_timeout: float | Literal["infinity"] = start_timeout
        self._check()

    @classmethod
    def of(cls, spec: ChildSpec | Mapping[str, Any]) -> ChildSpec:
        """*spec*, or the one that a mapping of its keys describes."""
        if isinstance(spec, ChildSpec):
            return spec
        if not isinstance(spec, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidChildSpec(f"not a child spec: {spec!r}")
        for key in ("id", "actor"):
            if key not in spec:
                raise InvalidChildSpec(f"a child spec needs {key!r}")
        for key in spec:
            if key not in _KEYS:
                raise InvalidChildSpec(f"child {spec['id']!r}: unknown key {key!r}")
        return cls(**spec)

    def without_arguments(self) -> ChildSpec:
        """The same, for a child that is never started again."""
        if not self.args and not self.kwargs:
            return self
        spec = copy(self)
        spec.args, spec.kwargs = (), {}
        return spec

    def _check(self) -> None:
        if not isinstance(self.id, str) or not self.id:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidChildSpec(f"a child's id is a text that is not empty, not {self.id!r}")
        if not isinstance(self.actor, type) or not issubclass(self.actor, pykka.Actor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidChildSpec(f"child {self.id!r}: actor must be an actor class, not {self.actor!r}")
        self._check_choice("restart", self.restart, get_args(Restart))
        self._check_choice("type", self.type, get_args(Kind))
        if not isinstance(self.significant, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidChildSpec(f"child {self.id!r}: significant is True or False, not {self.significant!r}")
        if self.shutdown not in ("kill", "infinity") and not is_seconds(self.shutdown):
            raise InvalidChildSpec(f"child {self.id!r}: shutdown cannot be {self.shutdown!r}")
        if self.start_timeout != "infinity" and not (is_seconds(self.start_timeout) and self.start_timeout > 0):
            raise InvalidChildSpec(f"child {self.id!r}: start_timeout cannot be {self.start_timeout!r}")

    def _check_choice(self, key: str, value: object, choices: tuple[str, ...]) -> None:
        if value not in choices:
            raise InvalidChildSpec(f"child {self.id!r}: {key} is one of {', '.join(choices)}, not {value!r}")

    def __repr__(self) -> str:
        return f"ChildSpec({self.id!r}, {self.actor.__name__}, restart={self.restart!r}, shutdown={self.shutdown!r})"


def is_seconds(value: object) -> bool:
    """Whether *value* is a finite duration that is not negative."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def check_specs(specs: Iterable[ChildSpec | Mapping[str, Any]], *, auto_shutdown: str = "never") -> list[ChildSpec]:
    """*specs* as they would be used. Starts nothing. Raises InvalidChildSpec."""
    checked = [ChildSpec.of(spec) for spec in specs]
    seen: set[str] = set()
    for spec in checked:
        if spec.id in seen:
            raise InvalidChildSpec(f"two children with the id {spec.id!r}")
        seen.add(spec.id)
        check_significance(spec, auto_shutdown)
    return checked


def check_significance(spec: ChildSpec, auto_shutdown: str) -> None:
    """Significant children need a supervisor that cares, and an end that can be final."""
    if not spec.significant:
        return
    if auto_shutdown == "never":
        raise InvalidChildSpec(f"child {spec.id!r} is significant, but auto_shutdown is 'never'")
    if spec.restart == "permanent":
        raise InvalidChildSpec(f"child {spec.id!r} is significant and permanent: it never ends for good")


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child as its supervisor sees it. `mailbox` is how many messages wait."""

    id: str
    ref: ActorRef[Any]
    type: Kind
    restart: Restart
    state: ChildState
    restarts: int
    mailbox: int


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """How many specs a supervisor keeps, how many of them have a live child, and of which type they are."""

    specs: int
    active: int
    supervisors: int
    workers: int

    def __getitem__(self, key: str) -> int:
        return int(getattr(self, key))
