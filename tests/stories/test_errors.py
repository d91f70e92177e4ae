"""The errors of the contract: there by name, of one family, with a code that does not change."""

import copy
import pickle
import re

import pykka
import pytest

import jidoka
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout
from jidoka.core.errors import JidokaError, SessionLimitReached, VersionConflict

NAMES = [
    *("SessionNotFound", "SessionExists", "SessionTerminated", "SessionFailed", "SessionLimitReached"),
    *("InvalidTransition", "InvalidRole", "InvalidSessionId", "InvalidMessage", "VersionConflict"),
    *("IdempotencyConflict", "TurnInProgress", "TurnCancelled", "TurnFailed", "ModelNotFound", "StoreUnavailable"),
    *("StorageFull", "CorruptRecord", "MailboxFull", "CallTimeout", "ActorDead", "ActorRestarted"),
    *("ChildStartError", "InvalidChildSpec"),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_the_contract_is_at_the_root_and_has_its_code(name: str) -> None:
    error = getattr(jidoka, name)

    assert issubclass(error, jidoka.JidokaError)
    assert error.__name__ == name
    assert error.code == re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    assert error.__doc__


def test_the_errors_of_the_contract_are_all_different() -> None:
    assert len({getattr(jidoka, name) for name in NAMES}) == len(NAMES) == 24


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ActorDead", pykka.ActorDeadError),
        ("CallTimeout", TimeoutError),
        ("CallTimeout", pykka.Timeout),
        ("SessionNotFound", LookupError),
        ("InvalidMessage", ValueError),
        ("InvalidRole", ValueError),
        ("InvalidSessionId", ValueError),
        ("InvalidChildSpec", ValueError),
    ],
)
def test_an_error_is_also_what_python_calls_it(name: str, base: type[Exception]) -> None:
    assert issubclass(getattr(jidoka, name), base)


@pytest.mark.parametrize(
    "error",
    [
        SessionLimitReached(running=3, max_sessions=3),
        VersionConflict("session_1", current_version=2, expected_version=1),
        ActorDead("gone"),
        ActorRestarted("again"),
        CallTimeout("late"),
    ],
    ids=lambda error: error.code,
)
@pytest.mark.parametrize("how", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copied", "pickled"])
def test_an_error_keeps_its_facts_on_the_way(error: JidokaError, how: object) -> None:
    again = how(error)  # type: ignore[operator]

    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


def test_every_name_of_the_root_can_be_imported() -> None:
    for name in dir(jidoka):
        if not name.startswith("_"):
            assert getattr(jidoka, name) is not None
