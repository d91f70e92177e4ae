"""Whatever is handed in at a door is taken or refused by name, and breaks nothing."""

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import CallTimeout, InvalidChildSpec
from jidoka.client import Client
from jidoka.core.errors import (
    InvalidMessage,
    InvalidRole,
    InvalidSessionId,
    JidokaError,
    ModelNotFound,
    VersionConflict,
)
from jidoka.core.settings import Settings
from jidoka.session import Session
from tests.stories.kit import said, types_of

HALF = "half a character: \ud800"
ENDLESS: dict[str, Any] = {}
ENDLESS["itself"] = ENDLESS
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]


class Text(str):
    """Text of somebody's own kind."""


BAD_IDS: list[Any] = [
    *("", "short", "x" * 65, "-leading1", "_leading1", "has space", "dot.dot.dot", "../../../etc", "sl/ash/sl"),
    *("nul\0nul\0", "ümläutöß", "new_line\n", "１２３４５６７８", HALF, None, 7, 1.5, b"bytes_id", [], {}, True),
]
BAD_TEXTS: list[Any] = ["", None, 7, 1.5, True, b"bytes", [], {}, ["text"], "nul\0", HALF, object()]
BAD_OBJECTS: list[Any] = [
    *(7, "text", [], [1], True, b"", 0, object()),
    *(
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": [float("-inf")]},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": object()},
    ),
    *({1: "a"}, {None: "a"}, {"a": {2: 3}}, {"a\0": 1}, {"a": "\0"}, {"a": HALF}, {HALF: 1}, {"a": 10**5000}),
    *(ENDLESS, {"a": DEEP}, {"a": range(3)}, {"a": 1j}, {"a": "x" * 2_000_000}),
]
BAD_COUNTS: list[Any] = [-1, 1.0, "1", True, None, [], 10**30, float("nan")]
BAD_SECONDS: list[Any] = [-1, -0.001, float("nan"), float("inf"), "1", True, [], 10**400]


def refuses(*kinds: type[JidokaError]) -> Any:
    return pytest.raises(kinds)


def shown(value: Any) -> str:
    """A name for a parameter, whatever it is."""
    try:
        text = "" if type(value) is object else ascii(value)[:24]
    except ValueError:
        text = "too large to be shown"
    return f"{type(value).__name__} {text}"


# --- creating ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session_id", [value for value in BAD_IDS if value is not None], ids=shown)
async def test_an_id_outside_the_pattern_is_refused_at_every_door(client: Client, session_id: Any) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.create_session(session_id=session_id),
        lambda: client.get_session_info(session_id),
        lambda: client.terminate_session(session_id),
        lambda: client.terminate_session(session_id, purge=True),
        lambda: client.send_message(session_id, "user", "hello"),
        lambda: client.session(session_id).prompt("hello"),
        lambda: client.session(session_id).cancel_turn(),
        lambda: client.session(session_id).suspend(),
        lambda: client.session(session_id).resume(),
        lambda: client.session(session_id).fork(),
        lambda: client.session(session_id).get_ref(),
        lambda: client.session(session_id).which_children(),
        lambda: client.session(session_id).halt(reason="x"),
    ]
    for call in calls:
        with refuses(InvalidSessionId) as caught:
            await call()
        assert caught.value.code == "invalid_session_id"
    with refuses(InvalidSessionId):
        async with client.subscribe_to_session(session_id):
            pass
    assert await client.list_sessions() == []


@pytest.mark.parametrize("field", ["metadata", "llm_config", "config"])
@pytest.mark.parametrize("value", BAD_OBJECTS, ids=shown)
async def test_what_is_not_a_json_object_is_refused(client: Client, field: str, value: Any) -> None:
    with refuses(InvalidMessage):
        await client.create_session(**{field: value})

    assert await client.list_sessions() == []


