"""What can go wrong, named after what happened. The family tells a catcher what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from jidoka.core.entries import Entry

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _rebuild(kind: type[JidokaError], args: tuple[object, ...]) -> JidokaError:
    error = kind.__new__(kind)
    error.args = args
    return error


class JidokaError(Exception):
    """Every error that leaves jidoka. `code` is stable: the class name in snake case."""

    code: ClassVar[str] = "jidoka_error"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.code = _WORD_START.sub("_", cls.__name__).lower()

    # Facts arrive as keywords, which BaseException cannot copy or pickle on its own.
    def __reduce__(self) -> tuple[Callable[..., JidokaError], tuple[object, ...], dict[str, Any]]:
        return _rebuild, (type(self), self.args), self.__dict__


class Refused(JidokaError):
    """As it is, this will never work: change the request."""


class Unavailable(JidokaError):
    """Nothing is wrong with the request: try later."""


class Broken(JidokaError):
    """Stored data is not what it should be: have a look at it."""


# --- the request ------------------------------------------------------------------------------


class InvalidMessage(Refused, ValueError):
    """An argument cannot be right. `field` names it, where there is one."""

    def __init__(self, text: str, *, field: str | None = None) -> None:
        super().__init__(text)
        self.field = field


class InvalidSessionId(Refused, ValueError):
    """Not a session id: letters, digits, `_` and `-`, 8 to 64 of them, a letter or digit first."""


class InvalidRole(Refused, ValueError):
    """Not a role: user, assistant, system or tool."""


class InvalidTransition(Refused, ValueError):
    """The session's status does not allow this move."""

    def __init__(self, status: str, target: str, *, why: str | None = None) -> None:
        super().__init__(why or f"a session that is {status} cannot become {target}")
        self.status = status
        self.target = target


class ModelNotFound(Refused, LookupError):
    """No model goes by that name, or it cannot be had here: then `hint` says what to do. `known` has the nearest."""

    def __init__(self, model: str, *, known: tuple[str, ...] = (), hint: str | None = None) -> None:
        names = f"; there are: {', '.join(known)}" if known else ""
        super().__init__(f"no model is called {model!r}{names}" if hint is None else f"model {model!r}: {hint}")
        self.model = model
        self.known = known
        self.hint = hint


class InvalidPath(InvalidMessage):
    """The path does not lead, step by step and without a link, to a file inside of the session's workspace."""

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(f"{path!r:.200} {why}", field="path")
        self.path = path
        self.why = why


class FileUnreadable(Refused):
    """There is no text to be had at that path.

    `reason` is one stable word: missing, not_a_file, too_large (more than `limit` bytes), encoding (no UTF-8 from byte
    `at` on), denied.
    """

    def __init__(self, path: str, *, reason: str, limit: int | None = None, at: int | None = None) -> None:
        text = _UNREADABLE[reason].format(limit=limit, at=at)
        super().__init__(f"{path!r:.200} {text}")
        self.path = path
        self.reason = reason
        self.limit = limit
        self.at = at


_UNREADABLE: Final = {
    "missing": "is not there",
    "not_a_file": "is not a plain file",
    "too_large": "has more than {limit} bytes",
    "encoding": "is no UTF-8 text: see byte {at}",
    "denied": "may not be read",
}


# --- the session ------------------------------------------------------------------------------


class SessionNotFound(Refused, LookupError):
    """There is no session of that id, or no longer."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"there is no session {session_id!r}")
        self.session_id = session_id


class SessionExists(Refused):
    """The id is taken."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} exists already")
        self.session_id = session_id


