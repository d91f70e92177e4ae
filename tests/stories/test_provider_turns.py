"""Turns with providers' models: what the journal keeps of them, and what nobody gets to see."""

import gc
import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import CallTimeout
from jidoka.adapters.pydantic_ai import PydanticAIModel
from jidoka.client import Client
from jidoka.core.errors import InvalidMessage, ModelNotFound, TurnCancelled, TurnFailed
from jidoka.core.seals import sealed
from jidoka.core.settings import Settings
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import PATIENCE, purge_everything, said, take
from tests.stories.turning import Turn, is_well_formed
from tests.stubs.server import CUT, HOLD, Script, Stub, a_stub, refuses, says
from tests.stubs.wires import WIRES, Wire

# Letters, digits and _: it could be one of the words that providers have for what is wrong.
CANARY = "sk_canary_5e1f8d1c"
MODEL = {"model": "local:stub"}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The providers' SDKs are for asyncio."""
    return "asyncio", {}


@pytest.fixture(params=WIRES, ids=lambda wire: wire.provider)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param


def settings_for(wire: Wire, stub: Stub, **settings: Any) -> Settings:
    endpoint = {"kind": wire.provider, "base_url": stub.url(wire.base), "api_key": CANARY}
    return Settings(llm_endpoints={"local": endpoint}, llm_retry_first=0.001, **settings)  # pyright: ignore


@asynccontextmanager
async def a_house(
    wire: Wire, *scripts: Script, world: VirtualWorld | None = None, **settings: Any
) -> AsyncIterator[tuple[Client, Stub]]:
    async with a_stub(*scripts) as stub, Client(settings=settings_for(wire, stub, **settings), world=world) as client:
        yield client, stub


def well(wire: Wire, *pieces: str) -> Script:
    return says(wire.begin(), *(wire.piece(piece) for piece in pieces), wire.end())


async def test_a_turn_is_kept_as_any_other(wire: Wire) -> None:
    async with a_house(wire, well(wire, "Hel", "lo"), well(wire, "again")) as (client, stub):
        session = await client.create_session(llm_config={**MODEL, "temperature": 0.5})
        async with session.subscribe(types=["output_received", "turn_completed"]) as events:
            assert (await session.prompt("hi")).content == "Hello"
            heard = await take(events, 3)

        await session.prompt("and?")

        assert [event.data.get("text") for event in heard] == ["Hel", "lo", None]
        assert heard[-1].data["usage"] == {"input_tokens": 11, "output_tokens": 5, "cached_tokens": 3}
        assert await said(session) == [
            ("user", "hi"),
            ("assistant", "Hello"),
            ("user", "and?"),
            ("assistant", "again"),
        ]
        assert wire.roles(stub.seen[1].body) == ["user", "assistant", "user"]
        await is_well_formed(client, session)


async def test_a_stream_is_heard_while_it_comes(wire: Wire) -> None:
    go_on = anyio.Event()
    script = says(wire.begin(), wire.piece("one "), go_on, wire.piece("two"), wire.end())
    async with a_house(wire, script) as (client, _):
        session = await client.create_session(llm_config=MODEL)

        async with session.stream("hi") as turn:
            assert await anext(aiter(turn)) == "one "
            go_on.set()
            assert await turn.text() == "two"

        assert turn.message is not None
        assert turn.message.content == "one two"


async def test_a_failed_turn_says_why_in_one_word_and_leaves_nothing(wire: Wire) -> None:
    refusal = refuses(429, wire.error("slow down", "rate_limit_error"), Retry_After="77")
    async with a_house(wire, refusal, says(wire.begin(), wire.piece("half"), CUT), well(wire, "fine")) as (client, _):
        session = await client.create_session(llm_config=MODEL)
        errors: list[TurnFailed] = []
        for _ in range(2):
            with pytest.raises(TurnFailed) as caught:
                await session.prompt("hi")
            errors.append(caught.value)

        assert [(error.reason, error.retry_after) for error in errors] == [("rate_limited", 77.0), ("cut_off", None)]
        assert all(error.session_id == session.id and error.turn_id for error in errors)
        journal = await client.house.store.read(session.id)
        failed = [entry.data["error"] for entry in journal if entry.type == "turn_failed"]
        assert [error.partition(":")[0] for error in failed] == ["rate_limited", "cut_off"]
        assert await said(session) == []
        assert (await session.prompt("again")).content == "fine"
        await is_well_formed(client, session)


