"""Heads as rows of a table: numbers that can be searched, a note, a profile, and a checksum over all of it."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, NamedTuple
from zlib import crc32

from pydantic_core import from_json, to_json

from jidoka.core.coding import broken, micros, moment
from jidoka.core.frozen import frozen
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus

# The numbers under which statuses are stored: only ever added to, at the end.
STATUSES: Final = (
    SessionStatus.INITIALIZING,
    SessionStatus.ACTIVE,
    SessionStatus.IDLE,
    SessionStatus.WAITING_INPUT,
    SessionStatus.SUSPENDED,
    SessionStatus.TERMINATING,
    SessionStatus.TERMINATED,
    SessionStatus.FAILED,
)
STATUS_CODES: Final = {status: code for code, status in enumerate(STATUSES)}

_NUMBERS = Struct("<15q")
_NEVER = -(2**63)

Sealed = Callable[[str, bytes], bytes]
"""`Seal.seal` or `Seal.unseal` of the session: the place, and the bytes."""


class Row(NamedTuple):
    """A head as it is stored. `last_sum` is the checksum of the journal's last entry, `row_sum` this row's own."""

    session_id: str
    arrival: int
    status: int
    seq: int
    epoch: int
    version: int
    incarnation: int
    messages: int
    characters: int
    cycles: int
    created_at: int
    updated_at: int
    active_at: int
    expires_at: int | None
    last_sum: int
    profile_sum: int
    note: bytes | None
    """The open turn and the error, which most sessions do not have."""
    row_sum: int


def row_of(head: Head, *, last_sum: int, profile_sum: int, seal: Sealed) -> Row:
    """The row for *head*."""
    expires = head.expires_at
    numbers = (
        head.arrival,
        STATUS_CODES[head.status],
        head.seq,
        head.epoch,
        head.version,
        head.incarnation,
        head.message_count,
        head.characters,
        head.cycles,
        micros(head.created_at),
        micros(head.updated_at),
        micros(head.last_activity_at),
        None if expires is None else micros(expires),
        last_sum,
        profile_sum,
    )
    note = None
    if head.turn is not None or head.error is not None:
        note = seal("note", to_json([head.turn, head.error]))
    return Row(head.session_id, *numbers, note, row_sum_of(head.session_id, numbers, note))


def row_sum_of(session_id: str, numbers: tuple[int | None, ...], note: bytes | None) -> int:
    """The checksum over a row."""
    packed = _NUMBERS.pack(*(_NEVER if number is None else number for number in numbers))
    return crc32(packed + session_id.encode() + (note or b""))


def profile_of(head: Head) -> bytes:
    """What seldom changes: owner, metadata and options."""
    return to_json([head.owner, head.metadata, head.llm_config, head.config])


def head_of(row: Row, profile: bytes, *, unseal: Sealed) -> Head:
    """The head that *row* was made of. *profile* is as it is stored. Raises CorruptRecord."""
    if row.row_sum != row_sum_of(row.session_id, row[1:16], row.note):
        raise broken(row.session_id, None, None, "its row is damaged")
    if row.profile_sum != crc32(profile):
        raise broken(row.session_id, None, None, "its metadata are damaged")
    try:
        note = (None, None) if row.note is None else from_json(unseal("note", row.note))
        return _filled(row, from_json(unseal("profile", profile)), note)
    except (ValueError, IndexError, OverflowError) as error:
        raise broken(row.session_id, None, None, f"its row cannot be read: {error}") from error


def _filled(row: Row, profile: Any, note: Any) -> Head:
    head = Head(row.session_id, arrival=row.arrival)
    head.status = STATUSES[row.status]
    head.seq, head.epoch, head.version, head.incarnation = row.seq, row.epoch, row.version, row.incarnation
    head.message_count, head.characters, head.cycles = row.messages, row.characters, row.cycles
    head.created_at, head.updated_at = moment(row.created_at), moment(row.updated_at)
    head.last_activity_at = moment(row.active_at)
    head.owner = profile[0]
    head.metadata, head.llm_config, head.config = frozen(profile[1]), frozen(profile[2]), frozen(profile[3])
    head.turn, head.error = note
    return head