@pytest.mark.parametrize("value", [value for value in BAD_TEXTS if value is not None] + ["x" * 256], ids=shown)
async def test_an_owner_is_a_name(client: Client, value: Any) -> None:
    for call in (client.create_session, client.list_sessions):
        with refuses(InvalidMessage):
            await call(owner=value)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"no_such_option": 1}, InvalidMessage),
        ({"": 1}, InvalidMessage),
        ({"strategy": "one_for_none"}, InvalidChildSpec),
        ({"strategy": None}, InvalidChildSpec),
        ({"strategy": ["one_for_one"]}, InvalidChildSpec),
        ({"max_restarts": -1}, InvalidChildSpec),
        ({"max_restarts": 1.5}, InvalidChildSpec),
        ({"max_restarts": True}, InvalidChildSpec),
        ({"max_restarts": "many"}, InvalidChildSpec),
        ({"within": 0}, InvalidChildSpec),
        ({"within": -5}, InvalidChildSpec),
        ({"within": "5"}, InvalidChildSpec),
        ({"within": 10**300}, InvalidChildSpec),
        ({"shutdown": -1}, InvalidChildSpec),
        ({"shutdown": "infinity"}, InvalidChildSpec),
        ({"shutdown": None}, InvalidChildSpec),
        ({"idle_after": 0}, InvalidMessage),
        ({"idle_after": -1}, InvalidMessage),
        ({"idle_after": "300"}, InvalidMessage),
        ({"idle_after": True}, InvalidMessage),
        ({"suspend_after": 0}, InvalidMessage),
        ({"suspend_after": None}, InvalidMessage),
        ({"suspend_after": 10**300}, InvalidMessage),
        ({"max_files": 0}, InvalidMessage),
        ({"max_files": 1.5}, InvalidMessage),
        ({"max_context_items": -1}, InvalidMessage),
        ({"max_context_items": 10**30}, InvalidMessage),
    ],
    ids=str,
)
async def test_a_config_that_no_session_could_have_is_refused(
    client: Client, config: dict[str, Any], error: type[JidokaError]
) -> None:
    with refuses(error) as caught:
        await client.create_session(config=config)

    assert caught.value.code == {InvalidMessage: "invalid_message", InvalidChildSpec: "invalid_child_spec"}[error]
    assert isinstance(caught.value, ValueError)
    assert await client.list_sessions() == []


@pytest.mark.parametrize("model", ["nobody", "", 7, None, [], {}, True])
async def test_a_model_that_nobody_knows_is_refused(client: Client, model: Any) -> None:
    with refuses(ModelNotFound) as caught:
        await client.create_session(llm_config={"model": model})

    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("llm_config", "field"),
    [
        ({"context": "smart"}, "context"),
        ({"context": {"polcy": "smart"}}, "context.polcy"),
        ({"context": {"policy": "smartest"}}, "context.policy"),
        ({"context": {"recent": 0}}, "context.recent"),
        ({"rules": 3}, "rules"),
        ({"rules": {"repeats": 1}}, "rules.repeats"),
        ({"rules": {"unknown": None}}, "rules.unknown"),
    ],
)
async def test_what_cannot_be_of_context_and_rules_is_refused(
    client: Client, llm_config: dict[str, Any], field: str
) -> None:
    with refuses(InvalidMessage) as caught:
        await client.create_session(llm_config=llm_config)

    assert caught.value.field == field


async def test_a_session_says_how_it_is_shown_and_when_it_stops(client: Client) -> None:
    llm_config = {"context": {"policy": "smart", "keywords": ["fire"]}, "rules": {"needs_approval": ["deploy"]}}

    session = await client.create_session(llm_config=llm_config)

    assert (await session.info()).llm_config == llm_config


# --- talking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["", "robot", "User", "user ", None, 7, [], {}, b"user", "\0", HALF, True], ids=shown)
async def test_an_unknown_role_is_refused(client: Client, role: Any) -> None:
    session = await client.create_session()

    with refuses(InvalidRole) as caught:
        await session.send_message(role, "hello")

    assert caught.value.code == "invalid_role"
    assert await said(session) == []


async def _streamed(session: Session, content: Any, **options: Any) -> str:
    async with session.stream(content, **options) as turn:
        return await turn.text()


TEXTS: dict[str, Callable[[Session, Any], Awaitable[Any]]] = {
    "send_message": lambda s, text: s.send_message("user", text),
    "prompt": lambda s, text: s.prompt(text),
    "stream": _streamed,
    "send_input": lambda s, text: s.send_input(text),
    "halt": lambda s, text: s.halt(reason=text),
    "approve": lambda s, text: s.approve(decision=text),
    "terminate": lambda s, text: s.terminate(reason=text),
    "add_file": lambda s, text: s.add_file(text),
    "remove_file": lambda s, text: s.remove_file(text),
    "update_file_index": lambda s, text: s.update_file_index(text, {}),
    "put_context": lambda s, text: s.put_context(text, 1),
    "get_context": lambda s, text: s.get_context(text),
    "delete_context": lambda s, text: s.delete_context(text),
}


@pytest.mark.parametrize("door", TEXTS)
@pytest.mark.parametrize("text", BAD_TEXTS, ids=shown)
async def test_text_that_says_nothing_sound_is_refused_at_every_door(client: Client, door: str, text: Any) -> None:
    session = await client.create_session()
    before = await types_of(client, session)

    with refuses(InvalidMessage) as caught:
        await TEXTS[door](session, text)

    assert caught.value.code == "invalid_message"
    assert await types_of(client, session) == before