async def test_a_cancelled_turn_closes_the_providers_stream(wire: Wire) -> None:
    async with a_house(wire, says(wire.begin(), wire.piece("one "), HOLD)) as (client, stub):
        session = await client.create_session(llm_config=MODEL)
        turn = Turn()
        async with session.subscribe(types=["output_received"]) as events, anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await take(events, 1)
            assert await session.cancel_turn()

        assert isinstance(turn.outcome, TurnCancelled)
        with anyio.fail_after(PATIENCE):
            await stub.left.wait()
        assert await said(session) == []


async def test_a_turn_that_takes_too_long_closes_the_providers_stream(wire: Wire) -> None:
    world = VirtualWorld()
    turn = Turn()
    async with a_house(wire, says(wire.begin(), HOLD), world=world) as (client, stub):
        session = await client.create_session(llm_config=MODEL)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, timeout=30))
            await stub.asked.wait()
            await world.advance(30)

        assert isinstance(turn.outcome, CallTimeout)
        with anyio.fail_after(PATIENCE):
            await stub.left.wait()


async def test_a_client_that_is_closed_leaves_no_connection(wire: Wire) -> None:
    turn = Turn()
    async with a_stub(says(wire.begin(), wire.piece("one "), HOLD)) as stub, anyio.create_task_group() as tasks:
        async with Client(settings=settings_for(wire, stub)) as client:
            session = await client.create_session(llm_config=MODEL)
            async with session.subscribe(types=["output_received"]) as events:
                tasks.start_soon(turn.ask, session)
                await take(events, 1)

        with anyio.fail_after(PATIENCE):
            await stub.left.wait()


async def test_turns_leave_nothing_behind_however_they_end(wire: Wire) -> None:
    scripts = [
        *(well(wire, "warm"), well(wire, "fine"), refuses(500, wire.error("no", "api_error"))),
        *(says(wire.begin(), wire.piece("half"), CUT), says(wire.begin(), wire.piece("half"), HOLD)),
    ]
    async with a_house(wire, *scripts, llm_attempts=1) as (client, stub):

        async def ask(*, cancels: bool = False) -> None:
            turn = Turn()
            session = await client.create_session(llm_config=MODEL)
            stub.asked = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(turn.ask, session)
                await stub.asked.wait()
                if cancels:
                    await session.cancel_turn()
            outcomes.append(type(turn.outcome).__name__)
            await purge_everything(client)
            # Or else its connection is kept for the next turn, as it should be.
            await model.aclose()
            await stub.nobody()
            await anyio.wait_all_tasks_blocked()

        model, outcomes = client.house.models.find(MODEL["model"]), list[str]()
        assert isinstance(model, PydanticAIModel)
        await ask()
        async with nothing_left_behind(client):
            for cancels in (False, False, False, True):
                await ask(cancels=cancels)

        assert outcomes == ["Message", "Message", "TurnFailed", "TurnFailed", "TurnCancelled"]


