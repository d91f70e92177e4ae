"""SyncClient and SyncSession: the same names, blocking, for any number of threads."""

import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import jidoka
from jidoka import Client, Session, SyncClient, SyncSession
from jidoka.testing.models import ScriptedModel

CLIENT_METHODS = """
    create_session session list_sessions import_session subscribe_to_all_sessions supervision_tree halt_all resume_all
    health stats get_session_info terminate_session send_message subscribe_to_session
"""

SESSION_METHODS = """
    info update terminate suspend resume fork export send_message get_history clear_history prompt stream cancel_turn
    send_input halt approve add_file remove_file get_active_files update_file_index get_file_index put_context
    get_context delete_context context_keys build_context context_stats subscribe which_children get_ref
    get_llm_agent_ref read_file dead_letters requeue discard begin_turn usage
"""

CLIENT, SESSION = CLIENT_METHODS.split(), SESSION_METHODS.split()

WAIT = 10.0


@pytest.fixture
def client() -> Iterator[SyncClient]:
    with SyncClient() as client:
        yield client


@contextmanager
def no_thread_more() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    more = set(threading.enumerate()) - before
    for thread in more:
        thread.join(WAIT)
    assert not [thread for thread in more if thread.is_alive()]


def in_a_thread(function: Callable[..., Any], *args: Any) -> "Future[Any]":
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *args)
    pool.shutdown(wait=False)
    return future


# --- the names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocking", "promised", "original"), [(SyncClient, CLIENT, Client), (SyncSession, SESSION, Session)]
)
def test_the_blocking_half_has_the_same_names(blocking: type, promised: list[str], original: type) -> None:
    methods = {
        name for name in vars(original) if not name.startswith("_") and callable(inspect.getattr_static(original, name))
    }

    assert methods == set(promised)
    assert {name for name in vars(blocking) if not name.startswith("_")} - {"id", "bridge"} == methods


@pytest.mark.parametrize(("blocking", "original"), [(SyncClient, Client), (SyncSession, Session)])
def test_every_method_takes_the_same_arguments(blocking: type, original: type) -> None:
    for name in CLIENT if original is Client else SESSION:
        ours, theirs = (inspect.signature(getattr(cls, name)) for cls in (blocking, original))

        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name


def test_they_are_among_the_names_of_the_package() -> None:
    assert jidoka.SyncClient is SyncClient
    assert jidoka.SyncSession is SyncSession


# --- using it ---------------------------------------------------------------------------------------


def test_a_conversation(client: SyncClient) -> None:
    session = client.create_session(metadata={"project": "apollo"})

    answer = session.prompt("hello")
    session.send_message("system", "a note")

    assert answer.content == "hello"
    assert [message.content for message in session.get_history()] == ["hello", "hello", "a note"]
    assert session.info().metadata == {"project": "apollo"}
    assert [child.id for child in session.which_children()] == ["context_manager", "orchestrator"]
    assert client.get_session_info(session.id).message_count == 3


def test_what_gives_a_session_gives_a_blocking_one(client: SyncClient) -> None:
    session = client.create_session(session_id="first_session")
    session.send_message("user", "hello")

    others = [client.session(session.id), session.fork(), client.import_session(session.export())]

    for other in others:
        assert isinstance(other, SyncSession)
        assert [message.content for message in other.get_history()] == ["hello"]
    assert others[0] == session
    assert others[1] != session
    assert {session, others[0]} == {session}


def test_every_method_of_a_session_answers(client: SyncClient) -> None:
    session = client.create_session()

    assert session.update(metadata={"a": 1}).version == 2
    assert [file.path for file in session.add_file("a.py")] == ["a.py"]
    assert "a.py" in session.update_file_index("a.py", {"lines": 3})
    assert session.get_file_index()["a.py"]["lines"] == 3
    assert session.remove_file("a.py") == session.get_active_files() == []
    session.put_context("key", [1])
    assert (session.get_context("key"), session.context_keys()) == ([1], ["key"])
    session.delete_context("key")
    assert session.context_keys() == []
    session.send_message("user", "hello")
    assert len(session.build_context().conversation) == session.context_stats().message_count == 1
    session.clear_history()
    assert session.get_history() == []
    assert session.cancel_turn() is False
    assert session.halt(reason="wait").status == "waiting_input"
    assert session.approve(decision="approve").status == "active"
    assert session.suspend().status == "suspended"
    assert session.resume().status == "active"
    assert session.get_ref().is_alive()
    assert session.get_llm_agent_ref().is_alive()
    session.terminate()
    assert session.info().status == "terminated"


