"""`jidoka chat` from a script: each line of stdin is a prompt, and its end is the end of the chat."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jidoka.cli.main import app
from tests.doors.commands import PROGRAM, Ended, environment, jidoka, run_program
from tests.doors.stores import fill
from tests.doors.writers import writing_to


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jidoka.db'}"


def chat(*args: str, said: str = "", env: dict[str, str] | None = None) -> Ended:
    return run_program("chat", *args, stdin=said, env=env)


def objects(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def session(ended: Ended) -> dict[str, Any]:
    return next(said for said in objects(ended) if said["type"] == "session")


def test_each_line_is_a_prompt_and_answers_are_printed(store: str) -> None:
    status, said, errors = chat("--store", store, said="first line\nsecond line\n")

    assert (status, errors) == (0, "")
    head, *answers = said.splitlines()
    assert answers == ["first line", "second line"]
    assert head.startswith("session_")


def test_json_is_one_object_a_line(store: str) -> None:
    ended = chat("--store", store, "--json", said="hello there\n/nothing\n")

    assert (ended.status, ended.stderr) == (0, "")
    assert [said["type"] for said in objects(ended)] == ["session", "text", "text", "message", "error"]
    assert "".join(said["text"] for said in objects(ended) if said["type"] == "text") == "hello there"
    message = objects(ended)[3]["message"]
    assert (message["role"], message["content"]) == ("assistant", "hello there")


def test_a_chat_is_gone_on_with_by_id(store: str) -> None:
    begun = session(chat("--store", store, "--json", "--owner", "ada", said="remember this\n"))
    assert begun["is_new"]

    ended = chat(begun["session_id"], "--store", store, "--json", said="/history\n")

    assert not session(ended)["is_new"]
    [history] = [said["messages"] for said in objects(ended) if said["type"] == "history"]
    assert [message["content"] for message in history] == ["remember this", "remember this"]
    listed = json.loads(jidoka("sessions", "list", "--store", store, "--owner", "ada", "--json").stdout)
    assert [info["session_id"] for info in listed["sessions"]] == [begun["session_id"]]


@pytest.mark.parametrize("name", ["JIDOKA_SESSION_ID", "SESSION_ID"])
def test_the_settings_may_name_the_session_which_is_made_once(store: str, name: str) -> None:
    args = ("--store", store, "--json", "--model", "echo", "--owner", "ada", "--system", "Be brief.")

    first, second = (session(chat(*args, env={name: "k8s-monitor-default"})) for _ in range(2))

    assert (first["session_id"], first["is_new"]) == ("k8s-monitor-default", True)
    assert (second["session_id"], second["is_new"]) == ("k8s-monitor-default", False)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["session_b", "--model", "openai:gpt"], "has the model echo"),
        (["session_b", "--owner", "somebody"], "belongs to owner-1"),
        (["session_b", "--system", "Be brief."], "begun with something else"),
        (["session_x"], "there is no session 'session_x'"),
        (["../../etc"], "session id"),
        (["session_a"], "is terminated"),
        (["--model", "ecoh"], "no model is called 'ecoh'"),
        (["--owner", ""], "owner"),
        (["--system", ""], "system"),
    ],
)
def test_what_cannot_be_is_bad_input_and_makes_no_session(tmp_path: Path, args: list[str], why: str) -> None:
    store = fill(tmp_path / "jidoka.db")
    jidoka("sessions", "terminate", "session_a", "--store", store)

    ended = chat(*args, "--store", store, said="hello\n")

    assert (ended.status, ended.stdout) == (2, "")
    assert why in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert len(json.loads(jidoka("sessions", "list", "--store", store, "--json").stdout)["sessions"]) == 2


def test_a_store_that_somebody_else_writes_to_is_said_in_one_line(tmp_path: Path) -> None:
    store = fill(tmp_path / "jidoka.db")
    with writing_to(store):
        ended = chat("--store", store, said="hello\n")

    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith("jidoka: ")
    assert ended.stderr.count("\n") == 1


def test_without_any_input_there_is_a_session_and_nothing_more(store: str) -> None:
    command = " ".join([*PROGRAM, "chat", "--store", store, "--json"])
    for stdin in ("</dev/null", "<&-"):
        done = subprocess.run(
            ["sh", "-c", f"{command} {stdin}"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["session"]


def test_a_stand_in_for_stdin_will_do(store: str) -> None:
    done = CliRunner().invoke(app, ["chat", "--store", store], input="hello there\n")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["hello there"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_script_that_waits_for_more(store: str, number: signal.Signals, status: int) -> None:
    with subprocess.Popen(
        [*PROGRAM, "chat", "--store", store],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        process.stdout.readline()
        assert process.stdout.readline() == "hello\n"
        os.kill(process.pid, number)

        assert process.wait(20) == status
        assert process.stderr.read() == f"jidoka: ended by {number.name}\n"


def test_a_reader_that_goes_away_ends_it_quietly(store: str) -> None:
    command = " ".join([*PROGRAM, "chat", "--store", store])
    lines = "hello\n" * 2_000

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -n 1"],
        input=lines,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")
