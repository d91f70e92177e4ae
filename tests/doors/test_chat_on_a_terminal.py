"""`jidoka chat` as a person has it: on a terminal, which tmux is."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.doors.commands import PROGRAM, environment, jidoka
from tests.doors.stores import fill
from tests.doors.test_readme import fences
from tests.servers.postgres import missing_server
from tests.servers.process import wait_until
from tests.servers.tmux import HOW_TO_INSTALL, Tmux, Window, find_tmux
from tests.servers.trees import is_alive
from tests.stubs.server import HOLD, Script, says
from tests.stubs.threaded import Gate, a_portal, a_stub_beside
from tests.stubs.wires import OpenAIWire

ROOT = Path(__file__).parents[2]
WIRE = OpenAIWire()
HOSTILE = "\x1b[2J\x1b[H\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x9b31m and \u202e turned\r round\b"


def answers(*pieces: str | Gate) -> Script:
    """A whole answer of the stub, which waits where a gate stands."""
    steps = (piece.step if isinstance(piece, Gate) else WIRE.piece(piece) for piece in pieces)
    return says(WIRE.begin(), *steps, WIRE.end())


def begins(text: str) -> Script:
    """An answer that never ends."""
    return says(WIRE.begin(), WIRE.piece(text), HOLD)


class Terminals:
    """Windows in which chats run; all of them have ended afterwards."""

    def __init__(self, tmux: Tmux) -> None:
        self._tmux = tmux
        self._windows: list[Window] = []

    def chat(self, *args: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Window:
        known = environment({"TERM": "screen", "PYTHONPATH": str(ROOT), **(env or {})})
        window = self._tmux.window([*PROGRAM, "chat", *args], known, cwd)
        self._windows.append(window)
        return window

    def close(self) -> None:
        running = [pid for window in self._windows for pid in window.pids]
        self._tmux.remove()
        wait_until(lambda: not any(map(is_alive, running)), "the chats to end")


@pytest.fixture
def terminals() -> Iterator[Terminals]:
    program = find_tmux()
    if program is None:
        missing_server(HOW_TO_INSTALL)
    with Tmux(program) as tmux:
        terminals = Terminals(tmux)
        yield terminals
        terminals.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jidoka.db'}"


def say(window: Window, line: str, *, prompt: str = ">") -> None:
    """Type a line when it is asked for."""
    window.wait_for_last_line(prompt)
    window.type(line)


def id_shown(window: Window) -> str:
    return window.wait_for_line(r"^(session_[0-9a-f]{32}): ")[1]


def types_of(store: str, session_id: str) -> list[str]:
    document = json.loads(jidoka("sessions", "export", session_id, "--store", store).stdout)
    return [entry["type"] for entry in document["entries"]]


@pytest.mark.slow
def test_a_chat_with_a_slow_model(terminals: Terminals, store: str) -> None:
    with a_portal() as portal:
        gate = Gate(portal)
        scripts = [
            answers("Once upon ", gate, "a time."),
            begins("It was a dark"),
            answers("Good.\n", "Night."),
            answers(f"Look: {HOSTILE} end."),
            begins("For ever"),
        ]
        with a_stub_beside(portal, *scripts) as stub:
            endpoints = json.dumps({"stub": {"base_url": stub.url(), "api_key": "sk-test"}})
            window = terminals.chat(
                "--store", store, "--model", "stub:slow", "--owner", "ada", env={"JIDOKA_LLM_ENDPOINTS": endpoints}
            )
            session_id = id_shown(window)

            # An answer is shown as it comes, and what is typed meanwhile is for later.
            say(window, "tell me a story")
            window.wait_for_line("^Once upon")
            assert "a time." not in window.shown
            window.type("another")
            window.wait_for_line("^Once upon another$")
            gate.open()
            window.wait_for_line(r"^a time\.$")

            # Ctrl-C cancels the turn, and the chat goes on.
            window.wait_for_line("^It was a dark")
            window.press("C-c")
            window.wait_for("Cancelled: nothing of the turn is in the history.")
            say(window, "good night")
            window.wait_for_line(r"^Good\.\nNight\.$")

            # Nothing that a model says is obeyed.
            title = window.title
            say(window, "show me something")
            window.wait_for_line(r"^Look: \\x1b\[2J\\x1b\[H\\x1b\]0;owned\\x07.* end\.$")
            assert "Once upon " in window.shown
            assert window.title == title

            # Twice leaves, whether the turn has been cancelled by then or not.
            say(window, "go on for ever")
            window.wait_for_line("^For ever")
            window.press("C-c")
            window.wait_for_line(r"^For ever\^C$")
            window.press("C-c")
            assert window.wait_ended() == 128 + signal.SIGINT

    assert f"To go on: jidoka chat {session_id} --store {store}" in window.shown
    assert "Traceback" not in window.shown
    types = types_of(store, session_id)
    assert types.count("turn_completed") == 3
    assert types.count("turn_cancelled") + types.count("turn_failed") == 2


def test_commands_that_look(terminals: Terminals, store: str, tmp_path: Path) -> None:
    window = terminals.chat("--store", store, "--system", "Be brief.")
    say(window, "hello")
    window.wait_for_line("^hello$")

    say(window, "/help")
    window.wait_for_line(r"^/export \[FILE\] +write the session")
    say(window, "/history")
    window.wait_for_line(r"^ +\d+ system: Be brief\.\n +\d+ user: hello\n +\d+ assistant: hello$")
    say(window, "/context")
    window.wait_for_line("^messages +3, of which the model sees 3")
    say(window, "/files add notes.md")
    window.wait_for_line(r"^notes\.md$")
    say(window, "/events 1")
    window.wait_for_line(r"^ +\d+  .*file_added +.*notes\.md")
    say(window, "/model")
    window.wait_for_line("^echo$")
    say(window, "/export " + str(tmp_path / "copy.json"))
    window.wait_for(f"{tmp_path / 'copy.json'}: ")
    say(window, "/histroy")
    window.wait_for("do you mean /history?")

    say(window, "/quit")
    assert window.wait_ended() == 0
    assert jidoka("sessions", "import", str(tmp_path / "copy.json"), "--store", f"{store}.other").status == 0


def test_commands_that_decide_and_that_move(terminals: Terminals, store: str) -> None:
    window = terminals.chat("--store", store)
    first = id_shown(window)
    say(window, "/halt let me look")
    window.wait_for_line("^halted: let me look")
    say(window, "delete everything", prompt="decide>")
    window.wait_for("That is no decision")
    say(window, "/reject not today", prompt="decide>")
    window.wait_for_line("^Rejected.$")
    say(window, "/halt once more")
    window.wait_for_line("^halted: once more")
    say(window, "/approve fine", prompt="decide>")
    window.wait_for_line("^Approved.$")
    say(window, "/halt a third time")
    window.wait_for_line("^halted: a third time")
    say(window, "/resume", prompt="decide>")
    window.wait_for_line("^Resumed.$")

    say(window, "/fork 3")
    second = window.wait_for_line(r"^Now in (session_[0-9a-f]{32}), a fork of (session_[0-9a-f]{32}) at entry 3")
    assert second[2] == first
    say(window, "good bye")
    window.wait_for_line("^good bye$")
    say(window, "/quit")
    assert window.wait_ended() == 0

    assert f"To go on: jidoka chat {second[1]} " in window.shown
    assert types_of(store, first).count("decision_recorded") == 3
    assert "good bye" in jidoka("sessions", "show", second[1], "--store", store).stdout
    assert "good bye" not in jidoka("sessions", "show", first, "--store", store).stdout


def test_a_chat_goes_on_after_kill_9(terminals: Terminals, store: str) -> None:
    window = terminals.chat("--store", store)
    session_id = id_shown(window)
    say(window, "remember this")
    window.wait_for_line("^remember this$")
    say(window, "/halt before something bad")
    window.wait_for_line("^halted: before something bad")

    os.kill(window.pids[0], signal.SIGKILL)
    assert window.wait_ended() == 128 + signal.SIGKILL

    window = terminals.chat(session_id, "--store", store)
    window.wait_for_line(f"^{session_id}: 2 messages, model echo")
    # What it waits for is said again, and the person decides.
    window.wait_for_line("^halted: before something bad")
    say(window, "y", prompt="decide>")
    say(window, "/history")
    window.wait_for_line(r"^> /history\n +\d+ user: remember this\n +\d+ assistant: remember this$")
    say(window, "and this")
    window.wait_for_line("^and this$")
    window.wait_for_last_line(">")
    window.press("C-d")
    assert window.wait_ended() == 0


def test_a_chat_is_told_to_end_and_leaves_in_order(terminals: Terminals, tmp_path: Path) -> None:
    url = fill(tmp_path / "jidoka.db")
    window = terminals.chat("session_a", "--store", url)
    window.wait_for_last_line(">")

    os.kill(window.pids[0], signal.SIGTERM)

    assert window.wait_ended() == 128 + signal.SIGTERM
    assert "To go on: jidoka chat session_a" in window.shown
    assert "Traceback" not in window.shown
    # Nobody holds the store any more.
    assert jidoka("sessions", "terminate", "session_a", "--store", url).status == 0


def test_ctrl_c_at_the_prompt_leaves(terminals: Terminals, store: str) -> None:
    window = terminals.chat("--store", store)
    window.wait_for_last_line(">")

    window.press("C-c")

    assert window.wait_ended() == 128 + signal.SIGINT
    assert "Traceback" not in window.shown


def test_the_chat_of_the_readme_is_one(terminals: Terminals, tmp_path: Path) -> None:
    [shown] = [fence.body for fence in fences((ROOT / "README.md").read_text()) if fence.language == "console"]
    command, *_ = shown.splitlines()
    assert command == "$ jidoka chat"

    window = terminals.chat(cwd=tmp_path)
    for line in shown.splitlines():
        prompt, asked, said = line.partition("> ")
        if asked:
            say(window, said, prompt=f"{prompt}>")
    assert window.wait_ended() == 0

    seen = window.shown.partition("\nended with")[0].rstrip()
    assert nameless(f"{command}\n{seen}\n") == nameless(shown)


def nameless(text: str) -> str:
    return re.sub("session_[0-9a-f]{32}", "session", text)