def test_every_method_of_a_client_answers(client: SyncClient) -> None:
    session = client.create_session(owner="ada")

    assert [info.id for info in client.list_sessions(owner="ada")] == [session.id]
    assert client.send_message(session.id, "user", "hello").seq == 3
    assert client.supervision_tree().id == "jidoka"
    assert client.halt_all(reason="wait") == client.resume_all() == 1
    assert client.health().is_ok
    assert client.stats().active_sessions == 1
    client.terminate_session(session.id)
    assert list(client.list_sessions()) == []


def test_pykkas_ask_and_proxies_work_from_here(client: SyncClient) -> None:
    session = client.create_session()

    assert session.get_ref().proxy().restarts.get(timeout=WAIT) == 0


# --- iterating --------------------------------------------------------------------------------------


def test_events_come_with_for(client: SyncClient) -> None:
    session = client.create_session()

    with session.subscribe(after=0) as events:
        session.prompt("hello")
        seen = []
        for event in events:
            seen.append(event.type)
            if event.type == "turn_completed":
                break

        assert [event for event in seen if event != "output_received"] == [
            *("session_created", "session_status", "turn_started", "conversation_added", "conversation_added"),
            "turn_completed",
        ]
        assert events.missed == 0
        events.close()
        assert list(events) == []


def test_events_of_all_sessions_come_with_for(client: SyncClient) -> None:
    with client.subscribe_to_all_sessions(types=["session_created"]) as events:
        session = client.create_session()

        assert next(events).session_id == session.id

    with client.subscribe_to_session(session.id, after=0) as events:
        assert next(events).seq == 1


def test_a_turn_streams_with_for(client: SyncClient) -> None:
    session = client.create_session()

    with session.stream("one two three") as turn:
        pieces = list(turn)

        assert "".join(pieces) == turn.message.content == "one two three"

    with session.stream("four five") as turn:
        assert turn.text() == "four five"


def test_leaving_a_stream_cancels_the_turn() -> None:
    with SyncClient(models={"slow": Endless()}) as client:
        session = client.create_session(llm_config={"model": "slow"})

        with session.stream("hello") as turn:
            next(turn)

        assert session.get_history() == []
        with session.subscribe(after=0, types=["turn_cancelled"]) as events:
            assert next(events).type == "turn_cancelled"


def test_an_error_inside_the_block_passes_through(client: SyncClient) -> None:
    session = client.create_session()

    with pytest.raises(KeyError, match="mine"), session.subscribe():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), session.stream("hello"):
        raise KeyError("mine")

    assert client.stats().subscriptions == 0


class Endless:
    """Says something, and never comes to an end."""

    async def respond(self, context: Any, config: Any) -> Any:
        import anyio

        yield jidoka.Chunk(text="well, ")
        await anyio.sleep_forever()


# --- errors -----------------------------------------------------------------------------------------


def test_errors_pass_through(client: SyncClient) -> None:
    session = client.create_session()

    with pytest.raises(jidoka.SessionNotFound):
        client.session("nobody_at_all").info()
    with pytest.raises(jidoka.InvalidRole):
        session.send_message("wizard", "hello")
    with pytest.raises(jidoka.VersionConflict) as conflict:
        session.update(metadata={}, expected_version=7)
    assert conflict.value.current_version == 1
    with pytest.raises(jidoka.SessionNotFound), client.session("nobody_at_all").subscribe():
        pass
    with pytest.raises(jidoka.InvalidMessage):
        client.subscribe_to_all_sessions(types=["nonsense"]).__enter__()
    with pytest.raises(TypeError):
        session.update({"metadata": "is a keyword"})


