"""Events that are told together. Weighed at most once, however many listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from jidoka.core.events import Event

MAX_BYTES: Final = 1_000_000
"""What may wait for one subscriber, besides the bound that it has set itself. One event may be larger."""

# An event without its data, and a value that is no text.
_EVENT: Final = 600
_VALUE: Final = 32


class Batch(list[Event]):
    """A list of events that knows what each of them weighs."""

    __slots__ = ("_weights",)

    @property
    def weights(self) -> list[int]:
        """Bytes of memory for each event, about."""
        try:
            return self._weights
        except AttributeError:
            self._weights = [weight(event) for event in self]
            return self._weights


def weights_of(events: Sequence[Event]) -> list[int]:
    """The same for any events."""
    return events.weights if type(events) is Batch else [weight(event) for event in events]


def weight(event: Event) -> int:
    """Bytes of memory that *event* keeps, about."""
    return _EVENT + _weight(event.data)


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return value.__sizeof__()
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return _VALUE + sum(name.__sizeof__() + _weight(item) for name, item in named.items())
    if isinstance(value, list):
        return _VALUE + sum(map(_weight, cast("list[Any]", value)))
    return _VALUE
