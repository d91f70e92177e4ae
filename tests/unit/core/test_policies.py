"""What a session may say of its context."""

from typing import Any

import pytest

from jidoka.core.errors import InvalidMessage
from jidoka.core.keywords import CRITICAL, finder
from jidoka.core.policies import ContextPolicy


def test_who_says_nothing_has_a_budget() -> None:
    assert ContextPolicy.of(None) == ContextPolicy.of({}) == ContextPolicy()
    assert (ContextPolicy().policy, ContextPolicy().most, ContextPolicy().counter) == ("budget", None, "estimate")
    assert ContextPolicy().keywords == CRITICAL


@pytest.mark.parametrize(("policy", "most"), [("recent", 50), ("smart", 30), ("budget", None), ("summarise", None)])
def test_every_policy_has_its_number(policy: str, most: int | None) -> None:
    assert ContextPolicy.of({"policy": policy}).most == most
    assert ContextPolicy.of({"policy": policy, "recent": 7}).most == 7


def test_the_settings_say_the_rest() -> None:
    assert ContextPolicy().room(1000, 0.7) == (1000, 0.7)
    assert ContextPolicy.of({"max_tokens": 50}).room(1000, 0.7) == (50, 0.7)
    assert ContextPolicy.of({"threshold": 1}).room(1000, 0.7) == (1000, 1)


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        *(("policy", bad) for bad in ("smartest", "", None, 3, ["smart"])),
        *(("recent", bad) for bad in (0, -1, 1.5, True, "3")),
        *(("keywords", bad) for bad in ("error", None, [3], [""], [" error"], ["x" * 101], ["x"] * 1001, {"a": 1})),
        *(("max_tokens", bad) for bad in (0, -1, 1.5, True, "3", 10**10)),
        *(("threshold", bad) for bad in (0, 1.1, -1, True, "0.8", float("nan"))),
        *(("counter", bad) for bad in ("tiktoken", None, 3)),
        *(("polcy", bad) for bad in ("smart", None)),
        ("x" * 500, 3),
    ],
)
def test_what_cannot_be_is_refused_by_name(option: str, bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        ContextPolicy.of({option: bad})

    assert caught.value.field == f"context.{option}"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("bad", ["smart", 3, ["smart"], True])
def test_a_context_is_an_object(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        ContextPolicy.of(bad)

    assert caught.value.field == "context"


# --- whole words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the server is down", True),
        ("DOWN!", True),
        ("down", True),
        ("a breakdown of the markdown download", False),
        ("a breakdown, and then it was down", True),
        ("terrors and errors", False),
        ("an error.", True),
        ("error_count", False),
        ("(p0)", True),
        ("p01 up0", False),
        ("crashed", True),
        ("服务器error了", True),
        ("ERROR: OOM", True),
        ("", False),
        ("all is well", False),
    ],
)
def test_a_keyword_is_a_whole_word(text: str, expected: bool) -> None:
    assert finder(CRITICAL)(text) is expected


def test_keywords_are_ones_own() -> None:
    is_critical = finder(("sev-1", "c++", "故障", "a.b"))

    assert all(map(is_critical, ("SEV-1!", "in c++ now", "出现了严重故障", "a.b")))
    assert not any(map(is_critical, ("sev-12", "axb", "error")))
