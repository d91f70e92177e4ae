"""Entries as bytes, for stores that write to a disk: compact, the same in every store, and chained by checksums.

An entry's checksum is the CRC-32 of its bytes, begun with the checksum of the entry before it; the first begins with
the session's id. So a changed bit, a missing, exchanged or foreign entry breaks the chain from there on, and the last
checksum, which the head keeps, says whether the end is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import Struct
from struct import error as StructError
from typing import Any, Final, cast
from zlib import crc32

from pydantic_core import from_json, to_json

from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY

# The numbers under which types are stored: only ever added to, at the end. What is not here is stored by its name.
_TYPES: Final[tuple[EventType, ...]] = (
    EventType.SESSION_CREATED,
    EventType.SESSION_STATUS,
    EventType.SESSION_IDLE,
    EventType.SESSION_RESUMED,
    EventType.SESSION_SUSPENDED,
    EventType.SESSION_TERMINATED,
    EventType.SESSION_FAILED,
    EventType.SESSION_HALTED,
    EventType.CONVERSATION_ADDED,
    EventType.CONVERSATION_CLEARED,
    EventType.CONTEXT_PRUNED,
    EventType.CONTEXT_UPDATED,
    EventType.FILE_ADDED,
    EventType.FILE_REMOVED,
    EventType.TURN_STARTED,
    EventType.TURN_COMPLETED,
    EventType.TURN_FAILED,
    EventType.TURN_CANCELLED,
    EventType.TOOL_CALL,
    EventType.TOOL_RESULT,
    EventType.DECISION_RECORDED,
    EventType.CHILD_RESTARTED,
)
_CODES: Final = {str(type): code for code, type in enumerate(_TYPES, start=1)}
_ADDED_TYPE: Final = _TYPES[_CODES["conversation_added"] - 1]
_ADDED: Final = _CODES[_ADDED_TYPE]
_ROLES: Final = ("user", "assistant", "system", "tool")
_ROLE_CODES: Final = {role: bytes((code,)) for code, role in enumerate(_ROLES)}

# Flags in the first byte, whose upper three bits are the version of the format.
_VERSION, _VERSIONS = 0x20, 0xE0
_KEY, _COUNTED, _CORRELATION, _CAUSATION, _MESSAGE = 1, 2, 4, 8, 16
# Flags, type, microseconds since 1970, epoch; the epoch as _LONG where it does not fit.
_START = Struct("<BBqB")
_LONG, _EPOCH = 0xFF, Struct("<I")
_LENGTH = Struct("<H")
# The checksum in front of what is kept of an entry.
_SUM = Struct(">I")
# A key that a client has counted: its prefix, and the number.
_COUNTER = Struct("<6sI")
# What most entries are, besides their keys: a message as `_plain_message` writes it. They are read a little quicker.
_PLAIN: Final = _VERSION | _MESSAGE
_unpack_start, _unpack_sum = _START.unpack_from, _SUM.unpack_from
_new = cast("Callable[[type[Entry], tuple[Any, ...]], Entry]", tuple.__new__)

_MESSAGE_ID = "message_"
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    since = moment - _1970
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(micros: int) -> datetime:
    """The moment that `micros` was given."""
    return _1970 + timedelta(microseconds=micros)


def first_sum(session_id: str) -> int:
    """What the checksum of a session's first entry begins with."""
    return crc32(session_id.encode())


def next_sum(body: bytes, previous: int) -> int:
    """The checksum of an entry of these bytes that comes after one whose checksum is *previous*."""
    return crc32(body, previous)


def with_sum(body: bytes, sum: int) -> bytes:
    """An entry's bytes as they are kept: behind their checksum."""
    return _SUM.pack(sum) + body


def kept_sum(kept: bytes) -> int:
    """The checksum in front of what is kept of an entry."""
    return _unpack_sum(kept)[0]


def encode(entry: Entry) -> bytes:
    """*entry* as bytes. Its seq, and the session it belongs to, are where the bytes are kept."""
    flags, texts, epoch = _VERSION, b"", entry.epoch
    if epoch >= _LONG:
        texts, epoch = _EPOCH.pack(epoch), _LONG
    code = _CODES.get(entry.type, 0)
    if not code:
        texts += _text(entry.type)
    if entry.key is not None:
        counted = _counted(entry.key)
        flags |= _KEY if counted is None else _COUNTED
        texts += _text(entry.key) if counted is None else counted
    if entry.correlation_id is not None:
        flags |= _CORRELATION
        texts += _text(entry.correlation_id)
    if entry.causation_id is not None:
        flags |= _CAUSATION
        texts += _text(entry.causation_id)
    data = _plain_message(entry.data) if code == _ADDED else None
    if data is None:
        data = to_json(entry.data)
    else:
        flags |= _MESSAGE
    return _START.pack(flags, code, micros(entry.at), epoch) + texts + data


