"""A chat: each line is a turn, and whatever a turn comes to, the chat goes on."""

from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import SessionTerminated
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from tests.unit.cli.chatting import Away, a_session, at_a_desk, chat_with


async def history(session: Session) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in await session.get_history()]


async def types_of(client: Client, session: Session) -> list[str]:
    return [str(entry.type) for entry in await client.house.store.read(session.id)]


# --- turns ------------------------------------------------------------------------------------------


async def test_each_line_of_a_script_is_a_turn_and_its_end_is_the_end() -> None:
    async with a_session(["one ", "two"], ["three"]) as (client, session, _):
        desk = await chat_with(client, session, "first", "", "   ", "second")

        assert desk.said == ["one two", "three"]
        assert [piece["text"] for piece in desk.eyes.all("text")] == ["one ", "two", "three"]
        assert [content for role, content in await history(session) if role == "user"] == ["first", "second"]


async def test_an_answer_is_shown_as_it_comes() -> None:
    go_on = anyio.Event()
    async with (
        a_session(["so far", go_on, " so good"]) as (client, session, _),
        at_a_desk(client, session) as (desk, _),
    ):
        desk.types("go")
        assert (await desk.eyes.next("text"))["text"] == "so far"
        assert desk.said == []
        go_on.set()
        await desk.eyes.next("message")

    assert desk.said == ["so far so good"]


async def test_a_turn_that_fails_says_why_and_the_chat_goes_on() -> None:
    async with a_session([RuntimeError("no idea")], ["better"]) as (client, session, _):
        desk = await chat_with(client, session, "first", "second")

        assert [said["code"] for said in desk.eyes.all("error")] == ["turn_failed"]
        assert "no idea" in desk.eyes.all("error")[0]["error"]
        assert desk.said == ["better"]


async def test_a_store_that_is_away_says_so_and_the_chat_goes_on_when_it_is_back() -> None:
    store = Away()
    async with (
        a_session(["here"], store=store) as (client, session, _),
        at_a_desk(client, session) as (desk, _),
    ):
        await desk.eyes.asked(1)
        store.is_away = True
        desk.types("anybody?")
        assert (await desk.eyes.next("error"))["code"] == "store_unavailable"
        store.is_away = False
        desk.types("and now?")
        await desk.eyes.next("message")

    assert desk.said == ["here"]


async def test_a_session_that_somebody_ends_ends_the_chat() -> None:
    async with a_session(["hello"]) as (client, session, _):
        with pytest.RaisesGroup(SessionTerminated):
            async with at_a_desk(client, session) as (desk, _):
                await desk.eyes.asked(1)
                await session.terminate()
                desk.types("hello?")


async def test_a_message_may_begin_with_a_slash() -> None:
    async with a_session(["yes"]) as (client, session, _):
        await chat_with(client, session, "//etc is a directory")

        assert (await history(session))[0] == ("user", "/etc is a directory")


# --- Ctrl-C -----------------------------------------------------------------------------------------


async def test_the_first_interrupt_cancels_the_turn_and_the_chat_goes_on() -> None:
    never = anyio.Event()
    async with a_session(["well", never], ["fine"]) as (client, session, _), at_a_desk(client, session) as (desk, chat):
        desk.types("first")
        await desk.eyes.next("text")
        assert chat.interrupt()
        await desk.eyes.next("turn_cancelled")
        desk.types("second")
        await desk.eyes.next("message")

        assert await history(session) == [("user", "second"), ("assistant", "fine")]
        assert "turn_cancelled" in await types_of(client, session)


async def test_the_second_interrupt_is_not_for_the_turn() -> None:
    never = anyio.Event()
    async with a_session(["well", never]) as (client, session, _), at_a_desk(client, session) as (desk, chat):
        desk.types("first")
        await desk.eyes.next("text")

        assert [chat.interrupt(), chat.interrupt()] == [True, False]
        await desk.eyes.next("turn_cancelled")


async def test_without_a_turn_an_interrupt_is_for_the_chat() -> None:
    async with a_session(["well"]) as (client, session, _), at_a_desk(client, session) as (desk, chat):
        await desk.eyes.asked(1)

        assert not chat.interrupt()


