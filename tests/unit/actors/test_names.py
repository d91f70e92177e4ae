"""The names that the contract promises."""

import pykka
import pytest

import jidoka.actors
from jidoka.actors import (
    Actor,
    ActorDead,
    ActorRef,
    ActorSystem,
    CallTimeout,
    ChildSpec,
    ChildStartError,
    Supervisor,
    SupervisorRef,
)
from jidoka.core.errors import JidokaError

PROMISED = {
    "Actor",
    "ActorDead",
    "ActorRef",
    "ActorRestarted",
    "ActorSystem",
    "CallTimeout",
    "ChildInfo",
    "ChildSpec",
    "ChildStartError",
    "ExitReason",
    "Ignore",
    "InvalidChildSpec",
    "MailboxFull",
    "Request",
    "Shutdown",
    "Stop",
    "Supervisor",
    "SupervisorRef",
}


@pytest.mark.parametrize("name", sorted(PROMISED | set(jidoka.actors.__all__)))
def test_the_promised_names_can_be_imported(name: str) -> None:
    assert getattr(jidoka.actors, name).__module__.startswith("jidoka.actors")


def test_all_holds_every_promised_name_in_order() -> None:
    assert set(jidoka.actors.__all__) >= PROMISED
    assert list(jidoka.actors.__all__) == sorted(jidoka.actors.__all__)


def test_the_promised_methods_are_there() -> None:
    for name in ("on_start", "on_receive", "on_stop", "on_failure", "reply_errors", "start"):
        assert hasattr(Actor, name)
    for name in ("tell", "call", "stop", "kill", "wait_stopped", "is_alive", "proxy", "ask"):
        assert hasattr(ActorRef, name)
    for name in ("start", "supervise", "supervise_dynamic", "threaded", "shut_down"):
        assert hasattr(ActorSystem, name)
    for name in (
        "which_children",
        "count_children",
        "start_child",
        "terminate_child",
        "restart_child",
        "delete_child",
        "child",
    ):
        assert hasattr(SupervisorRef, name)


def test_what_is_pykkas_is_pykkas() -> None:
    assert issubclass(Actor, pykka.Actor)
    assert issubclass(ActorRef, pykka.ActorRef)
    assert issubclass(SupervisorRef, ActorRef)
    assert issubclass(Supervisor, Actor)
    assert issubclass(ActorDead, pykka.ActorDeadError)
    assert issubclass(CallTimeout, TimeoutError)
    assert issubclass(CallTimeout, pykka.Timeout)
    for error in (ActorDead, CallTimeout, ChildStartError):
        assert issubclass(error, JidokaError)


def test_an_actor_leaves_its_own_errors_to_the_caller() -> None:
    assert Actor.reply_errors == (JidokaError,)


def test_a_spec_shows_itself() -> None:
    assert repr(ChildSpec("a", Actor)) == "ChildSpec('a', Actor, restart='permanent', shutdown=5.0)"
