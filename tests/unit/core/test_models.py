"""What the methods return: frozen, and the same after a trip through JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from jidoka.core.chunks import Chunk, LLMConfig, ToolCall, ToolResult, Usage
from jidoka.core.events import Event
from jidoka.core.frozen import FrozenDict, FrozenList
from jidoka.core.messages import ActiveFile, Context, ContextStats, Message, SessionInfo
from jidoka.core.pages import Page
from jidoka.core.records import trusted
from jidoka.core.status import SessionStatus
from jidoka.core.views import Health, Stats, TreeNode

NOON = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
MESSAGE = Message(
    id="m1", seq=3, session_id="session_1", role="user", content="Grüße", at=NOON, metadata={"tags": ["a", {"b": 1}]}
)
INFO = SessionInfo(
    session_id="session_1",
    status=SessionStatus.ACTIVE,
    version=1,
    incarnation=1,
    owner=None,
    metadata={"project": "apollo"},
    llm_config={"model": "echo"},
    config={},
    created_at=NOON,
    updated_at=NOON,
    last_activity_at=NOON,
    message_count=1,
    last_seq=3,
)
TREE = TreeNode(
    id="root",
    type="supervisor",
    ref="urn:a",
    state="running",
    children=(TreeNode(id="c", type="worker", session_id="session_1", ref="urn:b", state="restarting", restarts=2),),
)

MODELS: list[BaseModel] = [
    MESSAGE,
    INFO,
    TREE,
    ActiveFile(path="a.py", added_at=NOON),
    Context(
        session_id="session_1",
        conversation=[MESSAGE],
        files=[ActiveFile(path="a.py", added_at=NOON)],
        file_index={"a.py": {"lines": 3}},
        working_context={"goal": ["x"]},
        metadata={"conversation_count": 1},
    ),
    ContextStats(
        session_id="session_1",
        message_count=1,
        estimated_tokens=2,
        context_percentage=0.01,
        cycle_count=0,
        active_file_count=0,
        max_context_tokens=120_000,
    ),
    Event(id="session_1.1.3", seq=3, type="file_added", session_id="session_1", at=NOON, data={"path": "a.py"}),
    Page[SessionInfo](items=(INFO,), next_cursor="x"),
    Health(status="degraded", problems=("the store is slow",)),
    Stats(
        running=True,
        sessions={"active": 1},
        active_sessions=1,
        max_sessions=9,
        actors=3,
        restarts=0,
        abandoned=0,
        subscriptions=0,
        mailbox=10,
        max_context_tokens=100,
        call_timeout=5.0,
        idle_after=300.0,
        suspend_after=1800.0,
        max_age=None,
    ),
    Chunk(text="hello"),
    Chunk(tool_call=ToolCall(id="c", name="add", arguments={"a": [1]})),
    Chunk(tool_result=ToolResult(call_id="c", name="add", output={"sum": [3]})),
    Chunk(usage=Usage(input_tokens=1, output_tokens=2, cost=0.5)),
    LLMConfig(model="echo"),
]


@pytest.mark.parametrize("model", MODELS, ids=[type(model).__name__ for model in MODELS])
def test_json_round_trip(model: BaseModel) -> None:
    again = type(model).model_validate_json(model.model_dump_json())

    assert again == model
    assert again.model_dump_json() == model.model_dump_json()
    assert type(model).model_validate(model.model_dump()) == model


@pytest.mark.parametrize("model", MODELS, ids=[type(model).__name__ for model in MODELS])
def test_nobody_changes_a_model(model: BaseModel) -> None:
    for name in type(model).model_fields:
        with pytest.raises(ValidationError):
            setattr(model, name, None)


@pytest.mark.parametrize("model", MODELS, ids=[type(model).__name__ for model in MODELS])
def test_what_is_in_a_model_does_not_change_either(model: BaseModel) -> None:
    for value in model.__dict__.values():
        if isinstance(value, dict) and type(model) is not Stats:
            assert isinstance(value, FrozenDict)
        if isinstance(value, list):
            assert isinstance(value, FrozenList)


def test_a_message_has_the_names_that_others_use() -> None:
    assert MESSAGE.created_at == MESSAGE.timestamp == MESSAGE.at == NOON


def test_a_session_info_has_an_id() -> None:
    assert INFO.id == INFO.session_id == "session_1"


def test_times_have_a_zone() -> None:
    with pytest.raises(ValidationError):
        ActiveFile(path="a", added_at=datetime(2030, 1, 1))
    elsewhere = ActiveFile(path="a", added_at=NOON.astimezone(timezone(timedelta(hours=5))))
    assert ActiveFile.model_validate_json(elsewhere.model_dump_json()) == elsewhere


def test_no_nan_is_in_a_model() -> None:
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Usage(cost=bad)
        with pytest.raises(ValidationError):
            ContextStats.model_validate({**MODELS[5].model_dump(), "context_percentage": bad})


def test_what_a_newer_jidoka_has_added_is_ignored() -> None:
    assert ActiveFile.model_validate({"path": "a", "added_at": NOON, "size": 3}) == ActiveFile(path="a", added_at=NOON)


def test_a_trusted_record_is_like_a_validated_one() -> None:
    fields = dict(MESSAGE.__dict__)

    made = trusted(Message, frozenset(Message.model_fields), fields)

    assert made == MESSAGE
    assert hash(made) == hash(MESSAGE)
    assert repr(made) == repr(MESSAGE)
    assert made.model_fields_set == set(Message.model_fields)
    assert made.model_dump_json() == MESSAGE.model_dump_json()
    assert made.model_copy(update={"content": "other"}).content == "other"
    assert made.content == MESSAGE.content
    with pytest.raises(ValidationError):
        made.content = "x"  # pyright: ignore[reportAttributeAccessIssue]


# --- pages --------------------------------------------------------------------------------------


def page(*items: int, next_cursor: str | None = None) -> Page[int]:
    return Page[int](items=items, next_cursor=next_cursor)


def test_a_page_is_a_sequence() -> None:
    full: Any = page(1, 2, 3, 2)

    assert isinstance(full, Sequence)
    assert (len(full), list(full), full[0], full[-1], full[1:3]) == (4, [1, 2, 3, 2], 1, 2, (2, 3))
    assert (2 in full, 9 in full, full.index(3), full.count(2), list(reversed(full))) == (
        True,
        False,
        2,
        2,
        [2, 3, 2, 1],
    )
    assert (bool(full), bool(page())) == (True, False)
    with pytest.raises(IndexError):
        full[4]


def test_a_page_equals_a_list_of_its_items() -> None:
    assert page(1, 2) == [1, 2] == page(1, 2, next_cursor="x")
    assert page() == []
    assert page(1) != [2]
    assert page(1) == page(1)
    assert page(1) != page(1, next_cursor="x")
    assert len({page(1), page(1), page(1, next_cursor="x")}) == 2


def test_a_page_shows_what_is_on_it() -> None:
    assert repr(page(1, next_cursor="x")) == "Page[int](items=[1], next_cursor='x')"


# --- chunks -------------------------------------------------------------------------------------


def test_usage_adds_up() -> None:
    total = Usage(input_tokens=1, output_tokens=2) + Usage(input_tokens=10, cost=0.5)

    assert (total.input_tokens, total.output_tokens, total.total_tokens, total.cost) == (11, 2, 13, 0.5)
    assert (Usage() + Usage()).cost is None


def test_a_model_is_named_and_may_have_other_options() -> None:
    config = LLMConfig.model_validate({"model": "echo", "temperature": 0.5, "stop": ["x"]})

    assert (config.model, config.options) == ("echo", {"temperature": 0.5, "stop": ["x"]})
    assert LLMConfig().model == "echo"
    assert LLMConfig.model_validate_json(config.model_dump_json()) == config
    for bad in ({"model": ""}, {"model": 3}, {"model": None}, {"model": "x" * 256}):
        with pytest.raises(ValidationError):
            LLMConfig.model_validate(bad)


def test_health_is_ok_or_it_is_not() -> None:
    assert Health(status="ok").is_ok
    assert not Health(status="degraded").is_ok