@pytest.mark.parametrize("value", [*BAD_OBJECTS, None], ids=shown)
@pytest.mark.parametrize(
    "door", ["send_message", "update", "update_file_index", "put_context", "list_sessions", "fork"]
)
async def test_json_is_checked_at_every_door(client: Client, door: str, value: Any) -> None:
    session = await client.create_session()
    before = await types_of(client, session)
    doors: dict[str, Callable[[], Awaitable[Any]]] = {
        "send_message": lambda: session.send_message("user", "hello", metadata=value),
        "update": lambda: session.update(metadata=value),
        "update_file_index": lambda: session.update_file_index("a.py", value),
        "put_context": lambda: session.put_context("key", value),
        "list_sessions": lambda: client.list_sessions(metadata=value),
        "fork": lambda: session.fork(metadata=value),
    }
    try:
        await doors[door]()
    except InvalidMessage:
        assert await types_of(client, session) == before
    else:
        is_any_json = door == "put_context" and isinstance(value, int | str | list | bool | None)
        assert is_any_json or value is None


@pytest.mark.parametrize("key", ["", 7, True, [], b"key", "\0", HALF, "x" * 256, object()], ids=shown)
async def test_an_idempotency_key_is_short_text(client: Client, key: Any) -> None:
    session = await client.create_session()

    for call in (
        lambda: session.send_message("user", "hello", idempotency_key=key),
        lambda: session.prompt("hello", idempotency_key=key),
        lambda: _streamed(session, "hello", idempotency_key=key),
    ):
        with refuses(InvalidMessage):
            await call()
    assert await said(session) == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "🦔", "turn_x:start", "' OR 1=1 --"])
async def test_any_short_text_is_a_key(client: Client, key: str) -> None:
    session = await client.create_session()

    first = await session.send_message("user", "hello", idempotency_key=key)
    answer = await session.prompt("hello", idempotency_key=key)

    assert await session.send_message("user", "hello", idempotency_key=key) == first
    assert await session.prompt("hello", idempotency_key=key) == answer


@pytest.mark.parametrize("timeout", BAD_SECONDS, ids=shown)
async def test_a_negative_deadline_or_none_that_is_a_number_is_refused(client: Client, timeout: Any) -> None:
    session = await client.create_session()

    for call in (
        lambda: session.prompt("hello", timeout=timeout),
        lambda: _streamed(session, "hello", timeout=timeout),
    ):
        with refuses(InvalidMessage):
            await call()


@pytest.mark.parametrize("value", BAD_COUNTS, ids=shown)
async def test_counts_are_whole_numbers_in_bounds(client: Client, value: Any) -> None:
    session = await client.create_session()
    calls: list[Callable[[], Any]] = [
        lambda: session.get_history(after=value),
        lambda: client.list_sessions(limit=value),
        lambda: session.subscribe(max_buffer=value),
        lambda: client.subscribe_to_all_sessions(max_buffer=value),
    ]
    if value is not None:
        calls += [
            lambda: session.get_history(limit=value),
            lambda: session.update(metadata={}, expected_version=value),
            lambda: session.build_context(max_messages=value),
            lambda: session.build_context(max_files=value),
            lambda: session.build_context(max_tokens=value),
            lambda: session.fork(at=value),
            lambda: session.subscribe(after=value),
        ]
    for call in calls:
        with refuses(InvalidMessage):
            entered = call()
            if inspect.isawaitable(entered):
                await entered


@pytest.mark.parametrize("limit", [0, 1001, -5])
async def test_a_page_has_1_to_1000_sessions(client: Client, limit: int) -> None:
    with refuses(InvalidMessage) as caught:
        await client.list_sessions(limit=limit)

    assert caught.value.field == "limit"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "nonsense", "YWZ0ZXI6LTE", "YWZ0ZXI6MQ==", "YWZ0ZXI6MDE", "\0", HALF, 7, b"x", [], True],
    ids=shown,
)
async def test_a_cursor_that_is_not_ours_is_refused(client: Client, cursor: Any) -> None:
    with refuses(InvalidMessage) as caught:
        await client.list_sessions(cursor=cursor)

    assert caught.value.field == "cursor"


@pytest.mark.parametrize(
    "status", ["", "nobody", "ACTIVE", 7, [7], ["active", "nobody"], [[]], object(), b"active"], ids=shown
)
async def test_a_status_that_is_none_is_refused(client: Client, status: Any) -> None:
    with refuses(InvalidMessage):
        await client.list_sessions(status=status)


@pytest.mark.parametrize("types", ["nobody", "", 7, [7], ["nobody"], [[]], [None], object(), b"gap", True], ids=shown)
async def test_types_that_no_event_has_are_refused(client: Client, types: Any) -> None:
    session = await client.create_session()

    for subscribe in (session.subscribe, client.subscribe_to_all_sessions):
        with refuses(InvalidMessage):
            subscribe(types=types)


