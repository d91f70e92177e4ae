"""What begins with a slash in a chat."""

import json
from pathlib import Path

import pytest

from jidoka.cli.slash import COMMANDS
from jidoka.client import Client
from tests.unit.cli.chatting import a_session, at_a_desk, chat_with


async def test_help_names_every_command() -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(client, session, "/help")

        assert list(desk.eyes.all("help")[0]["commands"]) == [f"/{name}" for name in COMMANDS]


async def test_history_has_the_last_messages() -> None:
    async with a_session(["an answer"]) as (client, session, _):
        desk = await chat_with(client, session, "/history", "one", "two", "/history", "/history 1")

        shown = [[message["content"] for message in told["messages"]] for told in desk.eyes.all("history")]
        assert shown == [[], ["one", "an answer", "two", "an answer"], ["an answer"]]


async def test_context_says_how_much_there_is() -> None:
    async with a_session(["an answer"]) as (client, session, _):
        await session.put_context("plan", [1, 2])
        desk = await chat_with(client, session, "one", "/context")

        [told] = desk.eyes.all("context")
        assert (told["stats"]["message_count"], told["seen"], told["keys"]) == (2, 2, ["plan"])


async def test_files_are_listed_added_and_removed() -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(
            client,
            session,
            "/files",
            "/files add my notes.md",
            "/files add b.py",
            "/files remove b.py",
            "/files push x",
        )

        shown = [[file["path"] for file in told["files"]] for told in desk.eyes.all("files")]
        assert shown == [[], ["my notes.md"], ["my notes.md", "b.py"], ["my notes.md"]]
        assert [file.path for file in await session.get_active_files()] == ["my notes.md"]
        assert len(desk.eyes.all("error")) == 1


async def test_events_are_the_end_of_the_journal() -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(client, session, "one", "/events 2", "/events")

        few, all_of_them = ([entry["type"] for entry in told["events"]] for told in desk.eyes.all("events"))
        assert few == ["conversation_added", "turn_completed"]
        assert all_of_them == [str(entry.type) for entry in await client.house.store.read(session.id)]


async def test_a_fork_is_where_the_chat_goes_on() -> None:
    async with a_session(["one"], ["two"], ["three"]) as (client, session, _):
        async with at_a_desk(client, session) as (desk, chat):
            desk.types("first")
            end = (await desk.eyes.next("message"))["message"]["seq"] + 1
            desk.types("second", f"/fork {end}", "third", "/history")
            await desk.eyes.next("history")
            fork = chat.session

        [told] = desk.eyes.all("forked")
        assert told["forked_from"] == {"session_id": session.id, "seq": end}
        assert told["session_id"] == fork.id != session.id
        assert [m.content for m in await session.get_history()] == ["first", "one", "second", "two"]
        assert [m.content for m in await fork.get_history()] == ["first", "one", "third", "three"]


async def test_a_fork_without_a_number_is_of_all_there_is() -> None:
    async with a_session(["one"]) as (client, session, _):
        last = (await session.info()).last_seq
        desk = await chat_with(client, session, "/fork")

        assert desk.eyes.all("forked")[0]["forked_from"]["seq"] == last


async def test_an_export_can_be_imported(tmp_path: Path) -> None:
    async with a_session(["one"]) as (client, session, _):
        desk = await chat_with(client, session, "first", f"/export {tmp_path / 'my session.json'}")

        [told] = desk.eyes.all("exported")
        async with Client() as other:
            copy = await other.import_session(Path(told["file"]).read_text())
            assert [message.content for message in await copy.get_history()] == ["first", "one"]


async def test_an_export_without_a_name_is_named_after_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with a_session(["one"]) as (client, session, _):
        await chat_with(client, session, "/export")

        assert json.loads((tmp_path / f"{session.id}.json").read_text())["session_id"] == session.id


async def test_the_model_is_named_and_stays() -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(client, session, "/model", "/model other")

        assert desk.eyes.all("model")[0]["model"] == "scripted"
        assert "keeps the model" in desk.eyes.all("error")[0]["error"]


@pytest.mark.parametrize("line", ["/quit", "/exit"])
async def test_after_quit_nothing_is_done(line: str) -> None:
    async with a_session(["x"]) as (client, session, _):
        await chat_with(client, session, line, "hello?")

        assert await session.get_history() == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("/histroy", "invalid_message"),
        ("/", "invalid_message"),
        ("/history many", "invalid_message"),
        ("/history 0", "invalid_message"),
        ("/fork 1000", "invalid_message"),
        ("/export /nowhere/at/all", "invalid_message"),
        ("/approve", "invalid_transition"),
        ("/reject", "invalid_transition"),
        ("/answer something", "invalid_transition"),
        ("/answer", "invalid_message"),
        (f"/halt {'x' * 20_000}", "invalid_message"),
    ],
)
async def test_what_cannot_be_done_is_said_and_nothing_is_sent_to_the_model(line: str, code: str) -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(client, session, line, "/model")

        assert [told["code"] for told in desk.eyes.all("error")] == [code]
        assert desk.eyes.all("model")
        assert await session.get_history() == []


async def test_what_is_nearly_a_command_is_told_which_it_may_be() -> None:
    async with a_session(["x"]) as (client, session, _):
        desk = await chat_with(client, session, "/histroy")

        assert "do you mean /history?" in desk.eyes.all("error")[0]["error"]