def _text(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def _counted(key: str) -> bytes | None:
    """A key as clients count them, `0123456789ab-42`, in half the room."""
    prefix, _, number = key.partition("-")
    if len(prefix) != 12 or not number.isdecimal() or len(number) > 9:
        return None
    try:
        counted = _COUNTER.pack(bytes.fromhex(prefix), int(number))
    except ValueError:
        return None
    return counted if _counted_key(counted, 0) == key else None


def _counted_key(body: bytes, place: int) -> str:
    prefix, number = _COUNTER.unpack_from(body, place)
    return f"{prefix.hex()}-{number}"


def _plain_message(data: Mapping[str, Any]) -> bytes | None:
    """A message with an id of ours and nothing special, which most are, without the names of its members."""
    if len(data) != 4:
        return None
    try:
        id, role, content, metadata = data["id"], _ROLE_CODES[data["role"]], data["content"], data["metadata"]
        digits = bytes.fromhex(id[8:])
    except (KeyError, ValueError, TypeError):
        return None
    if metadata or len(digits) != 16 or id != _MESSAGE_ID + digits.hex():
        return None
    return digits + role + content.encode()


def decode(session_id: str, seq: int, body: bytes) -> Entry:
    """The entry that *body* was made of. Raises CorruptRecord."""
    try:
        return _decode(seq, body)
    except (ValueError, IndexError, KeyError, OverflowError, OSError, StructError) as error:
        raise broken(session_id, seq, seq, f"cannot be read: {error}") from error


def _decode(seq: int, body: bytes) -> Entry:
    flags, code, at, epoch = cast("tuple[int, int, int, int]", _unpack_start(body))
    # Exact: a float of that size counts in quarters of a microsecond.
    when = datetime.fromtimestamp(at / 1e6, UTC)
    if code == _ADDED and flags & ~_COUNTED == _PLAIN and epoch != _LONG:
        key, place = None, _START.size
        if flags != _PLAIN:
            key, place = _counted_key(body, place), place + _COUNTER.size
        return _new(Entry, (seq, _ADDED_TYPE, when, _message_at(body, place), key, epoch, None, None))
    if flags & _VERSIONS != _VERSION:
        raise ValueError(f"version {flags >> 5} of the format")
    place, key, correlation, causation = _START.size, None, None, None
    if epoch == _LONG:
        (epoch,), place = _EPOCH.unpack_from(body, place), place + _EPOCH.size
    if code:
        name: str = _TYPES[code - 1]
    else:
        name, place = _text_at(body, place)
    if flags & _COUNTED:
        key, place = _counted_key(body, place), place + _COUNTER.size
    elif flags & _KEY:
        key, place = _text_at(body, place)
    if flags & _CORRELATION:
        correlation, place = _text_at(body, place)
    if flags & _CAUSATION:
        causation, place = _text_at(body, place)
    data = _message_at(body, place) if flags & _MESSAGE else from_json(body[place:])
    return Entry(seq, name, when, data, key, epoch, correlation, causation)


def _message_at(body: bytes, place: int) -> dict[str, Any]:
    end = place + 16
    return {
        "id": _MESSAGE_ID + body[place:end].hex(),
        "role": _ROLES[body[end]],
        "content": body[end + 1 :].decode(),
        "metadata": EMPTY,
    }


def _text_at(body: bytes, place: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(body, place)
    start = place + _LENGTH.size
    end = start + length
    if end > len(body):
        raise ValueError("it ends in the middle")
    return body[start:end].decode(), end


def broken(session_id: str, first_seq: int | None, last_seq: int | None, text: str) -> CorruptRecord:
    """What to say of entries that cannot be trusted."""
    if first_seq is None:
        place = f"session {session_id}"
    elif first_seq == last_seq:
        place = f"session {session_id}, entry {first_seq}"
    else:
        place = f"session {session_id}, entries {first_seq} to {last_seq}"
    return CorruptRecord(text, place=place, session_id=session_id, first_seq=first_seq, last_seq=last_seq)


# --- what is looked up, as numbers that an index likes ------------------------------------------


def hashed(text: str, secret: bytes = b"") -> int:
    """48 bits of *text*, as few as an index needs. With a *secret* nobody else can tell what they were made of."""
    return int.from_bytes(blake2b(text.encode(), digest_size=6, key=secret).digest(), "big", signed=True)


def terms(metadata: Mapping[str, Any], secret: bytes = b"") -> Iterator[int]:
    """A number for each member of *metadata*: equal members have equal numbers."""
    for name, value in metadata.items():
        yield hashed(json.dumps([name, _canonical(value)], sort_keys=True, separators=(",", ":")), secret)


def _canonical(value: Any) -> Any:
    """Numbers that are equal look alike: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_canonical(item) for item in cast("list[Any]", value)]
    return value
