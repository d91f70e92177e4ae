"""Errors: named after what happened, with a stable code, facts as attributes, and a family that says what to do."""

import copy
import pickle
from collections.abc import Iterator

import pytest

from jidoka.core import errors
from jidoka.core.errors import (
    Broken,
    CorruptRecord,
    DuplicateKey,
    Fenced,
    FileUnreadable,
    IdempotencyConflict,
    InvalidMessage,
    InvalidPath,
    InvalidRole,
    InvalidSessionId,
    InvalidTransition,
    JidokaError,
    LineStopped,
    ModelNotFound,
    Refused,
    SessionExists,
    SessionFailed,
    SessionLimitReached,
    SessionNotFound,
    SessionTerminated,
    StaleSequence,
    StorageFull,
    StoreUnavailable,
    Tombstoned,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
    Unavailable,
    VersionConflict,
    WorkspaceUnavailable,
)
from jidoka.testing.entries import message_entry

SESSION = "session_1"

EXAMPLES: dict[str, JidokaError] = {
    "session_not_found": SessionNotFound(SESSION),
    "session_exists": SessionExists(SESSION),
    "session_terminated": SessionTerminated(SESSION),
    "session_failed": SessionFailed(SESSION, error="too many restarts"),
    "session_limit_reached": SessionLimitReached(running=3, max_sessions=3),
    "invalid_transition": InvalidTransition("active", "terminated"),
    "invalid_role": InvalidRole("not a role"),
    "invalid_session_id": InvalidSessionId("not an id"),
    "invalid_message": InvalidMessage("no", field="content"),
    "invalid_path": InvalidPath("../x", why="leads upwards"),
    "file_unreadable": FileUnreadable("x", reason="too_large", limit=5),
    "workspace_unavailable": WorkspaceUnavailable("/work", why="is gone"),
    "version_conflict": VersionConflict(SESSION, current_version=3, expected_version=2),
    "idempotency_conflict": IdempotencyConflict("k", seq=3),
    "turn_in_progress": TurnInProgress(SESSION, turn_id="t"),
    "turn_cancelled": TurnCancelled(session_id=SESSION, turn_id="t"),
    "turn_failed": TurnFailed("the model said no", session_id=SESSION),
    "model_not_found": ModelNotFound("gpt-9", known=("echo",)),
    "store_unavailable": StoreUnavailable("gone"),
    "storage_full": StorageFull("full"),
    "corrupt_record": CorruptRecord("torn", place="entry 3", session_id=SESSION),
    "stale_sequence": StaleSequence(expected_seq=2, head_seq=3),
    "fenced": Fenced(epoch=1, current=2),
    "duplicate_key": DuplicateKey(message_entry(3, key="k")),
    "line_stopped": LineStopped(),
    "tombstoned": Tombstoned(SESSION),
}


def everything(kind: type[JidokaError]) -> Iterator[type[JidokaError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from everything(child)


def test_every_error_has_an_example_here() -> None:
    concrete = set(everything(JidokaError)) - {Refused, Unavailable, Broken}

    assert concrete == {type(error) for error in EXAMPLES.values()}


@pytest.mark.parametrize(("code", "error"), EXAMPLES.items())
def test_the_code_is_the_name_in_snake_case(code: str, error: JidokaError) -> None:
    assert error.code == type(error).code == code


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=EXAMPLES)
def test_every_error_has_one_family(error: JidokaError) -> None:
    assert sum(isinstance(error, family) for family in (Refused, Unavailable, Broken)) == 1


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=EXAMPLES)
def test_an_error_can_be_copied_and_sent_to_another_process(error: JidokaError) -> None:
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.__dict__ == error.__dict__


def test_what_is_invalid_is_a_value_error_too() -> None:
    for code, error in EXAMPLES.items():
        assert isinstance(error, ValueError) is code.startswith("invalid_")


def test_what_is_not_found_is_a_lookup_error_too() -> None:
    for code, error in EXAMPLES.items():
        assert isinstance(error, LookupError) is code.endswith("_not_found")


def test_facts_are_attributes() -> None:
    conflict = VersionConflict(SESSION, current_version=3, expected_version=2)
    transition = InvalidTransition("active", "terminated")
    corrupt = CorruptRecord("torn", place="entry 3")

    assert (conflict.session_id, conflict.current_version, conflict.expected_version) == (SESSION, 3, 2)
    assert (transition.status, transition.target) == ("active", "terminated")
    assert (corrupt.place, str(corrupt)) == ("entry 3", "entry 3: torn")
    assert InvalidMessage("no", field="content").field == "content"
    assert TurnFailed("no").error == "no"
    assert SessionFailed(SESSION).error is None


def test_a_new_error_gets_its_code_by_itself() -> None:
    class HTTPDoorClosed(Unavailable):
        pass

    assert HTTPDoorClosed.code == "http_door_closed"
