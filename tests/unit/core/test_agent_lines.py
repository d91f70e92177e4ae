"""JSON lines of agent processes: what they mean, and what they may not."""

import json
from typing import Any

import pytest

from jidoka.core.agent_lines import chunk_of, line_of, object_of, prompt_line, reply_line
from jidoka.core.chunks import Reply
from jidoka.core.errors import TurnFailed


@pytest.mark.parametrize(
    "line",
    [b"", b"plain text", b"[1]", b'"text"', b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000],
)
def test_a_line_that_is_no_object_is_garbled(line: bytes) -> None:
    with pytest.raises(TurnFailed) as failed:
        object_of(line)

    assert failed.value.reason == "agent_garbled"


def test_escapes_that_no_store_can_keep_are_replaced() -> None:
    said = object_of(b'{"type": "text", "text": "a\\u0000b\\ud800c", "\\u0000": ["\\udc00"]}')

    assert said == {"type": "text", "text": "a\ufffdb?c", "\ufffd": ["?"]}


def test_what_is_sent_is_one_line() -> None:
    assert line_of({"text": "two\nlines \ud800"}).count(b"\n") == 1


def test_a_prompt_is_the_question_and_what_was_said_before() -> None:
    assert json.loads(prompt_line(["before", "question"])) == {"type": "prompt", "text": "question", "before": "before"}
    assert json.loads(prompt_line(["question"])) == {"type": "prompt", "text": "question"}


def test_no_reply_is_no() -> None:
    assert json.loads(reply_line(None))["approved"] is False
    assert json.loads(reply_line(Reply(approved=True, text="go"))) == {"type": "reply", "approved": True, "text": "go"}


@pytest.mark.parametrize(
    "said",
    [
        {"type": "text"},
        {"type": "tool_call", "id": 3, "name": "a"},
        {"type": "tool_result", "name": "a"},
        {"type": "question"},
        {"type": "usage", "input_tokens": -1},
    ],
)
def test_a_malformed_message_is_garbled_and_not_quoted(said: dict[str, Any]) -> None:
    with pytest.raises(TurnFailed) as failed:
        chunk_of({**said, "secret": "sk-canary"})

    assert failed.value.reason == "agent_garbled"
    assert "canary" not in str(failed.value)


def test_kinds_that_a_newer_agent_may_have_are_passed_over() -> None:
    assert chunk_of({"type": "mood", "value": "good"}) is None
