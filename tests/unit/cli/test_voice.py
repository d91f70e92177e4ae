"""What a chat shows: a model's text is text, and never obeyed."""

import json

import pytest

from jidoka.cli.halts import Halt
from jidoka.cli.screen import many_lines
from jidoka.cli.voice import Voice
from jidoka.core.errors import TurnFailed


@pytest.fixture
def voice() -> Voice:
    return Voice(as_json=False, is_interactive=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("back\bspace \x7f \r over", "back\\x08space \\x7f \\r over"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066hidden\u2069", "\\u2066hidden\\u2069"),
        ("caf\u00e9\u00a0! 東京 👩\u200d🔬 می\u200cخواهم", "caf\u00e9\u00a0! 東京 👩\u200d🔬 می\u200cخواهم"),
        ("\ud800", "\\ud800"),
    ],
)
def test_an_answer_keeps_its_lines_and_nothing_that_a_terminal_obeys(text: str, shown: str) -> None:
    assert many_lines(text) == shown


def test_an_escape_sequence_in_two_pieces_is_none_either(voice: Voice, capsys: pytest.CaptureFixture[str]) -> None:
    for piece in ("a\x1b", "[31mb", "\x1b", "]52;c;YQ==\x07"):
        voice.piece(piece)

    assert capsys.readouterr().out == "a\\x1b[31mb\\x1b]52;c;YQ==\\x07"


def test_the_end_of_a_line_may_be_two_characters_in_two_pieces(
    voice: Voice, capsys: pytest.CaptureFixture[str]
) -> None:
    for piece in ("one\r", "\ntwo\r\n", "three\r", "four"):
        voice.piece(piece)

    assert capsys.readouterr().out == "one\ntwo\nthree\\rfour"


def test_what_the_chat_says_begins_a_line(voice: Voice, capsys: pytest.CaptureFixture[str]) -> None:
    voice.piece("an answer")
    voice.tell("note", "a note")
    voice.piece("another\n")
    voice.tell("note", "a note")

    assert capsys.readouterr().out == "an answer\na note\nanother\na note\n"


def test_a_failure_is_one_line_on_stderr(voice: Voice, capsys: pytest.CaptureFixture[str]) -> None:
    voice.piece("half an ans")
    voice.fail(TurnFailed("cut\noff \x1b[31m"))

    assert capsys.readouterr() == ("half an ans\n", "jidoka: cut\\noff \\x1b[31m\n")


def test_reasons_evidence_and_tools_are_not_obeyed_either(voice: Voice, capsys: pytest.CaptureFixture[str]) -> None:
    bad = "\x1b[2J"
    voice.halted(Halt(bad, {bad: bad, "call": {"arguments": [bad]}}, bad, is_question=True))
    voice.call({"name": bad, "arguments": {"a": bad}})
    voice.result({"outcome": bad, "content": bad})

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "halted: \\x1b[2J" in said
    assert "call: " in said


def test_a_call_may_have_a_text_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"name": "remove", "arguments": {}, "text": "let me see", "type": "call"}
    for as_json in (True, False):
        Voice(as_json=as_json, is_interactive=False).call(data)

    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {**data, "type": "tool_call"}
    assert second == "· remove {}"


def test_json_is_one_object_a_line_and_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Voice(as_json=True, is_interactive=True)
    voice.piece("\x1b[2J\n")
    voice.prompt()
    voice.halted(Halt("why", {"tool": "rm"}))
    voice.fail(TurnFailed("no"))

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert [json.loads(line)["type"] for line in said.splitlines()] == ["text", "session_halted", "error"]