def test_a_turn_that_fails_raises_at_the_end_of_the_stream() -> None:
    with SyncClient(models={"broken": ScriptedModel(["so ", OSError("no network")])}) as client:
        session = client.create_session(llm_config={"model": "broken"})

        with session.stream("hello") as turn, pytest.raises(jidoka.TurnFailed, match="no network"):
            list(turn)
        with pytest.raises(jidoka.TurnFailed):
            session.prompt("again")


def test_a_store_that_nobody_knows_leaves_no_thread_behind() -> None:
    with no_thread_more(), pytest.raises(jidoka.InvalidMessage), SyncClient("abacus://"):
        pass


def test_a_client_that_is_not_open_says_so() -> None:
    client = SyncClient()

    with pytest.raises(RuntimeError, match="not open"):
        client.create_session()
    with pytest.raises(RuntimeError, match="not open"):
        client.session("session_1")
    with client, pytest.raises(RuntimeError, match="open already"):
        client.__enter__()
    with pytest.raises(RuntimeError, match="not open"):
        client.list_sessions()


# --- threads ----------------------------------------------------------------------------------------


def test_many_threads_share_one_client(client: SyncClient) -> None:
    session = client.create_session()

    def talk(number: int) -> str:
        own = client.create_session()
        for turn in range(5):
            own.prompt(f"{number}/{turn}")
            session.send_message("user", f"{number}/{turn}")
        return own.id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(talk, range(16)))

    assert len(set(ids)) == 16
    for number, id in enumerate(ids):
        said = [message.content for message in client.session(id).get_history()]
        assert said == [f"{number}/{turn}" for turn in range(5) for _ in range(2)]
    common = [message.content for message in session.get_history()]
    for number in range(16):
        assert [said for said in common if said.startswith(f"{number}/")] == [f"{number}/{turn}" for turn in range(5)]


def test_closing_ends_the_iteration_of_another_thread() -> None:
    def listen(session: SyncSession, is_listening: threading.Event) -> list[str]:
        with session.subscribe() as events:
            is_listening.set()
            return [event.type for event in events]

    with no_thread_more():
        is_listening = threading.Event()
        with SyncClient() as client:
            heard = in_a_thread(listen, client.create_session(), is_listening)
            assert is_listening.wait(WAIT)

        assert isinstance(heard.result(WAIT), list)


@pytest.mark.parametrize("way", ["prompt", "stream"])
def test_closing_frees_a_thread_that_waits_for_a_turn(way: str) -> None:
    def wait_for_it(session: SyncSession) -> None:
        if way == "prompt":
            session.prompt("hello")
        else:
            with session.stream("hello") as turn:
                list(turn)

    with no_thread_more():
        with SyncClient(models={"slow": Endless()}) as client:
            session = client.create_session(llm_config={"model": "slow"})
            with session.subscribe(types=["output_received"]) as events:
                waiting = in_a_thread(wait_for_it, session)
                next(events)

        with pytest.raises(jidoka.JidokaError):
            waiting.result(WAIT)


def test_a_block_that_outlives_the_client_ends_quietly() -> None:
    with no_thread_more():
        with SyncClient() as client:
            session = client.create_session()
            subscription, stream = session.subscribe(), session.stream("hello")
            events, turn = subscription.__enter__(), stream.__enter__()

        for late in (session.info, lambda: next(events), lambda: next(turn)):
            with pytest.raises(jidoka.ActorDead, match="closed"):
                late()
        subscription.__exit__(None, None, None)
        stream.__exit__(None, None, None)


def test_the_thread_is_gone_when_the_client_is_closed() -> None:
    with no_thread_more(), SyncClient() as client:
        client.create_session()


def test_a_client_may_be_opened_again() -> None:
    client = SyncClient()

    with client:
        client.create_session()
    with client:
        assert client.stats().active_sessions == 0


def test_they_show_themselves(client: SyncClient) -> None:
    assert repr(client) == "<blocking <Client memory://: 0 sessions>>"
    assert repr(client.session("session_1")) == "<blocking <Session session_1>>"