@pytest.mark.parametrize(
    "include", ["conversation", "", 7, None, [7], ["codebase"], [[]], [None], b"files", object()], ids=shown
)
async def test_parts_that_no_context_has_are_refused(client: Client, include: Any) -> None:
    session = await client.create_session()

    with refuses(InvalidMessage) as caught:
        await session.build_context(include)

    assert caught.value.field == "include"
    assert [child.restarts for child in await session.which_children()] == [0, 0]


@pytest.mark.parametrize("decision", ["", "maybe", "Approve", None, True, ["approve"], {"approve": 1}], ids=shown)
async def test_a_decision_is_one_of_two(client: Client, decision: Any) -> None:
    session = await client.create_session()
    await session.halt(reason="look")

    with refuses(InvalidMessage):
        await session.approve(decision=decision)

    await session.approve(decision="approve")


@pytest.mark.parametrize("field", ["note", "by"])
@pytest.mark.parametrize("value", [value for value in BAD_TEXTS if value is not None], ids=shown)
async def test_a_note_and_a_name_are_text(client: Client, field: str, value: Any) -> None:
    session = await client.create_session()
    await session.halt(reason="look")

    with refuses(InvalidMessage):
        await session.approve(decision="approve", **{field: value})

    assert (await session.info()).status == "waiting_input"


@pytest.mark.parametrize("reason", BAD_TEXTS, ids=shown)
async def test_the_reason_to_stop_all_lines_is_text(client: Client, reason: Any) -> None:
    session = await client.create_session()

    with refuses(InvalidMessage):
        await client.halt_all(reason=reason)

    assert (await session.info()).status == "active"


# --- what is fine -----------------------------------------------------------------------------------------------------


async def test_a_path_may_be_a_path(client: Client) -> None:
    session = await client.create_session()

    await session.add_file(Path("src") / "a.py")  # pyright: ignore

    assert [file.path for file in await session.get_active_files()] == [str(Path("src") / "a.py")]


@pytest.mark.parametrize(
    "text", [" ", "\n", "🦔", "\x7f", "\x01", "\u202e", "x" * 10_000, "'; DROP TABLE sessions; --"]
)
async def test_any_other_text_is_kept_as_it_is(client: Client, text: str) -> None:
    session = await client.create_session(metadata={text: text})

    await session.send_message("user", Text(text))
    await session.put_context("key", {text: Text(text)})

    (message,) = await session.get_history()
    assert message.content == text
    assert type(message).model_validate_json(message.model_dump_json()) == message
    assert (await session.info()).metadata == {text: text}
    assert await session.get_context("key") == {text: text}


async def test_after_everything_bad_a_session_works_as_before(client: Client) -> None:
    session = await client.create_session()
    for bad in BAD_TEXTS:
        for door in TEXTS.values():
            with refuses(InvalidMessage):
                await door(session, bad)
    with refuses(VersionConflict):
        await session.update(metadata={}, expected_version=7)
    with refuses(CallTimeout):
        await session.prompt("hello", timeout=0)

    assert (await session.prompt("hello")).content == "hello"
    assert [child.restarts for child in await session.which_children()] == [0, 0]
    assert (await client.stats()).restarts == 0


@pytest.mark.parametrize("store", ["", "memory", "nothing://", "memory://x", "http://example.org"])
async def test_a_store_that_nobody_knows_is_refused(store: str) -> None:
    with refuses(InvalidMessage):
        async with Client(store):
            pass


async def test_a_client_is_opened_once_and_may_be_opened_again() -> None:
    client = Client()
    for _ in range(2):
        async with client:
            with pytest.raises(RuntimeError, match="open already"):
                async with client:
                    pass
            await client.create_session()
    with anyio.fail_after(1), pytest.raises(RuntimeError, match="not open"):
        await client.stats()


@pytest.mark.parametrize(
    "options",
    [
        {"max_sessions": 0},
        {"call_timeout": 0},
        {"call_timeout": float("inf")},
        {"mailbox": 0},
        {"strategy": "one_for_none"},
        {"idle_after": 0},
        {"no_such_setting": 1},
    ],
    ids=str,
)
def test_settings_that_cannot_be_right_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Settings(**options)


@pytest.mark.parametrize(
    "llm", [{"model": "echo", "tempreature": 1}, {"temprature": 1}, {"model": "echo", "max_turn": 3}]
)
async def test_options_that_nobody_knows_are_refused(client: Client, llm: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        await client.create_session(llm_config=llm)

    assert caught.value.field == "llm_config"