# --- what is typed while an answer comes -------------------------------------------------------------


async def test_what_is_typed_while_an_answer_comes_is_for_later() -> None:
    go_on = anyio.Event()
    async with (
        a_session(["one", go_on], ["two"]) as (client, session, _),
        at_a_desk(client, session, is_terminal=True) as (desk, _),
    ):
        desk.types("first")
        await desk.eyes.next("text")
        desk.types("second")
        go_on.set()
        await desk.eyes.next("message", number=2)

    assert desk.said == ["one", "two"]


async def test_an_interrupt_forgets_what_was_typed_ahead() -> None:
    never = anyio.Event()
    async with (
        a_session(["one", never], ["two"]) as (client, session, _),
        at_a_desk(client, session, is_terminal=True) as (desk, chat),
    ):
        desk.types("first")
        await desk.eyes.next("text")
        desk.types("second")
        await desk.taken(2)
        chat.interrupt()
        await desk.eyes.next("turn_cancelled")
        desk.types("third")
        await desk.eyes.next("message")

        assert await history(session) == [("user", "third"), ("assistant", "two")]


async def test_a_turn_under_way_can_be_halted_on_a_terminal() -> None:
    go_on = anyio.Event()
    async with (
        a_session(["done", go_on]) as (client, session, _),
        at_a_desk(client, session, is_terminal=True) as (desk, _),
    ):
        desk.types("delete everything")
        await desk.eyes.next("text")
        desk.types("/halt too dangerous")
        assert (await desk.eyes.next("session_halted"))["reason"] == "too dangerous"
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        desk.types("n")
        await desk.eyes.next("turn_cancelled")

        assert await history(session) == []


# --- halts ------------------------------------------------------------------------------------------


class Stopped:
    """A chat whose turn has been stopped by somebody, with an answer that may not take effect yet."""

    def __init__(self, reason: str = "too dangerous") -> None:
        self.reason = reason
        self.go_on = anyio.Event()

    async def begin(self, session: Session, desk: Any) -> None:
        desk.types("delete everything?")
        await desk.eyes.next("text")
        await session.halt(reason=self.reason)
        self.go_on.set()
        await desk.eyes.next("session_halted")
        # It has its answer, and may not say so.
        await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("yes", ["y", "YES", "/approve it is only a test"])
async def test_a_halted_turn_says_why_and_goes_on_when_somebody_says_yes(yes: str) -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _), at_a_desk(client, session) as (desk, _):
        await stop.begin(session, desk)
        assert desk.eyes.all("session_halted")[0]["reason"] == "too dangerous"
        desk.types(yes)
        await desk.eyes.next("message")

        told = [entry.data for entry in await client.house.store.read(session.id) if entry.type == "decision_recorded"]
        assert [data["by"] for data in told] == ["ada"]
        assert told[0]["note"] == ("it is only a test" if yes.startswith("/") else None)


@pytest.mark.parametrize("no", ["n", "no", "/reject never"])
async def test_a_halted_turn_does_not_go_on_when_somebody_says_no(no: str) -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _), at_a_desk(client, session) as (desk, _):
        await stop.begin(session, desk)
        desk.types(no)
        await desk.eyes.next("turn_cancelled")

        assert await history(session) == []


async def test_what_is_no_decision_decides_nothing() -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _), at_a_desk(client, session) as (desk, _):
        await stop.begin(session, desk)
        desk.types("no, wait", "/history", "/fork")
        await desk.eyes.next("note")
        assert "decide about it first" in (await desk.eyes.next("error"))["error"]
        assert (await session.info()).status is SessionStatus.WAITING_INPUT
        desk.types("y")
        await desk.eyes.next("message")


async def test_a_question_of_the_model_is_answered_with_anything() -> None:
    stop = Stopped("model_asks")
    async with a_session(["done", stop.go_on]) as (client, session, _), at_a_desk(client, session) as (desk, _):
        await stop.begin(session, desk)
        desk.types("no")
        await desk.eyes.next("message")

        assert ("user", "no") in await history(session)


