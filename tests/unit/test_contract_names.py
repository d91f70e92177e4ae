"""The names, signatures and defaults that programs elsewhere are written against. Changed only by a major version."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from types import FunctionType
from typing import Any, get_args

import pykka
import pytest
from pydantic import BaseModel

import jidoka
from jidoka import actors
from jidoka.actors.exits import ExitKind
from jidoka.actors.policy import AutoShutdown, Policy, Strategy
from jidoka.actors.specs import ChildState, Kind, Restart
from jidoka.core.errors import JidokaError
from jidoka.core.events import GLOBAL_TOPIC, LIVE_ONLY, topic_of
from jidoka.core.lifecycle import MOVES

PARTS = ("conversation", "files", "file_index", "working_context")
SEND = "role, content, *, metadata=None, idempotency_key=None"
SUBSCRIBE = "*, after=None, types=None, max_buffer=1000"
PROMPT = "content, *, idempotency_key=None, timeout=None"
SUBSCRIPTION = "AbstractAsyncContextManager[Subscription]"

CLIENT = {
    "create_session": ("*, session_id=None, owner=None, metadata=None, llm_config=None, config=None", "Session"),
    "session": ("session_id", "Session"),
    "list_sessions": ("*, status=None, owner=None, metadata=None, limit=100, cursor=None", "Page[SessionInfo]"),
    "import_session": ("document", "Session"),
    "subscribe_to_all_sessions": ("*, types=None, max_buffer=1000", SUBSCRIPTION),
    "supervision_tree": ("", "TreeNode"),
    "halt_all": ("*, reason", "int"),
    "resume_all": ("", "int"),
    "health": ("", "Health"),
    "stats": ("", "Stats"),
    "get_session_info": ("session_id", "SessionInfo"),
    "terminate_session": ('session_id, *, reason="requested", purge=False', "None"),
    "send_message": (f"session_id, {SEND}", "Message"),
    "subscribe_to_session": (f"session_id, {SUBSCRIBE}", SUBSCRIPTION),
}

SESSION = {
    "info": ("", "SessionInfo"),
    "update": ("*, metadata, expected_version=None", "SessionInfo"),
    "terminate": ('*, reason="requested", purge=False', "None"),
    "suspend": ("", "SessionInfo"),
    "resume": ("", "SessionInfo"),
    "fork": ("*, at=None, metadata=None", "Session"),
    "export": ("", "dict[str, Any]"),
    "send_message": (SEND, "Message"),
    "get_history": ("*, after=0, limit=None", "list[Message]"),
    "clear_history": ("", "None"),
    "prompt": (PROMPT, "Message"),
    "stream": (PROMPT, "AsyncGenerator[TurnStream]"),
    "cancel_turn": ("", "bool"),
    "send_input": ("text", "None"),
    "halt": ("*, reason", "SessionInfo"),
    "approve": ("*, decision, note=None, by=None", "SessionInfo"),
    "add_file": ("path", "list[ActiveFile]"),
    "remove_file": ("path", "list[ActiveFile]"),
    "get_active_files": ("", "list[ActiveFile]"),
    "update_file_index": ("path, metadata", "dict[str, dict[str, Any]]"),
    "get_file_index": ("", "dict[str, dict[str, Any]]"),
    "put_context": ("key, value", "None"),
    "get_context": ("key", "Any"),
    "delete_context": ("key", "None"),
    "context_keys": ("", "list[str]"),
    "build_context": (f"include={PARTS}, *, max_messages=None, max_files=None, max_tokens=None", "Context"),
    "context_stats": ("", "ContextStats"),
    "subscribe": (SUBSCRIBE, SUBSCRIPTION),
    "which_children": ("", "list[ChildInfo]"),
    "get_ref": ("", "SupervisorRef"),
    "get_llm_agent_ref": ("", "ActorRef[Any]"),
    # Not in the first contract: files of the session's workspace; what became of requests that crash their handler.
    "read_file": ("path", "str"),
    "dead_letters": ("", "list[DeadLetter]"),
    "requeue": ("letter_id", "Any"),
    "discard": ("letter_id", "None"),
    # Nor these: turns that nobody waits for, and what they cost.
    "begin_turn": ("content, *, idempotency_key=None, timeout=None", "str"),
    "usage": ("", "SessionUsage"),
}

# A handle, and context managers that are entered later.
NOT_AWAITED = {"session", "subscribe", "subscribe_to_session", "subscribe_to_all_sessions", "stream"}

FIELDS: dict[type, str] = {
    jidoka.Event: "id seq type session_id at data correlation_id causation_id",
    jidoka.TreeNode: "id type session_id ref state restarts mailbox children",
    jidoka.ActiveFile: "path added_at",
    jidoka.Chunk: "text tool_call tool_result usage question",
}

MODELS = [
    *(jidoka.ActiveFile, jidoka.Chunk, jidoka.Context, jidoka.ContextStats, jidoka.DeadLetter, jidoka.Event),
    *(jidoka.Health, jidoka.LLMConfig, jidoka.Message, jidoka.Page, jidoka.SessionInfo, jidoka.Stats, jidoka.TreeNode),
]

STATUSES = "initializing active idle waiting_input suspended terminating terminated failed"

MOVES_ALLOWED = {
    "initializing": "active failed terminated",
    "active": "idle waiting_input suspended terminating failed",
    "idle": "active suspended terminating failed",
    "waiting_input": "active suspended terminating failed",
    "suspended": "active terminating",
    "terminating": "terminated failed",
    "failed": "active terminating",
    "terminated": "",
}

EVENTS = """
    session_created session_status session_idle session_resumed session_suspended session_terminated session_failed
    conversation_added conversation_cleared context_pruned context_updated file_added file_removed turn_started
    output_received turn_completed turn_failed turn_cancelled tool_call tool_result session_halted decision_recorded
    child_restarted timeout_warning resource_warning gap
