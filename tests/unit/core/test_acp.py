"""What an agent's updates and questions mean in the Agent Client Protocol."""

from typing import Any

import pytest

from jidoka.core import acp
from jidoka.core.chunks import Chunk, Reply

ALWAYS = {"optionId": "1", "name": "Always", "kind": "allow_always"}
ONCE = {"optionId": "2", "name": "Once", "kind": "allow_once"}
ONCE_HERE = {"optionId": "3", "name": "Here", "kind": "allow_once"}
NO = {"optionId": "4", "name": "No", "kind": "reject_once"}
NEVER = {"optionId": "5", "name": "Never", "kind": "reject_always"}
YES = Reply(approved=True)


@pytest.mark.parametrize(
    ("reply", "options", "chosen"),
    [
        (YES, [ALWAYS, ONCE, NO], "2"),
        (YES, [NO, ALWAYS], "1"),
        (YES, [NO], None),
        (YES, [], None),
        (YES, None, None),
        (YES, ["nonsense", {"kind": "allow_once"}], None),
        (Reply(approved=True, text="Here"), [ONCE, ONCE_HERE], "3"),
        (Reply(approved=True, text="1"), [ONCE, ALWAYS], "1"),
        (Reply(approved=True, text="No"), [ONCE, NO], "2"),
        (Reply(approved=False), [ONCE, NEVER, NO], "4"),
        (Reply(approved=False), [ONCE, NEVER], "5"),
        (Reply(approved=False, text="Once"), [ONCE, NO], "4"),
        (Reply(approved=False), [ONCE], None),
        (None, [ONCE, NO], "4"),
    ],
)
def test_a_decision_chooses_an_option_of_its_kind(reply: Reply | None, options: Any, chosen: str | None) -> None:
    outcome = acp.outcome_of(reply, options)["outcome"]

    assert outcome == ({"outcome": "cancelled"} if chosen is None else {"outcome": "selected", "optionId": chosen})


def told(*updates: dict[str, Any]) -> list[tuple[str, Any]]:
    """What calls and results come of *updates*, each with its id in the protocol."""
    calls = acp.ToolCalls()
    chunks: list[Chunk] = [chunk for update in updates for chunk in calls.updated(update)]
    return [_short(chunk) for chunk in (*chunks, *calls.closed())]


def _short(chunk: Chunk) -> tuple[str, Any]:
    if chunk.tool_call is not None:
        return chunk.tool_call.name, dict(chunk.tool_call.arguments)
    assert chunk.tool_result is not None
    return "result", chunk.tool_result.error or chunk.tool_result.output


START = {"toolCallId": "t", "title": "Reading", "kind": "read", "status": "pending"}
INPUT = {"toolCallId": "t", "status": "in_progress", "rawInput": {"path": "/a"}}
TEXT = {"type": "content", "content": {"type": "text", "text": "found"}}


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        ([START, INPUT, {"toolCallId": "t", "status": "completed", "content": [TEXT]}], ["found"]),
        ([START, INPUT, {"toolCallId": "t", "status": "completed", "rawOutput": {"n": 1}}], [{"n": 1}]),
        ([START, INPUT, {"toolCallId": "t", "status": "failed", "rawOutput": "broken"}], ["broken"]),
        ([START, INPUT], [acp.INTERRUPTED]),
        ([START, INPUT, INPUT, *[{"toolCallId": "t", "status": "completed", "rawOutput": 1}] * 2], [1]),
        ([START, INPUT, {"toolCallId": "t", "content": [TEXT]}, {"toolCallId": "t", "status": "completed"}], ["found"]),
    ],
)
def test_each_call_is_told_once_with_one_result(updates: list[dict[str, Any]], expected: list[Any]) -> None:
    assert told(*updates) == [("read", {"path": "/a"}), *(("result", output) for output in expected)]


def test_one_that_was_only_announced_is_told_at_the_end() -> None:
    assert told(START) == [("read", {"title": "Reading"}), ("result", acp.INTERRUPTED)]


def test_an_update_may_be_the_first_that_is_heard_of_a_call() -> None:
    assert told({"toolCallId": "t", "name": "grep", "status": "completed", "rawInput": "x", "rawOutput": "y"}) == [
        ("grep", {"input": "x"}),
        ("result", "y"),
    ]


@pytest.mark.parametrize("update", [{}, {"toolCallId": 3}, {"toolCallId": ""}])
def test_an_update_of_no_call_says_nothing(update: dict[str, Any]) -> None:
    assert told(update) == []


def test_a_person_is_shown_what_is_to_be_done() -> None:
    question = acp.question_of({"title": "Delete it", "kind": "delete", "rawInput": {"path": "/"}}, [ONCE, NO])

    assert question.text == "May the agent do this: Delete it?"
    assert question.reason == "permission"
    assert question.evidence["arguments"] == {"path": "/"}
    assert [option["optionId"] for option in question.evidence["options"]] == ["2", "4"]


@pytest.mark.parametrize(
    ("result", "tokens"),
    [
        ({"usage": {"inputTokens": 3, "outputTokens": 5, "cachedReadTokens": 1}}, (3, 5, 1)),
        ({"usage": {"inputTokens": 3}}, (3, 0, None)),
        ({"usage": {"inputTokens": "many"}}, None),
        ({"usage": None}, None),
        ({}, None),
    ],
)
def test_what_a_prompt_took_is_taken_over_where_it_can_be_read(
    result: dict[str, Any], tokens: tuple[int, int, int | None] | None
) -> None:
    usage = acp.usage_of(result)

    assert (None if usage is None else (usage.input_tokens, usage.output_tokens, usage.cached_tokens)) == tokens
