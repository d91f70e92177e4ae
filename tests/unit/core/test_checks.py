"""The doors' checks: what is right comes through as it is, what is wrong is refused by name."""

import math
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core import checks
from jidoka.core.errors import InvalidMessage, InvalidRole, InvalidSessionId
from jidoka.core.status import SessionStatus

NOT_TEXT: list[Any] = [None, 3, 1.5, True, b"bytes", ["list"], {"a": 1}, object()]


# --- session ids --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "good", ["12345678", "session_1", "A-b_c-d9", "a" * 64, "session_" + "0" * 32, "con-prn-aux", "z_______"]
)
def test_a_session_id_comes_through(good: str) -> None:
    assert checks.session_id(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        *("", "1234567", "a" * 65, "_1234567", "-1234567", "session 1", "session.1", "session/1", "../../etc/passwd"),
        *(
            "session_1\n",
            "\nsession_1",
            "session_\0",
            "session_\r\nX-Evil: 1",
            "%2e%2e%2e%2e",
            "sessión_1",
            "ｓession_1",
        ),
        *("session_\u202e1", "session_١", "a" * 60_000, *NOT_TEXT),
    ],
)
def test_what_is_no_session_id_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidSessionId) as caught:
        checks.session_id(bad)

    assert len(str(caught.value)) < 200


@given(st.text(max_size=70))
def test_a_session_id_is_plain(text: str) -> None:
    try:
        checks.session_id(text)
    except InvalidSessionId:
        return
    assert 8 <= len(text) <= 64
    assert text.isascii()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


# --- roles, text, keys --------------------------------------------------------------------------


def test_there_are_four_roles() -> None:
    assert [checks.role(role) for role in ("user", "assistant", "system", "tool")] == [
        *("user", "assistant", "system", "tool"),
    ]


@pytest.mark.parametrize("bad", ["", "User", "user ", "developer", "user\n", *NOT_TEXT])
def test_every_other_role_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidRole):
        checks.role(bad)


@pytest.mark.parametrize("good", ["x", " ", "\n", "Zürich 東京 🦔", "a\tb\x7f", "x" * 1_000_000])
def test_content_comes_through(good: str) -> None:
    assert checks.content(good) is good


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", "ok \udfff", "x" * (checks.MAX_CONTENT + 1), *NOT_TEXT])
def test_content_that_no_store_can_keep_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        checks.content(bad)

    assert caught.value.field == "content"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("check", "field", "most"),
    [
        (checks.owner, "owner", 255),
        (checks.idempotency_key, "idempotency_key", 255),
        (checks.context_key, "key", 255),
        (checks.path, "path", 4096),
    ],
)
def test_names_have_bounds(check: Any, field: str, most: int) -> None:
    assert check("n") == "n"
    assert check("é" * most) == "é" * most
    for bad in ("", "n" * (most + 1), "a\0", "\udc00", 3, b"n"):
        with pytest.raises(InvalidMessage) as caught:
            check(bad)
        assert caught.value.field == field


def test_nobody_is_an_owner_and_nothing_a_key() -> None:
    assert checks.owner(None) is None
    assert checks.idempotency_key(None) is None


def test_a_path_may_be_a_path() -> None:
    assert checks.path(PurePosixPath("src") / "main.py") == "src/main.py"
    assert checks.path(Path("a")) == "a"
    with pytest.raises(InvalidMessage):
        checks.path(PurePosixPath("a\0b"))


def test_a_decision_is_one_of_two() -> None:
    assert [checks.decision(word) for word in ("approve", "reject")] == ["approve", "reject"]
    for bad in ("", "Approve", "maybe", None, True):
        with pytest.raises(InvalidMessage) as caught:
            checks.decision(bad)
        assert caught.value.field == "decision"


def test_other_text_names_its_field() -> None:
    assert checks.text("because", field="reason") == "because"
    with pytest.raises(InvalidMessage) as caught:
        checks.text("x" * 11, field="note", most=10)
    assert caught.value.field == "note"


# --- numbers ------------------------------------------------------------------------------------


def test_a_limit_is_1_to_1000() -> None:
    assert [checks.limit(number) for number in (1, 100, 1000)] == [1, 100, 1000]
    for bad in (0, -1, 1001, True, False, 1.0, "10", None, math.nan, 2**70):
        with pytest.raises(InvalidMessage) as caught:
            checks.limit(bad)
        assert caught.value.field == "limit"


def test_a_seq_is_not_negative() -> None:
    assert [checks.after(number) for number in (0, 1, 2**63 - 1)] == [0, 1, 2**63 - 1]
    for bad in (-1, True, 2**63, 0.0, "0", None):
        with pytest.raises(InvalidMessage):
            checks.after(bad)


def test_a_version_is_at_least_one_or_any() -> None:
    assert [checks.version(value) for value in (None, 1, 7)] == [None, 1, 7]
    for bad in (0, -1, True, "1", 1.0):
        with pytest.raises(InvalidMessage) as caught:
            checks.version(bad)
        assert caught.value.field == "expected_version"


def test_a_timeout_is_finite_and_not_negative() -> None:
    assert [checks.timeout(value) for value in (None, 0, 1, 2.5)] == [None, 0.0, 1.0, 2.5]
    for bad in (-1, -0.001, math.nan, math.inf, -math.inf, True, "5", 10**400, [1]):
        with pytest.raises(InvalidMessage) as caught:
            checks.timeout(bad)
        assert caught.value.field == "timeout"


# --- filters and cursors ------------------------------------------------------------------------


def test_statuses_are_one_or_several() -> None:
    assert checks.statuses(None) is None
    assert checks.statuses("idle") == {SessionStatus.IDLE}
    assert checks.statuses(SessionStatus.IDLE) == {SessionStatus.IDLE}
    assert checks.statuses(["idle", SessionStatus.ACTIVE]) == {SessionStatus.IDLE, SessionStatus.ACTIVE}
    assert checks.statuses([]) == frozenset()
    for bad in ("sleeping", ["idle", "sleeping"], 3, [3], [None], b"idle", [["idle"]]):
        with pytest.raises(InvalidMessage) as caught:
            checks.statuses(bad)
        assert caught.value.field == "status"


def test_types_of_events_are_one_or_several() -> None:
    assert checks.event_types(None) is None
    assert checks.event_types("gap") == {"gap"}
    assert checks.event_types(("gap", "turn_started")) == {"gap", "turn_started"}
    for bad in ("gaps", ["gap", "gaps"], 3, [3], [["gap"]]):
        with pytest.raises(InvalidMessage) as caught:
            checks.event_types(bad)
        assert caught.value.field == "types"


@given(st.integers(0, 2**62))
def test_a_cursor_comes_back_as_the_number_it_was_made_of(arrival: int) -> None:
    cursor = checks.encode_cursor(arrival)

    assert checks.cursor(cursor) == arrival
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "1",
        "after:1",
        "YWZ0ZXI6MQ==",
        "YWZ0ZXI6MDE",
        "YWZ0ZXI6LTE",
        "é",
        "\0",
        "x" * 10_000,
        1,
        True,
        b"YWZ0ZXI6MQ",
        [1],
    ],
)
def test_what_is_no_cursor_of_ours_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        checks.cursor(bad)

    assert caught.value.field == "cursor"


@given(st.text(max_size=30))
def test_no_text_makes_a_cursor_fail_in_another_way(text: str) -> None:
    try:
        arrival = checks.decode_cursor(text)
    except InvalidMessage:
        return
    assert checks.encode_cursor(arrival) == text


def test_no_cursor_is_the_beginning() -> None:
    assert checks.cursor(None) is None