"""

ERRORS = """
    SessionNotFound SessionExists SessionTerminated SessionFailed SessionLimitReached InvalidTransition InvalidRole
    InvalidSessionId InvalidMessage VersionConflict IdempotencyConflict TurnInProgress TurnCancelled TurnFailed
    ModelNotFound StoreUnavailable StorageFull CorruptRecord MailboxFull CallTimeout ActorDead ActorRestarted
    ChildStartError InvalidChildSpec InvalidPath FileUnreadable WorkspaceUnavailable
"""


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults, without `self`."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found if each.name != "self"]


def written(text: str) -> list[tuple[str, Any, Any]]:
    """The same of a signature that is written down."""
    return parameters(eval(f"lambda {text}: None"))


def public_methods(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if isinstance(value, FunctionType) and not name.startswith("_")}


# --- client and session -----------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "promised"), [(jidoka.Client, CLIENT), (jidoka.Session, SESSION)])
def test_there_is_every_promised_method_and_no_other(cls: type, promised: dict[str, Any]) -> None:
    assert public_methods(cls) == promised.keys()


@pytest.mark.parametrize(
    ("cls", "name", "signature", "returns"),
    [
        (cls, name, *text)
        for cls, of in ((jidoka.Client, CLIENT), (jidoka.Session, SESSION))
        for name, text in of.items()
    ],
)
def test_a_method_is_called_and_answers_as_promised(cls: type, name: str, signature: str, returns: str) -> None:
    method = getattr(cls, name)

    assert parameters(method) == written(signature)
    assert inspect.signature(method).return_annotation == returns
    assert inspect.iscoroutinefunction(method) == (name not in NOT_AWAITED)


@pytest.mark.parametrize("cls", [jidoka.Client, jidoka.SyncClient])
def test_a_client_is_made_as_promised(cls: type) -> None:
    promised = written('store="memory://", *, settings=None, models=None')

    assert parameters(cls)[: len(promised)] == promised
    assert all(
        kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD) for _, kind, _ in parameters(cls)[1:]
    )


@pytest.mark.parametrize(("ours", "theirs"), [(jidoka.SyncClient, CLIENT), (jidoka.SyncSession, SESSION)])
def test_the_blocking_half_has_the_same_names_and_signatures(ours: type, theirs: dict[str, tuple[str, str]]) -> None:
    assert public_methods(ours) == theirs.keys()
    for name, (signature, _) in theirs.items():
        assert parameters(getattr(ours, name)) == written(signature), name


def test_both_halves_are_context_managers() -> None:
    assert hasattr(jidoka.Client, "__aenter__")
    assert not hasattr(jidoka.Client, "__enter__")
    assert hasattr(jidoka.SyncClient, "__enter__")
    for name in ("__aenter__", "__aiter__", "__anext__"):
        assert hasattr(jidoka.Subscription, name)
    for name in ("__aiter__", "__anext__", "message"):
        assert hasattr(jidoka.TurnStream, name)


def test_settings_are_read_from_their_prefix() -> None:
    assert jidoka.Settings.model_config["env_prefix"] == "JIDOKA_"


@pytest.mark.parametrize(("cls", "names"), FIELDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_model_has_the_promised_fields_and_no_other(cls: type[BaseModel], names: str) -> None:
    assert list(cls.model_fields) == names.split()


@pytest.mark.parametrize("cls", MODELS)
def test_what_is_returned_is_immutable(cls: type[BaseModel]) -> None:
    assert issubclass(cls, BaseModel)
    assert cls.model_config["frozen"] is True


def test_models_have_the_fields_that_are_spoken_of() -> None:
    assert {"seq", "role", "content"} <= jidoka.Message.model_fields.keys()
    assert {"status", "version", "incarnation", "owner", "metadata"} <= jidoka.SessionInfo.model_fields.keys()
    assert {"message_count", "estimated_tokens", "context_percentage"} <= jidoka.ContextStats.model_fields.keys()
    assert "next_cursor" in jidoka.Page.model_fields
    assert hasattr(jidoka.VersionConflict("session_a", current_version=2), "current_version")


# --- status, events, errors -------------------------------------------------------------------------


def test_there_is_every_promised_status_and_move_and_no_other() -> None:
    assert [str(status) for status in jidoka.SessionStatus] == STATUSES.split()
    assert {str(status): {str(target) for target in targets} for status, targets in MOVES.items()} == {
        status: set(targets.split()) for status, targets in MOVES_ALLOWED.items()
    }


def test_there_is_every_promised_event_and_no_other() -> None:
    assert {str(type) for type in jidoka.EventType} == set(EVENTS.split())
    assert set(LIVE_ONLY) == {"output_received", "timeout_warning", "resource_warning", "gap"}


def test_topics_are_called_as_promised() -> None:
    assert topic_of("session_a") == "client.session.session_a"
    assert GLOBAL_TOPIC == "client.global_events"


def test_there_is_every_promised_error_and_no_other() -> None:
    values = {name: getattr(jidoka, name) for name in dir(jidoka) if not name.startswith("_")}
    errors = {name for name, value in values.items() if isinstance(value, type) and issubclass(value, BaseException)}

    assert errors == {*ERRORS.split(), "JidokaError"}


@pytest.mark.parametrize("name", ERRORS.split())
def test_an_error_has_its_name_as_code(name: str) -> None:
    error = getattr(jidoka, name)

    assert issubclass(error, JidokaError)
    assert error.code == re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_errors_are_those_of_others_where_that_is_promised() -> None:
    assert issubclass(jidoka.ActorDead, pykka.ActorDeadError)
    assert issubclass(jidoka.CallTimeout, TimeoutError)


# --- models -----------------------------------------------------------------------------------------


def test_a_model_responds_as_promised() -> None:
    for model in (jidoka.Model, jidoka.EchoModel):
        assert parameters(model.respond) == written("context, config")


async def test_echo_is_built_in_and_the_default() -> None:
    assert jidoka.LLMConfig().model == "echo"

    async with jidoka.Client() as client:
        session = await client.create_session()

        assert (await session.prompt("hello")).content == "hello"


# --- actors -----------------------------------------------------------------------------------------

REF = {
    "tell": "message",
    "call": "message, timeout=5.0",
    "kill": "",
    "wait_stopped": "",
    "is_alive": "",
    "proxy": "",
}
SUPERVISOR_REF = {
    "which_children": "",
    "count_children": "",
    "terminate_child": "id",
    "restart_child": "id",
    "delete_child": "id",
    "child": "id",
}


@pytest.mark.parametrize(
    ("cls", "name", "signature"),
    [(cls, *of) for cls, all in ((actors.ActorRef, REF), (actors.SupervisorRef, SUPERVISOR_REF)) for of in all.items()],
)
def test_a_ref_is_used_as_promised(cls: type, name: str, signature: str) -> None:
    assert parameters(getattr(cls, name)) == written(signature)


def test_what_is_awaited_of_a_ref() -> None:
    assert inspect.iscoroutinefunction(actors.ActorRef.call)
    assert inspect.iscoroutinefunction(actors.ActorRef.wait_stopped)
    assert all(inspect.iscoroutinefunction(getattr(actors.SupervisorRef, name)) for name in SUPERVISOR_REF)
    assert inspect.iscoroutinefunction(actors.SupervisorRef.start_child)
    assert "timeout" in inspect.signature(actors.ActorRef.stop).parameters


async def test_stop_is_awaited_on_the_loop() -> None:
    async with actors.ActorSystem(name="mine") as system:
        ref = await system.start(actors.Actor)

        assert await ref.stop(timeout=5.0) is True
        assert await ref.wait_stopped() == actors.ExitReason("normal", "")
        assert await ref.stop() is False


async def test_supervisors_take_the_promised_arguments() -> None:
    child = actors.ChildSpec("a", actors.Actor)
    options: dict[str, Any] = {
        "max_restarts": 3,
        "within": 1.0,
        "backoff": actors.Backoff(),
    }
    async with actors.ActorSystem() as system:
        tree = await system.supervise([child], strategy="rest_for_one", auto_shutdown="never", **options)
        pool = await system.supervise_dynamic(child, max_children=2, **options)
        nested = await tree.start_child(actors.ChildSpec("b", actors.Supervisor, kwargs={"children": [child]}))

        assert (await tree.child("a")).is_alive()
        assert (await pool.start_child()).is_alive()
        assert [(info.id, info.type) for info in await tree.which_children()] == [("a", "worker"), ("b", "supervisor")]
        assert isinstance(nested, actors.SupervisorRef)


def test_supervisors_have_the_promised_defaults() -> None:
    policy = Policy()

    assert (policy.strategy, policy.max_restarts, policy.within) == ("one_for_one", 1, 5.0)
    assert policy.auto_shutdown == "never"
    assert get_args(Strategy) == ("one_for_one", "one_for_all", "rest_for_one")
    assert get_args(AutoShutdown) == ("never", "any_significant", "all_significant")


def test_a_child_spec_has_the_promised_arguments_and_defaults() -> None:
    spec = actors.ChildSpec("a", actors.Actor, (1,), {"b": 2})
    plain = actors.ChildSpec("a", actors.Actor)
    kinds = {name: kind for name, kind, _ in parameters(actors.ChildSpec)}

    assert (spec.args, spec.kwargs) == ((1,), {"b": 2})
    assert (plain.args, plain.kwargs) == ((), {})
    assert (plain.restart, plain.shutdown, plain.significant, plain.type) == ("permanent", 5.0, False, "worker")
    assert all(kinds[name] is inspect.Parameter.KEYWORD_ONLY for name in ("restart", "shutdown", "significant", "type"))
    assert get_args(Restart) == ("permanent", "transient", "temporary")
    for shutdown in (0, 0.5, "kill", "infinity"):
        assert actors.ChildSpec("a", actors.Actor, shutdown=shutdown).shutdown == shutdown  # pyright: ignore


def test_what_is_told_of_a_child_and_of_an_end() -> None:
    assert [field.name for field in fields(actors.ChildInfo)] == "id ref type restart state restarts mailbox".split()  # noqa: SIM905
    assert get_args(ChildState) == ("running", "restarting", "stopped", "abandoned")
    assert get_args(Kind) == ("worker", "supervisor")
    assert [field.name for field in fields(actors.ExitReason)] == ["kind", "detail"]
    assert get_args(ExitKind) == ("normal", "shutdown", "crash", "killed", "abandoned", "escalated")


def test_an_actor_has_pykkas_hooks() -> None:
    for name, count in {"on_start": 0, "on_receive": 1, "on_stop": 0, "on_failure": 3}.items():
        assert len(parameters(getattr(actors.Actor, name))) == count
    assert actors.Actor.reply_errors == (JidokaError,)
    assert actors.Actor.exit_reason is None


def test_the_words_that_a_handler_raises() -> None:
    assert actors.Shutdown("enough").detail == "enough"
    assert all(issubclass(word, Exception) for word in (actors.Stop, actors.Shutdown, actors.Ignore))


def test_a_system_is_made_as_promised() -> None:
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in parameters(actors.ActorSystem))
    assert "name" in inspect.signature(actors.ActorSystem).parameters
    assert inspect.iscoroutinefunction(actors.ActorSystem.start)
    assert parameters(actors.ActorSystem.supervise)[0][0] == "children"
    assert parameters(actors.ActorSystem.supervise_dynamic)[:2] == [
        ("template", inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty),
        ("max_children", inspect.Parameter.KEYWORD_ONLY, None),
    ]


def test_a_system_on_a_thread_is_used_as_pykka_is() -> None:
    class Doubles(actors.Actor):
        def on_receive(self, message: int) -> int:
            return 2 * message

        def add(self, a: int, b: int) -> int:
            return a + b

    with actors.ActorSystem.threaded():
        ref = Doubles.start()

        assert ref.ask(21, timeout=5) == 42
        assert ref.proxy().add(1, 2).get(timeout=5) == 3
        assert ref.stop(block=True) is True
