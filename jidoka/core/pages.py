"""A page of something longer: a sequence that knows where to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

from jidoka.core.records import Record

T = TypeVar("T")


class Page(Record, Generic[T]):
    """Items, and the cursor of the next page; None after the last one."""

    items: tuple[T, ...] = ()
    next_cursor: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __reversed__(self) -> Iterator[T]:
        return reversed(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def index(self, item: object) -> int:
        """Where *item* is. Raises ValueError."""
        return self.items.index(item)  # pyright: ignore[reportArgumentType]

    def count(self, item: object) -> int:
        """How often *item* is there."""
        return self.items.count(item)  # pyright: ignore[reportArgumentType]


Sequence.register(Page)