class SessionTerminated(Refused):
    """The session has ended. It can be read, not written."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} is terminated")
        self.session_id = session_id


class SessionFailed(Refused):
    """The session gave up. `resume()` starts a new incarnation of it."""

    def __init__(self, session_id: str, *, error: str | None = None) -> None:
        super().__init__(f"session {session_id!r} failed" + (f": {error}" if error else ""))
        self.session_id = session_id
        self.error = error


class SessionLimitReached(Refused):
    """No room for another session. Terminate one, or raise `max_sessions`."""

    def __init__(self, *, running: int, max_sessions: int) -> None:
        super().__init__(f"{running} of {max_sessions} sessions are running")
        self.running = running
        self.max_sessions = max_sessions


class VersionConflict(Refused):
    """Somebody else updated the session first. Read it again, then decide."""

    def __init__(self, session_id: str, *, current_version: int, expected_version: int | None = None) -> None:
        super().__init__(f"session {session_id!r} is at version {current_version}, not {expected_version}")
        self.session_id = session_id
        self.expected_version = expected_version
        self.current_version = current_version


class IdempotencyConflict(Refused):
    """The key was used for something else in this session. `seq` is the entry that has it."""

    def __init__(self, key: str, *, seq: int | None = None) -> None:
        super().__init__(f"idempotency key {key!r} belongs to another request")
        self.key = key
        self.seq = seq


# --- the turn ---------------------------------------------------------------------------------


class TurnInProgress(Refused):
    """The session has one turn at a time, and one is open."""

    def __init__(self, session_id: str, *, turn_id: str | None = None) -> None:
        super().__init__(f"session {session_id!r} is in the middle of a turn")
        self.session_id = session_id
        self.turn_id = turn_id


class TurnCancelled(Unavailable):
    """The turn was called off before it was done. Nothing of it is in the history."""

    def __init__(
        self,
        text: str = "the turn was cancelled",
        *,
        session_id: str | None = None,
        turn_id: str | None = None,
    ) -> None:
        super().__init__(text)
        self.session_id = session_id
        self.turn_id = turn_id


class TurnFailed(Unavailable):
    """The model, or a tool, did not make it. Nothing of the turn is in the history.

    Where a provider's model failed, `reason` is one stable word for why (notes/features/models.md), and `retry_after`
    the seconds after which to try again, if it said.
    """

    def __init__(
        self,
        text: str,
        *,
        session_id: str | None = None,
        turn_id: str | None = None,
        error: str | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.error = text if error is None else error
        self.session_id = session_id
        self.turn_id = turn_id
        self.reason = reason
        self.retry_after = retry_after


# --- the store --------------------------------------------------------------------------------


class StoreUnavailable(Unavailable):
    """The store does not answer. Whether a write took effect is unknown: repeat it with its key."""


class StorageFull(Unavailable):
    """No space for this write. Reading and deleting still work."""


class WorkspaceUnavailable(Unavailable):
    """The session's workspace is not there at the moment, or this server does not let it be one."""

    def __init__(self, root: str, *, why: str) -> None:
        super().__init__(f"the workspace {root!r:.200} {why}")
        self.root = root
        self.why = why


class CorruptRecord(Broken):
    """What is stored cannot be read as what it should be. `place` says where.

    Where it is part of a journal, `session_id` names the session, and `first_seq` and `last_seq` the entries that
    cannot be trusted; None where not even that is known.
    """

    def __init__(
        self,
        text: str,
        *,
        place: str | None = None,
        session_id: str | None = None,
        first_seq: int | None = None,
        last_seq: int | None = None,
    ) -> None:
        super().__init__(f"{place}: {text}" if place else text)
        self.place = place
        self.session_id = session_id
        self.first_seq = first_seq
        self.last_seq = last_seq


STORE_TROUBLE: Final = (StoreUnavailable, StorageFull, CorruptRecord)
"""Nothing is wrong with the request, and what became of a write is not known for certain."""


# --- within a session, and between a store and its writer; these do not leave the package -------


class LineStopped(Refused):
    """The turn has to wait until a person has decided."""

    def __init__(self) -> None:
        super().__init__("the line is stopped")


class StaleSequence(Refused):
    """Another entry was committed first: the journal's head is at `head_seq`."""

    def __init__(self, *, expected_seq: int, head_seq: int) -> None:
        super().__init__(f"expected the journal at {expected_seq}, but it is at {head_seq}")
        self.expected_seq = expected_seq
        self.head_seq = head_seq


class Fenced(Refused):
    """A newer writer has claimed the journal. Whoever sees this must stop writing."""

    def __init__(self, *, epoch: int, current: int) -> None:
        super().__init__(f"epoch {epoch} is over, the journal is in epoch {current}")
        self.epoch = epoch
        self.current = current


class DuplicateKey(Refused):
    """The idempotency key is in the journal already, on `entry`."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"key {entry.key!r} is entry {entry.seq}")
        self.entry = entry


class Tombstoned(Refused):
    """The journal was purged. A late writer must not bring it back."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} was purged")
        self.session_id = session_id
