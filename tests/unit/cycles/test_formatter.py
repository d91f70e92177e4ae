"""Bounded text without control characters, whatever goes in."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.errors import InvalidMessage, InvalidRole
from jidoka.cycles.formatter import (
    LONGEST,
    ActionItem,
    Observation,
    action_items,
    checked_message,
    clean,
    format_observation,
    summary,
    truncated,
    unknown_text,
)


def test_of_many_lines_five_are_shown_and_the_others_counted() -> None:
    lines = [f"line {number}" for number in range(1, 9)]

    assert truncated(lines) == ["line 1", "line 2", "line 3", "line 4", "line 5", "+3 more"]
    assert truncated(lines[:5]) == lines[:5]
    assert truncated([]) == []
    assert truncated(["a\nb   c\x00"]) == ["a b c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "ab"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("win\r\ndows", "win\ndows"),
        ("\x7f\x85\x9b", ""),
        ("half \ud83d", "half "),
        ("abc\u202edef\u2066", "abcdef"),
        ("naïve 😀 服务器", "naïve 😀 服务器"),
    ],
)
def test_control_characters_are_removed(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    cut = clean("x" * 20_000)

    assert len(cut) == LONGEST
    assert cut.endswith("[cut]")
    assert clean("x" * LONGEST) == "x" * LONGEST
    assert len(clean("x" * 100, most=3)) == 3


def test_a_summary_says_whether_it_is_all() -> None:
    assert summary("short") == ("short", False)
    assert summary("x" * 501) == ("x" * 500, True)


def test_an_observation_has_its_number_figures_findings_and_questions() -> None:
    observation = Observation(
        title="Cluster",
        figures={"nodes": 3, "pods": "10 of 12"},
        findings=tuple(f"pod {number} is down" for number in range(7)),
        questions=("What first?",),
        facts={"secret": "not shown"},
    )

    text = format_observation(observation, number=4, missed=2, unknown=1)

    assert text.split("\n") == [
        "Cluster, cycle 4",
        "",
        "2 cycles before this one did not take place.",
        "1 cycles before this one had no answer.",
        "",
        "Findings (7):",
        *(f"- pod {number} is down" for number in range(5)),
        "- +2 more",
        "",
        "Questions:",
        "- What first?",
        "",
        "nodes: 3",
        "pods: 10 of 12",
    ]


def test_findings_are_told_however_large_the_figures_are() -> None:
    observation = Observation(figures={f"{n}": "x" * 900 for n in range(100)}, findings=("the disk is full",))

    text = format_observation(observation, number=1)

    assert len(text) == LONGEST
    assert "- the disk is full" in text


def test_an_observation_of_nothing_says_so() -> None:
    assert format_observation(Observation(), number=1) == "Observation, cycle 1\n\nFindings (0):"
    assert format_observation("\x00", number=1) == "(nothing was observed)"
    assert format_observation("as it is", number=1) == "as it is"


anything = st.text(st.characters(), max_size=3_000)


@given(
    st.builds(
        Observation,
        title=anything,
        figures=st.dictionaries(anything, anything, max_size=5),
        findings=st.lists(anything, max_size=12).map(tuple),
        questions=st.lists(anything, max_size=12).map(tuple),
    )
)
def test_whatever_was_observed_is_told_in_bounded_text(observation: Observation) -> None:
    text = format_observation(observation, number=1)

    assert 0 < len(text) <= LONGEST
    text.encode()
    assert all(char in "\t\n" or (ord(char) >= 32 and not 0x7F <= ord(char) <= 0x9F) for char in text)
    assert text == format_observation(observation, number=1)


def test_actions_are_lines_that_say_what_is_to_be_done() -> None:
    text = "\n".join(
        [
            "All is well here.",
            "- You must restart the database.",
            "2. We recommend a larger disk.",
            "* should it",
            "Nobody needs the old logs.",
            "A mustang is a horse, nothing to do.",
        ]
    )

    assert action_items(text) == (
        ActionItem("You must restart the database.", "high"),
        ActionItem("We recommend a larger disk.", "medium"),
        ActionItem("Nobody needs the old logs.", "medium"),
    )


def test_there_are_ten_actions_at_most() -> None:
    items = action_items("\n".join(f"You must do thing {number}" for number in range(30)))

    assert [item.text for item in items] == [f"You must do thing {number}" for number in range(10)]


def test_actions_of_garbage_are_bounded() -> None:
    noise = random.Random(1)
    text = "must " + "".join(chr(noise.randrange(0, 0x3000)) for _ in range(20_000))

    assert all(len(item.text) <= 500 for item in action_items(text))


def test_a_message_of_others_is_made_fit_to_be_sent() -> None:
    assert checked_message({"role": "user", "content": "a\x00b", "more": 1}) == {"role": "user", "content": "ab"}


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "robot", "content": "x"}, InvalidRole),
        ({"content": "x"}, InvalidRole),
        ({"role": ["user"], "content": "x"}, InvalidRole),
        ({"role": "user"}, InvalidMessage),
        ({"role": "user", "content": ["x"]}, InvalidMessage),
        ({"role": "user", "content": "\x00"}, InvalidMessage),
        ("user: x", InvalidMessage),
        (None, InvalidMessage),
    ],
)
def test_a_message_without_role_or_text_is_refused(message: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        checked_message(message)


def test_what_is_unknown_is_never_well() -> None:
    assert unknown_text(3, "cut_off", None) == (
        "UNKNOWN: cycle 3 has no answer (cut_off). Assume the worst: nothing has been known ever."
    )
    assert "since noon" in unknown_text(3, "cut_off", "noon")
