"""Arrays as PostgreSQL sends them over the wire: many rows in few parameters, without a look at every value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

NULL: Final = 2**62
"""Stands for no number in an array of numbers. None that is kept is as large."""

_BIGINT, _BIGINTS, _BYTEA, _BYTEAS = 20, 1016, 17, 1001
# Dimensions, whether there may be nulls, the type of the elements, how many there are, the number of the first.
_START = Struct(">iiIii")
_EMPTY = Struct(">iiI")
_LENGTH = Struct(">i")
_NONE = _LENGTH.pack(-1)


class Numbers(bytes):
    """A bigint[]: rows one after the other, as they are sent."""


class Blobs(bytes):
    """A bytea[], as it is sent."""


def numbers(rows: Sequence[Sequence[int | None]]) -> Numbers:
    """The rows, all of the same width."""
    if not rows:
        return Numbers(_EMPTY.pack(0, 0, _BIGINT))
    width = len(rows[0])
    pack, cells = _row(width).pack, [8] * (2 * width)
    parts = [_START.pack(1, 0, _BIGINT, width * len(rows), 1)]
    for row in rows:
        cells[1::2] = [NULL if number is None else number for number in row]
        parts.append(pack(*cells))
    return Numbers(b"".join(parts))


@cache
def _row(width: int) -> Struct:
    return Struct(">" + "iq" * width)


def blobs(items: Sequence[bytes | None]) -> Blobs:
    """The items, and null where there is none."""
    if not items:
        return Blobs(_EMPTY.pack(0, 0, _BYTEA))
    parts = [_START.pack(1, 1, _BYTEA, len(items), 1)]
    for item in items:
        if item is None:
            parts.append(_NONE)
        else:
            parts += (_LENGTH.pack(len(item)), item)
    return Blobs(b"".join(parts))


def number(column: str, columns: Sequence[str], *, may_be_null: Iterable[str] = ()) -> str:
    """What reads *column* of row *i* from an array *r* of rows of *columns*."""
    cell = f"r[(i - 1) * {len(columns)} + {columns.index(column) + 1}]"
    return f"nullif({cell}, {NULL}) as {column}" if column in may_be_null else f"{cell} as {column}"


def teach(connection: psycopg.Connection[Any]) -> None:
    """Have *connection* send them as they are."""
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return obj

    for kind, oid in ((Numbers, _BIGINTS), (Blobs, _BYTEAS)):
        connection.adapters.register_dumper(kind, type(kind.__name__, (AsItIs,), {"oid": oid}))