async def test_a_model_with_an_address_of_its_own_is_handed_in(wire: Wire) -> None:
    async with a_stub(well(wire, "mine")) as stub:
        mine = PydanticAIModel(f"{wire.provider}:stub", base_url=stub.url(wire.base), api_key=CANARY)
        async with Client(models={"mine": mine}) as client:
            session = await client.create_session(llm_config={"model": "mine"})

            assert (await session.prompt("hi")).content == "mine"


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({**MODEL, "base_url": "http://169.254.169.254"}, InvalidMessage),
        ({**MODEL, "api_key": CANARY}, InvalidMessage),
        ({"model": "echo", "api_key": CANARY}, InvalidMessage),
        ({**MODEL, "temperatur": 1}, InvalidMessage),
        ({**MODEL, "temperature": "hot"}, InvalidMessage),
        ({"model": "lokal:stub"}, ModelNotFound),
        ({"model": "local:"}, ModelNotFound),
    ],
)
async def test_what_a_session_may_not_choose_is_refused(
    wire: Wire, config: dict[str, Any], error: type[Exception]
) -> None:
    async with a_house(wire, well(wire, "x")) as (client, stub):
        with pytest.raises(error) as caught:
            await client.create_session(llm_config=config)

        assert CANARY not in str(caught.value)
        assert await client.list_sessions() == []
        assert stub.seen == []


async def test_an_imported_session_cannot_choose_an_address_either(wire: Wire) -> None:
    async with a_house(wire, well(wire, "x")) as (client, stub), a_stub(well(wire, "elsewhere")) as other:
        session = await client.create_session(llm_config=MODEL)
        document = await session.export()
        document["entries"][0]["data"]["llm_config"]["base_url"] = other.url()
        imported = await client.import_session(sealed({key: document[key] for key in document if key != "sha256"}))

        with pytest.raises(TurnFailed):
            await imported.prompt("hi")
        assert (stub.seen, other.seen) == ([], [])


# --- the canary --------------------------------------------------------------------------------------------------


def everything_of(error: BaseException) -> str:
    """An error as a log, a door, a debugger or another process would show it, with what led to it."""
    shown = [pickle.dumps(error).decode("latin-1"), *traceback.format_exception(error)]
    cause: BaseException | None = error
    while cause is not None:
        shown += [repr(cause), str(cause), repr(cause.__dict__), repr(cause.args)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(shown)


async def test_a_key_is_nowhere_to_be_seen(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = f"Incorrect API key provided: {CANARY}"
    scripts = [
        well(wire, "fine"),
        refuses(401, wire.error(told, "authentication_error", CANARY)),
        refuses(400, {"error": {"message": told, "type": CANARY, "code": CANARY}}),
        refuses(429, wire.error(told, "rate_limit_error"), Retry_After=CANARY),
        refuses(500, told),
        refuses(404, wire.error(told, "not_found_error")),
        says(told.encode(), content_type="text/html"),
        says(b"data: " + told.encode() + b"\n\n"),
        says(wire.begin(), wire.piece("half"), wire.in_stream_error(told)),
        says(wire.begin(), wire.piece("half"), CUT),
        Script([], status=307, headers={"Location": f"http://127.0.0.1:9/{CANARY}"}),
    ]
    seen: list[str] = []
    async with a_house(wire, *scripts, llm_attempts=1, llm_failures=100) as (client, stub):
        session = await client.create_session(llm_config=MODEL)
        async with session.subscribe() as events:
            for _ in scripts:
                try:
                    await session.prompt("hi")
                except TurnFailed as error:
                    seen.append(everything_of(error))
            assert len(stub.seen) == len(scripts)
            assert len(seen) == len(scripts) - 1
            await session.terminate()
            seen += [event.model_dump_json() async for event in events]
        seen += [json.dumps(await session.export()), (await session.info()).model_dump_json()]
        seen += [(await client.health()).model_dump_json(), (await client.stats()).model_dump_json()]
        seen += [(await client.supervision_tree()).model_dump_json(), repr(client), repr(client.house)]
        seen += [repr(entry) for entry in await client.house.store.read(session.id)]
        seen += [repr(model) for model in gc.get_objects() if isinstance(model, PydanticAIModel)]
        settings = settings_for(wire, stub)
        seen += [repr(settings), settings.model_dump_json(), str(settings.model_dump())]

    records = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert len(records) > len(scripts)
    leaks = [text[max(0, text.index(CANARY) - 200) :][:400] for text in (*seen, *records) if CANARY in text]
    assert leaks == []
