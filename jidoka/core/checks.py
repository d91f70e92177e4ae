"""What comes in through the doors is looked at here, once, and refused by name.

Every function answers the value as the inside wants it. JSON comes back frozen, so that nobody needs a copy.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any, Final, cast

from jidoka.core.errors import InvalidMessage, InvalidRole, InvalidSessionId
from jidoka.core.events import TYPES
from jidoka.core.json_values import json_object, json_value, sound_text
from jidoka.core.messages import Role
from jidoka.core.status import SessionStatus

__all__ = [
    "after",
    "content",
    "context_key",
    "count",
    "cursor",
    "decision",
    "decode_cursor",
    "encode_cursor",
    "event_types",
    "idempotency_key",
    "json_object",
    "json_value",
    "limit",
    "owner",
    "path",
    "role",
    "session_id",
    "statuses",
    "text",
    "timeout",
    "version",
]

MAX_CONTENT: Final = 10_000_000
MAX_KEY: Final = 255
MAX_PATH: Final = 4096
MAX_TEXT: Final = 10_000
MAX_PAGE: Final = 1000
# What every store can count to.
MAX_COUNT: Final = 2**63 - 1

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
_ROLES: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "tool": "tool"}
_CURSOR = re.compile(rb"after:(0|[1-9][0-9]{0,18})")


def session_id(value: Any) -> str:
    """Letters, digits, `_` and `-`; 8 to 64 of them; a letter or digit first."""
    if isinstance(value, str) and _SESSION_ID.fullmatch(value):
        return value
    raise InvalidSessionId(f"not a session id: {_shown(value)}")


def role(value: Any) -> Role:
    """user, assistant, system or tool."""
    known = _ROLES.get(value) if isinstance(value, str) else None
    if known is None:
        raise InvalidRole(f"a role is user, assistant, system or tool; not {_shown(value)}")
    return known


def content(value: Any, *, field: str = "content") -> str:
    """Text that says something."""
    return _bounded(value, field, MAX_CONTENT)


def text(value: Any, *, field: str, most: int = MAX_TEXT) -> str:
    """A reason, a note, a name."""
    return _bounded(value, field, most)


def owner(value: Any) -> str | None:
    """Who owns a session: a name, or None for nobody."""
    return None if value is None else _bounded(value, "owner", MAX_KEY)


def idempotency_key(value: Any) -> str | None:
    """1 to 255 characters, or None for none."""
    return None if value is None else _bounded(value, "idempotency_key", MAX_KEY)


def context_key(value: Any) -> str:
    """A key of the working context: 1 to 255 characters."""
    return _bounded(value, "key", MAX_KEY)


def path(value: Any) -> str:
    """A file's path, as text. It is a name here: nobody opens it."""
    if isinstance(value, os.PathLike):
        value = cast("os.PathLike[Any]", value).__fspath__()
    return _bounded(value, "path", MAX_PATH)


def decision(value: Any) -> str:
    """What a person may decide."""
    if isinstance(value, str) and value in {"approve", "reject"}:
        return str(value)
    raise InvalidMessage(f"a decision is approve or reject; not {_shown(value)}", field="decision")


# --- numbers ------------------------------------------------------------------------------------


def count(value: Any, *, field: str, least: int = 0, most: int = MAX_COUNT) -> int:
    """A whole number between bounds."""
    if type(value) is int and least <= value <= most:
        return value
    span = f"at least {least}" if most == MAX_COUNT else f"from {least} to {most}"
    raise InvalidMessage(f"{field} is a whole number, {span}; not {_shown(value)}", field=field)


def limit(value: Any, *, most: int = MAX_PAGE) -> int:
    """How many to a page."""
    return count(value, field="limit", least=1, most=most)


def after(value: Any) -> int:
    """An entry's seq, or 0 for the beginning."""
    return count(value, field="after")


def version(value: Any) -> int | None:
    """A session's version, or None for any."""
    return None if value is None else count(value, field="expected_version", least=1)


def timeout(value: Any, *, field: str = "timeout") -> float | None:
    """Seconds, finite and not negative; or None for no bound."""
    if value is None:
        return None
    if type(value) in {int, float} and 0 <= value <= MAX_COUNT and isfinite(value):
        return float(value)
    raise InvalidMessage(f"{field} is a number of seconds, not {_shown(value)}", field=field)


# --- filters and cursors ------------------------------------------------------------------------


def statuses(value: Any) -> frozenset[SessionStatus] | None:
    """One status or several, by name; None for any."""
    if value is None:
        return None
    try:
        return frozenset(SessionStatus(name) for name in _several(value, "status"))
    except ValueError as error:
        raise InvalidMessage(f"not a status: {error}", field="status") from error


def event_types(value: Any) -> frozenset[str] | None:
    """Several types of event, by name; None for all."""
    if value is None:
        return None
    names = _several(value, "types")
    unknown = [name for name in names if not (isinstance(name, str) and name in TYPES)]
    if unknown:
        raise InvalidMessage(f"not a type of event: {_shown(unknown[0])}", field="types")
    return frozenset(str(name) for name in names)


def _several(value: Any, field: str) -> Collection[Any]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray):
        return tuple(cast("Iterable[Any]", value))
    raise InvalidMessage(f"{field} is a name, or several; not {_shown(value)}", field=field)


def encode_cursor(arrival: int) -> str:
    """Where a page ended, as text that says nothing to anybody else."""
    return urlsafe_b64encode(b"after:%d" % arrival).decode().rstrip("=")


def decode_cursor(value: Any) -> int:
    """What `encode_cursor` was given."""
    try:
        raw = urlsafe_b64decode(value + "=" * (-len(value) % 4)) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    found = _CURSOR.fullmatch(raw)
    if found is None or encode_cursor(int(found[1])) != value:
        raise InvalidMessage("not a cursor of ours", field="cursor")
    return int(found[1])


def cursor(value: Any) -> int | None:
    """Where to go on; None for the beginning."""
    return None if value is None else decode_cursor(value)


# --- text ---------------------------------------------------------------------------------------


def _bounded(value: Any, field: str, most: int) -> str:
    if not isinstance(value, str):
        raise InvalidMessage(f"{field} is text, not {type(value).__name__}", field=field)
    if not 0 < len(value) <= most:
        raise InvalidMessage(f"{field} has 1 to {most} characters, not {len(value)}", field=field)
    return sound_text(value, field)


def _shown(value: Any) -> str:
    # Not repr() first: what came in may be large, or may not like to be shown.
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, int | float | None):
        return repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a very large number"
    return f"{type(value).__name__}"
