"""Running the command line: in this process, as a program, and as a program with a terminal."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from jidoka.cli.main import app

PROGRAM = [sys.executable, "-W", "error", "-m", "jidoka"]


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str


def jidoka(*args: str) -> Ended:
    """`jidoka ARGS`, in this process."""
    result = CliRunner().invoke(app, args)
    return Ended(result.exit_code, result.stdout, result.stderr)


def run_program(*args: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Ended:
    """`python -m jidoka ARGS`, with neither terminal nor color settings. Without *stdin* it has ours."""
    done = subprocess.run(
        [*PROGRAM, *args], env=environment(env), input=stdin, capture_output=True, text=True, timeout=20, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("JIDOKA_", "NO_COLOR", "FORCE"))}
    return {**plain, "TERM": "xterm", "COLUMNS": "100", "LINES": "40", **(extra or {})}


class Terminal:
    """What a program shows on its terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]", side: int) -> None:
        self.process = process
        self.shown = ""
        self._side = side

    def read(self) -> bool:
        """Wait for more. False after the end."""
        try:
            piece = os.read(self._side, 65_536)
        except OSError:
            # How Linux says that the other side is closed.
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def wait_for(self, text: str) -> None:
        while text not in self.shown:
            assert self.read(), self.shown

    def press_ctrl_c(self) -> None:
        os.write(self._side, b"\x03")

    def wait_ended(self) -> int:
        while self.read():
            pass
        return self.process.wait(timeout=10)


@contextmanager
def on_a_terminal(*command: str, env: dict[str, str] | None = None) -> Generator[Terminal]:
    ours, theirs = pty.openpty()
    # In a session of its own: the terminal that it opens first is the one whose Ctrl-C it hears.
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <"$0"', os.ttyname(theirs), *command],
        env=environment(env),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        os.close(ours)


def dialogue(name: Any, *turns: Sequence[Any]) -> str:
    return json.dumps({"id": name, "turns": turns})


def dialogues(count: int, length: int = 6) -> list[str]:
    """Dialogues in which no two messages are alike."""
    roles = ("user", "assistant")
    return [dialogue(f"d{n}", *((roles[t % 2], f"{n}/{t}") for t in range(length))) for n in range(count)]


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    raw = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path
