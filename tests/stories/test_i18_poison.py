"""I18: a message that crashes its handler three times is put aside, and the next one is served."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import jidoka
from jidoka.actors.errors import ActorRestarted
from jidoka.client import Client
from jidoka.core.errors import InvalidMessage, SessionFailed, TurnFailed
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.crashing import KILLS
from tests.stories.kit import HeldStore, a_client, all_of, journal, said, types_of
from tests.stories.stores import STORES, Boom, PoisonStore
from tests.stories.turning import is_well_formed

pytestmark = pytest.mark.usefixtures("unlogged")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PoisonStore:
    return PoisonStore(STORES[request.param](tmp_path))


@pytest.fixture
async def client(store: PoisonStore) -> AsyncIterator[Client]:
    async with a_client(store, world=VirtualWorld()) as client:
        yield client


async def put_aside(session: Session, content: str = "poison", **options: Any) -> str:
    """The id of the letter that a message has become."""
    with pytest.raises(ActorRestarted) as caught:
        await session.send_message("user", content, **options)
    assert caught.value.dead_letter is not None
    return caught.value.dead_letter


ERRORS = [Boom, SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, StopIteration]


@pytest.mark.parametrize("error", ERRORS)
async def test_a_poisonous_message_is_put_aside_and_the_next_one_is_served(
    client: Client, store: PoisonStore, error: type[BaseException]
) -> None:
    store.error = error
    session = await client.create_session()
    await session.send_message("user", "before")

    with pytest.raises(ActorRestarted, match="3 times") as caught:
        await session.send_message("user", "poison", metadata={"a": 1}, idempotency_key="mine")
    await session.send_message("user", "after")

    [letter] = await session.dead_letters()
    assert letter.id == caught.value.dead_letter
    assert (letter.kind, letter.key, letter.crashes) == ("send_message", "mine", 3)
    assert letter.error
    assert letter.request is not None
    assert letter.request["content"] == "poison"
    assert letter.request["metadata"] == {"a": 1}
    assert store.tasted["poison"] == 3
    assert await said(session) == [("user", "before"), ("user", "after")]
    entries = await journal(client, session)
    assert entries[letter.seq - 1].data["id"] == letter.id
    assert (await session.info()).status is SessionStatus.ACTIVE


async def test_it_costs_three_restarts_and_no_more(client: Client, store: PoisonStore) -> None:
    session = await client.create_session(config={"max_restarts": 3})

    await put_aside(session)

    assert (await types_of(client, session)).count("child_restarted") == 3
    assert (await session.info()).status is SessionStatus.ACTIVE


async def test_a_session_that_may_crash_only_twice_fails_of_it(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 2})

    with pytest.raises(SessionFailed):
        await session.send_message("user", "poison")

    assert (await types_of(client, session)).count("session_failed") == 1


async def test_a_message_that_crashes_only_sometimes_arrives_once(client: Client) -> None:
    session = await client.create_session()

    message = await session.send_message("user", "fragile 2")

    assert message.content == "fragile 2"
    assert await said(session) == [("user", "fragile 2")]
    assert await session.dead_letters() == []


async def test_the_crashes_of_a_message_are_counted_whoever_sends_it(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()

    outcomes = await all_of([partial(session.send_message, "user", "poison", idempotency_key="mine")] * 5)

    assert {type(outcome) for outcome in outcomes} == {ActorRestarted}
    assert len({outcome.dead_letter for outcome in outcomes}) == 1
    # Those that were sent before it was put aside have crashed as well.
    assert 3 <= store.tasted["poison"] < 10
    assert len(await session.dead_letters()) == 1


async def test_its_key_is_refused_at_once_as_long_as_the_letter_lies_there(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()
    letter = await put_aside(session, idempotency_key="mine")

    assert await put_aside(session, idempotency_key="mine") == letter

    assert store.tasted["poison"] == 3
    assert (await client.stats()).restarts == 3


async def test_what_is_requeued_arrives_once_under_its_own_key(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()
    letter = await put_aside(session, idempotency_key="mine")
    store.is_harmless = True

    message = await session.requeue(letter)

    assert message.content == "poison"
    assert await session.dead_letters() == []
    assert await session.send_message("user", "poison", idempotency_key="mine") == message
    assert await said(session) == [("user", "poison")]
    with pytest.raises(InvalidMessage):
        await session.requeue(letter)


async def test_many_who_requeue_it_at_once_send_it_once(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()
    letter = await put_aside(session)
    store.is_harmless = True

    outcomes = await all_of([partial(session.requeue, letter)] * 5)

    assert {outcome.content for outcome in outcomes} == {"poison"}
    assert await said(session) == [("user", "poison")]
    assert await session.dead_letters() == []


async def test_what_crashes_again_stays_where_it_is(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()
    letter = await put_aside(session)

    with pytest.raises(ActorRestarted) as caught:
        await session.requeue(letter)

    assert caught.value.dead_letter == letter
    [again] = await session.dead_letters()
    assert (again.id, again.crashes) == (letter, 6)
    assert store.tasted["poison"] == 6


async def test_a_letter_can_be_given_up(client: Client) -> None:
    session = await client.create_session()
    letter = await put_aside(session)

    await session.discard(letter)

    assert await session.dead_letters() == []
    for call in (session.discard, session.requeue):
        with pytest.raises(InvalidMessage):
            await call(letter)


@pytest.mark.parametrize("call", ["requeue", "discard"])
@pytest.mark.parametrize("bad", ["", None, 3, "x" * 100_000, "letter_of_nobody", "\0"])
async def test_what_is_no_letter_is_refused(client: Client, call: str, bad: Any) -> None:
    session = await client.create_session()

    with pytest.raises(InvalidMessage):
        await getattr(session, call)(bad)


@pytest.mark.parametrize("victim", [*KILLS, "suspension"])
async def test_letters_are_what_the_journal_says(client: Client, store: PoisonStore, victim: str) -> None:
    session = await client.create_session()
    letter = await put_aside(session)
    before = await session.dead_letters()

    await (session.suspend() if victim == "suspension" else KILLS[victim](client, session))

    assert await session.dead_letters() == before
    store.is_harmless = True
    await session.requeue(letter)
    assert await said(session) == [("user", "poison")]


async def test_what_waits_behind_it_arrives_once_each_and_in_order(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 100})
    contents = [f"{number}" if number % 5 else f"poison {number}" for number in range(40)]

    outcomes = await all_of(partial(session.send_message, "user", content) for content in contents)

    good = [content for content in contents if "poison" not in content]
    assert sorted(content for _, content in await said(session)) == sorted(good)
    for content, outcome in zip(contents, outcomes, strict=True):
        assert isinstance(outcome, ActorRestarted) is ("poison" in content)
    assert len(await session.dead_letters()) == 8


async def test_what_was_killed_is_not_to_blame() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session(config={"max_restarts": 100})
        async with anyio.create_task_group() as tasks:
            hold = store.hold(session.id)
            tasks.start_soon(partial(session.send_message, "user", "innocent"))
            for _ in range(6):
                await hold.reached.wait()
                hold = store.hold(session.id)
                await kill_child(session, "context_manager")
                with anyio.fail_after(5):
                    await _next_append(store, session.id, hold)
            hold.released.set()

        assert await said(session) == [("user", "innocent")]
        assert await session.dead_letters() == []


async def _next_append(store: HeldStore, session_id: str, hold: Any) -> None:
    # The new incarnation says first that it was restarted.
    await hold.reached.wait()
    following = store.hold(session_id)
    hold.released.set()
    await following.reached.wait()
    hold.reached, hold.released = following.reached, following.released


async def test_what_cannot_be_stored_is_put_aside_without_its_content(client: Client) -> None:
    session = await client.create_session()

    letter = await put_aside(session, "unstorable")

    [found] = await session.dead_letters()
    assert (found.id, found.request) == (letter, None)
    with pytest.raises(InvalidMessage):
        await session.requeue(letter)
    await session.send_message("user", "after")


async def test_a_message_that_took_effect_before_it_crashed_is_no_letter(tmp_path: Path) -> None:
    class CrashesAfterwards(PoisonStore):
        async def append(self, session_id: str, entries: Any, *, expected_seq: int) -> Any:
            head = await super().append(session_id, entries, expected_seq=expected_seq)
            if not self.is_harmless and any(entry.data.get("content") == "late" for entry in entries):
                raise Boom("after the commit")
            return head

    for name in STORES:
        async with a_client(CrashesAfterwards(STORES[name](tmp_path))) as client:
            session = await client.create_session()

            message = await session.send_message("user", "late", idempotency_key="mine")

            assert await said(session) == [("user", "late")]
            assert await session.send_message("user", "late", idempotency_key="mine") == message
            assert await session.dead_letters() == []


async def test_a_read_that_crashes_is_refused_and_leaves_no_letter(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "before")
    budget, client.house.max_context_tokens = client.house.max_context_tokens, "none"  # pyright: ignore

    with pytest.raises(ActorRestarted, match="3 times") as caught:
        await session.context_stats()

    client.house.max_context_tokens = budget
    assert caught.value.dead_letter is None
    assert await session.dead_letters() == []
    assert await said(session) == [("user", "before")]
    await session.context_stats()


@pytest.mark.parametrize("answer", ["poison", "fragile 2"])
async def test_a_turn_whose_answer_is_poison_has_failed(store: PoisonStore, answer: str) -> None:
    model = ScriptedModel([answer], ["fine"])
    async with a_client(store, models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"})

        if answer == "poison":
            with pytest.raises(TurnFailed, match="3 times"):
                await session.prompt("question")
        else:
            assert (await session.prompt("question")).content == answer

        assert (await session.prompt("another")).content == "fine"
        assert len(await session.get_history()) == (2 if answer == "poison" else 4)
        await is_well_formed(client, session)


WRITES: dict[str, tuple[str, Callable[[Session], Awaitable[Any]]]] = {
    "send_message": ("conversation_added", lambda s: s.send_message("user", "hello")),
    "clear_history": ("conversation_cleared", lambda s: s.clear_history()),
    "update": ("context_updated", lambda s: s.update(metadata={"a": [1]})),
    "add_file": ("file_added", lambda s: s.add_file("new.py")),
    "remove_file": ("file_removed", lambda s: s.remove_file("old.py")),
    "update_file_index": ("context_updated", lambda s: s.update_file_index("new.py", {"lines": 1})),
    "put_context": ("context_updated", lambda s: s.put_context("new", {"steps": [1]})),
    "delete_context": ("context_updated", lambda s: s.delete_context("old")),
}


@pytest.mark.parametrize("name", WRITES)
async def test_every_write_can_be_put_aside_and_requeued(client: Client, store: PoisonStore, name: str) -> None:
    type, write = WRITES[name]
    session, other = [await _with_old_things(client) for _ in range(2)]
    expected = await write(other)
    store.poisonous = {type}
    with pytest.raises(ActorRestarted):
        await write(session)
    [letter] = await session.dead_letters()
    assert letter.kind == name
    store.poisonous = set()

    answer = await session.requeue(letter.id)

    assert _plain(answer) == _plain(expected)
    assert await session.dead_letters() == []
    assert _plain(await session.build_context()) == _plain(await other.build_context())


async def _with_old_things(client: Client) -> Session:
    session = await client.create_session()
    await session.add_file("old.py")
    await session.put_context("old", 1)
    return session


PASSING = {"id", "seq", "session_id", "at", "created_at", "updated_at", "last_activity_at", "last_seq", "added_at"}


def _plain(answer: Any) -> Any:
    """Without what is different in each session."""
    if hasattr(answer, "model_dump"):
        answer = answer.model_dump(mode="json")
    if isinstance(answer, dict):
        return {name: _plain(value) for name, value in answer.items() if name not in {*PASSING, "timestamp"}}
    return [_plain(item) for item in answer] if isinstance(answer, list) else answer


async def test_decisions_and_control_are_refused_and_leave_no_letter(client: Client, store: PoisonStore) -> None:
    session = await client.create_session()
    store.poisonous = {"session_halted"}

    with pytest.raises(ActorRestarted, match="3 times"):
        await session.halt(reason="look")

    assert await session.dead_letters() == []
    store.poisonous = set()
    assert (await session.halt(reason="look")).status is SessionStatus.WAITING_INPUT


async def test_there_is_room_for_so_many_and_the_oldest_is_let_go(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jidoka.sessions.letters.MAX_LETTERS", 3)
    session = await client.create_session(config={"max_restarts": 100})

    letters = [await put_aside(session, f"poison {number}") for number in range(5)]

    assert [letter.id for letter in await session.dead_letters()] == letters[2:]
    removed = [entry.data for entry in await journal(client, session) if entry.data.get("op") == "remove"]
    assert [data["id"] for data in removed] == letters[:2]


async def test_letters_stay_in_the_session_in_which_they_died(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "kept")
    await put_aside(session)

    copies = [await session.fork(), await client.import_session(await session.export())]

    for copy in copies:
        assert await copy.dead_letters() == []
        assert await said(copy) == [("user", "kept")]


async def test_a_letter_is_a_model_with_a_round_trip(client: Client) -> None:
    session = await client.create_session()
    await put_aside(session)
    [letter] = await session.dead_letters()

    assert jidoka.DeadLetter.model_validate_json(letter.model_dump_json()) == letter


def test_the_blocking_half_has_them_too() -> None:
    store = PoisonStore(STORES["memory"](Path()))
    with jidoka.SyncClient(store) as client:
        session = client.create_session()
        with pytest.raises(ActorRestarted) as caught:
            session.send_message("user", "poison")
        store.is_harmless = True

        assert [letter.id for letter in session.dead_letters()] == [caught.value.dead_letter]
        assert session.requeue(caught.value.dead_letter or "").content == "poison"
        assert session.dead_letters() == []
