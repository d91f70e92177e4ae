"""Tools at the client's door: which there are, and which of them a session may use."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

import jidoka
from jidoka.client import Client
from jidoka.core.errors import InvalidMessage
from jidoka.core.seals import sealed
from jidoka.core.settings import Settings
from jidoka.session import Session
from jidoka.sync import SyncClient
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import PATIENCE, journal, purge_everything
from tests.unit.adapters import tools_at_hand

INFO = jidoka.CallInfo("session_1", "turn_1", "call_1", "key_1")


def look(city: str) -> str:
    """Look at a city."""
    return f"{city} is there"


@jidoka.tool(name="send_off", needs_approval=True)
async def send(to: str, info: jidoka.CallInfo) -> dict[str, str]:
    return {"to": to, "key": info.key}


TOOLS = (look, send)


@asynccontextmanager
async def a_client_with(*tools: Any, store: Any = "memory://", **settings: Any) -> AsyncIterator[Client]:
    async with (
        Client(store, tools=tools, settings=Settings(**settings), world=VirtualWorld()) as client,
        nothing_left_behind(client),
    ):
        yield client
        await purge_everything(client)


async def tools_of(client: Client, session: Session) -> dict[str, Any]:
    """What the session's turns will have."""
    head = await client.house.store.head(session.id)
    assert head is not None
    return dict(client.house.tools.chosen(head.llm_config))


async def test_a_session_has_the_tools_that_it_chose_and_no_others() -> None:
    async with a_client_with(*TOOLS) as client:
        both = await client.create_session(llm_config={"tools": ["look", "send_off"]})
        none = [await client.create_session(llm_config=config) for config in (None, {}, {"tools": []})]

        found = await tools_of(client, both)
        assert [(name, tool.needs_approval) for name, tool in found.items()] == [("look", False), ("send_off", True)]
        assert (await found["look"].run({"city": "Rome"}, INFO)).content == "Rome is there"
        assert (await found["send_off"].run({"to": "me"}, INFO)).content == '{"to":"me","key":"key_1"}'
        assert [await tools_of(client, session) for session in none] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (["lok"], "no tool is called 'lok'; there are: look"),
        (["look", "*"], "list of names"),
        ("look", "list of names"),
        ({"look": True}, "list of names"),
        ([7], "list of names"),
    ],
)
async def test_a_choice_that_cannot_be_is_refused_and_no_session_is_made(chosen: Any, words: str) -> None:
    async with a_client_with(*TOOLS) as client:
        with pytest.raises(InvalidMessage, match=words.replace("*", r"\*")) as caught:
            await client.create_session(llm_config={"tools": chosen})

        assert caught.value.field == "tools"
        assert await client.list_sessions() == []


async def test_a_client_without_tools_says_so() -> None:
    async with a_client_with() as client:
        with pytest.raises(InvalidMessage, match="there is none at all"):
            await client.create_session(llm_config={"tools": ["look"]})


async def exported(llm_config: dict[str, Any]) -> dict[str, Any]:
    """A session that was made where there are all the tools, chosen as *llm_config* says."""
    async with a_client_with(*TOOLS) as client:
        session = await client.create_session()
        document = await session.export()
    document["entries"][0]["data"]["llm_config"] = llm_config
    return sealed({key: document[key] for key in document if key != "sha256"})


async def test_an_imported_session_chooses_from_the_same_tools() -> None:
    document = await exported({"tools": ["look"]})

    async with a_client_with(*TOOLS) as client:
        assert list(await tools_of(client, await client.import_session(document))) == ["look"]
    async with a_client_with(send) as client:
        with pytest.raises(InvalidMessage, match="no tool is called 'look'; there are: send_off"):
            await client.import_session(document)
        assert await client.list_sessions() == []


async def test_a_client_without_tools_carries_over_what_others_will_run() -> None:
    document = await exported({"tools": ["look"]})

    async with a_client_with() as client:
        copied = await (await client.import_session(document)).export()

    async with a_client_with(*TOOLS) as client:
        assert list(await tools_of(client, await client.import_session(copied))) == ["look"]


async def test_an_imported_choice_that_is_no_list_is_refused_everywhere() -> None:
    document = await exported({"tools": "*"})

    for tools in ((), TOOLS):
        async with a_client_with(*tools) as client:
            with pytest.raises(InvalidMessage, match="list of names"):
                await client.import_session(document)


async def test_a_fork_keeps_the_choice() -> None:
    async with a_client_with(*TOOLS) as client:
        session = await client.create_session(llm_config={"tools": ["look"]})

        assert list(await tools_of(client, await session.fork())) == ["look"]


def untyped(city):  # pyright: ignore
    return city


@pytest.mark.parametrize("tools", [(untyped,), (look, look), (7,), "look", (lambda: 1,)], ids=repr)
async def test_what_cannot_be_a_tool_is_refused_before_anything_is_opened(tools: Any, tmp_path: Any) -> None:
    client = Client(f"sqlite:///{tmp_path}/x.db", tools=tools)

    with pytest.raises(InvalidMessage):
        await client.__aenter__()

    assert list(tmp_path.iterdir()) == []


def test_a_blocking_client_has_tools_as_well() -> None:
    with SyncClient(tools=(*TOOLS, tools_at_hand.add)) as client:
        client.create_session(llm_config={"tools": ["look", "add"]})

        tool = client.inner.house.tools.chosen({"tools": ["add"]})["add"]
        assert client.bridge.call(tool.run, {"a": 40}, INFO).content == "42"
        with pytest.raises(InvalidMessage):
            client.create_session(llm_config={"tools": ["lok"]})


async def test_a_call_that_goes_on_after_it_was_given_up_is_seen() -> None:
    begun, may_end, token = anyio.Event(), threading.Event(), anyio.lowlevel.current_token()

    def hang() -> None:
        anyio.from_thread.run_sync(begun.set, token=token)
        assert may_end.wait(PATIENCE)

    async with a_client_with(hang) as client:
        session = await client.create_session(llm_config={"tools": ["hang"]})
        tool = (await tools_of(client, session))["hang"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tool.run, {}, INFO)
            await begun.wait()
            tasks.cancel_scope.cancel()

        assert (await client.stats()).abandoned == 1
        assert (await client.health()).problems == ("abandoned: a call of the tool hang",)
        may_end.set()
        with anyio.fail_after(PATIENCE):
            while client.house.tools.abandoned:
                await anyio.lowlevel.checkpoint()
        assert (await client.health()).is_ok


async def test_what_a_session_chose_is_in_its_journal() -> None:
    async with a_client_with(*TOOLS) as client:
        session = await client.create_session(llm_config={"tools": ["look"]})

        assert (await journal(client, session))[0].data["llm_config"] == {"tools": ["look"]}


async def test_limits_are_settings() -> None:
    async with a_client_with(look, tool_output=5) as client:
        session = await client.create_session(llm_config={"tools": ["look"]})

        end = await (await tools_of(client, session))["look"].run({"city": "Rome"}, INFO)

        assert end.outcome == "error"
        assert "5 are taken" in end.content
