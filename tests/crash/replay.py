"""`jidoka replay` with its whole process killed again and again, and resumed: nothing may be lost, doubled or moved.

    python -m tests.crash.replay FILE STORE [--kills 10] [--seed 1] [--within 8] [-- MORE ARGUMENTS OF REPLAY]

Most processes are killed some time after they have begun to write, some while they are still starting.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import psycopg
from rich.console import Console
from rich.table import Table

from jidoka.adapters.postgres import SCHEMES, own_options
from jidoka.cli.places import for_reading, opened, url_of
from jidoka.core.errors import JidokaError

PROGRAM = [sys.executable, "-m", "jidoka"]
# Of the kills, those that come while the process may still be starting.
EARLY = 0.2
STARTING = 1.0


@dataclass(frozen=True)
class Life:
    """One process, from its start to its end."""

    seconds: float
    was_killed: bool
    sessions: int
    """In the store after it."""
    messages: int


@dataclass(frozen=True)
class Outcome:
    """What came of all of them."""

    lives: list[Life]
    report: dict[str, Any]
    """What the last one, which nobody killed, says."""
    verified: dict[str, Any]

    @property
    def is_clean(self) -> bool:
        differences = [self.report[name] for name in ("lost", "duplicated", "out_of_order", "mixed")]
        return not any(differences) and not self.report["errors"] and not self.verified["damaged"]


def kill_and_resume(
    file: Path,
    store: str,
    *,
    kills: int,
    seed: int,
    within: float,
    more: Sequence[str] = (),
    told: Callable[[Life], object] = lambda _: None,
) -> Outcome:
    """Kill *kills* processes at random moments, let the last one end, and verify the store.

    A process that ended before its moment had come is not counted: the next ones have less time.
    """
    dice, lives = Random(seed), list[Life]()
    with _looking_at(store) as written:
        while sum(life.was_killed for life in lives) < kills:
            lives.append(_live(file, store, dice, within, more, written))
            told(lives[-1])
            if not lives[-1].was_killed:
                within /= 2
    ended = _run("replay", str(file), "--store", store, "--resume", "--json", *more)
    verified = _run("verify", store, "--json")
    return Outcome(lives, json.loads(ended.stdout), json.loads(verified.stdout))


def _live(
    file: Path, store: str, dice: Random, within: float, more: Sequence[str], written: Callable[[], object]
) -> Life:
    arguments = ["replay", str(file), "--store", store, "--resume", "--json", *more]
    before, began = written(), time.perf_counter()
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    is_early = dice.random() < EARLY
    if not is_early:
        while process.poll() is None and written() == before:
            _wait(process, 0.005)
    _wait(process, dice.uniform(0, STARTING if is_early else within))
    was_killed = process.poll() is None
    process.kill()
    _, said = process.communicate()
    assert was_killed or process.returncode == 0, said
    return Life(time.perf_counter() - began, was_killed, *anyio.run(_reached, store))


def _wait(process: "subprocess.Popen[str]", seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


@contextmanager
def _looking_at(store: str) -> Generator[Callable[[], object]]:
    """Tells something that changes when the store is written to, and that can be seen from outside."""
    if store.startswith(SCHEMES):
        with psycopg.connect(own_options(store)[0], autocommit=True) as connection:
            yield lambda: connection.execute("select pg_relation_size(to_regclass('jidoka_entries'))").fetchone()
    else:
        log = Path(url_of(store).removeprefix("sqlite:///").partition("?")[0] + "-wal")
        yield lambda: _stamp(log)


def _stamp(log: Path) -> tuple[int, int] | None:
    try:
        found = log.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


async def _reached(store: str) -> tuple[int, int]:
    sessions = messages = after = 0
    try:
        async with opened(for_reading(store)) as source:
            while found := await source.heads(after=after, limit=1_000):
                after = found[-1][0]
                sessions += len(found)
                messages += sum(head.message_count for _, head in found)
    except JidokaError:
        # Killed before there was a store.
        return 0, 0
    return sessions, messages


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)


def show(outcome: Outcome, console: Console) -> None:
    """Two tables: each process, and what came of all."""
    table = Table("process", "ended", "after s", "sessions", "messages", title="kill -9 and resume")
    for number, life in enumerate(outcome.lives, start=1):
        end = "kill -9" if life.was_killed else "by itself"
        table.add_row(str(number), end, f"{life.seconds:.1f}", f"{life.sessions:,}", f"{life.messages:,}")
    report = outcome.report
    table.add_row("last", "by itself", f"{report['seconds']:.1f}", f"{report['sessions']:,}", f"{report['messages']:,}")
    console.print(table)
    table = Table(show_header=False, title="in the end")
    for name in ("resumed", "sent", "kills", "lost", "duplicated", "out_of_order", "mixed"):
        table.add_row(name.replace("_", " "), f"{report[name]:,}")
    table.add_row("damaged sessions", str(len(outcome.verified["damaged"])))
    console.print(table)


def main() -> int:
    """The script."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.replay", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("store")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=8.0, help="seconds of writing after which it is killed at most")
    parser.add_argument("more", nargs="*", help="passed on to replay, after --")
    chosen = parser.parse_args()
    console = Console()
    outcome = kill_and_resume(
        chosen.file,
        chosen.store,
        kills=chosen.kills,
        seed=chosen.seed,
        within=chosen.within,
        more=chosen.more,
        told=console.print,
    )
    show(outcome, console)
    print(f"seed {chosen.seed}: {'clean' if outcome.is_clean else 'NOT CLEAN'}")
    return 0 if outcome.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
