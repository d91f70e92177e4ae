"""A page of something longer: a sequence that knows where to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from jidoka.core.records import Record

T = TypeVar("T")


class Page(Record, Sequence[T], Generic[T]):
    """Items, and the cursor of the next page; None after the last one. It equals a list of the same items."""

    items: tuple[T, ...] = ()
    next_cursor: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self.items

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple):
            return self.items == tuple(other)  # pyright: ignore[reportUnknownArgumentType]
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash((self.items, self.next_cursor))

    def __repr_args__(self) -> Any:
        yield from (("items", list(self.items)), ("next_cursor", self.next_cursor))