async def test_whoever_leaves_a_halted_turn_leaves_it_to_the_next_who_comes() -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _):
        async with at_a_desk(client, session) as (desk, _):
            await stop.begin(session, desk)
        assert (await session.info()).status is SessionStatus.WAITING_INPUT
        assert "turn_cancelled" not in await types_of(client, session)

        async with at_a_desk(client, session) as (desk, _):
            assert (await desk.eyes.next("session_halted"))["reason"] == "too dangerous"
            desk.types("y")
            await desk.eyes.next("message")

        assert await history(session) == [("user", "delete everything?"), ("assistant", "done")]


async def test_a_chat_that_is_ended_has_decided_nothing_either() -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _):
        with anyio.CancelScope() as process:
            async with at_a_desk(client, session) as (desk, _):
                await stop.begin(session, desk)
                process.cancel()
        await anyio.wait_all_tasks_blocked()

        assert (await session.info()).status is SessionStatus.WAITING_INPUT
        assert "turn_cancelled" not in await types_of(client, session)


async def test_what_was_typed_before_a_halt_decides_nothing() -> None:
    stop = Stopped()
    async with (
        a_session(["done", stop.go_on], ["later"]) as (client, session, _),
        at_a_desk(client, session, is_terminal=True) as (desk, _),
    ):
        desk.types("delete everything?")
        await desk.eyes.next("text")
        desk.types("y")
        await desk.taken(2)
        await session.halt(reason="too dangerous")
        stop.go_on.set()
        await desk.eyes.next("session_halted")
        await anyio.wait_all_tasks_blocked()
        assert (await session.info()).status is SessionStatus.WAITING_INPUT
        desk.types("n")
        await desk.eyes.next("turn_cancelled")
        desk.types("/history")
        await desk.eyes.next("history")

    assert desk.said == []


async def test_leaving_by_a_command_does_not_decide_either() -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _):
        async with at_a_desk(client, session) as (desk, _):
            await stop.begin(session, desk)
            desk.types("/quit")
        assert (await session.info()).status is SessionStatus.WAITING_INPUT


async def test_a_halted_turn_can_be_cancelled() -> None:
    stop = Stopped()
    async with a_session(["done", stop.go_on]) as (client, session, _), at_a_desk(client, session) as (desk, chat):
        await stop.begin(session, desk)
        assert chat.interrupt()
        await desk.eyes.next("turn_cancelled")

        assert await history(session) == []


async def test_a_session_can_be_halted_while_it_rests_and_takes_no_prompt_then() -> None:
    async with a_session(["done"]) as (client, session, _):
        desk = await chat_with(client, session, "/halt look at it", "delete everything", "/resume", "go on")

        assert desk.eyes.all("session_halted")[0]["reason"] == "look at it"
        assert len(desk.eyes.all("note")) == 1
        assert await history(session) == [("user", "go on"), ("assistant", "done")]


# --- turns of others --------------------------------------------------------------------------------


async def test_a_turn_of_somebody_else_is_followed_to_its_end() -> None:
    go_on = anyio.Event()
    async with (
        a_session(["some", go_on, "body"], ["me"]) as (client, session, model),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(session.prompt, "by somebody")
        await model.started.wait()
        async with at_a_desk(client, session) as (desk, _):
            await anyio.wait_all_tasks_blocked()
            go_on.set()
            await desk.eyes.next("message")
            desk.types("mine")
            await desk.eyes.next("message", number=2)

    assert desk.said == ["somebody", "me"]


async def test_a_prompt_in_the_middle_of_a_turn_is_refused_and_that_turn_followed() -> None:
    go_on = anyio.Event()
    async with (
        a_session(["some", go_on, "body"], ["me"]) as (client, session, model),
        at_a_desk(client, session) as (
            desk,
            _,
        ),
    ):
        await desk.eyes.asked(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.prompt, "by somebody")
            await model.started.wait()
            desk.types("mine")
            assert (await desk.eyes.next("error"))["code"] == "turn_in_progress"
            go_on.set()
            await desk.eyes.next("message")

    assert desk.said == ["somebody"]
