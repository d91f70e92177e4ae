"""`jidoka`: the commands. Exit status 0: all is well; 1: something is not as it should be; 2: bad input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import jidoka
from jidoka.cli.demo import demo as run_demo
from jidoka.cli.dialogues import read_dialogues
from jidoka.cli.replay import Report
from jidoka.cli.replay import replay as run_replay
from jidoka.cli.running import Interrupted, on_the_loop
from jidoka.cli.screen import Output
from jidoka.core.errors import JidokaError, Refused

T = TypeVar("T")

app = typer.Typer(
    name="jidoka",
    help="Sessions with a language model as supervised actors.",
    no_args_is_help=True,
    add_completion=False,
)
out = Output()
err = Output(stderr=True)

# Seconds between the steps of a demo that somebody watches.
PACE = 0.9
LONGEST_PACE = 60

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def run() -> None:
    """The console script."""
    reconfigure: Callable[..., object] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # A terminal that cannot show a character shows another one.
        reconfigure(errors="replace")
    try:
        try:
            app()
        finally:
            # What waits in the buffer may turn out not to be writable: here, where it can be said.
            sys.stdout.flush()
    except OSError as error:
        # Python flushes once more when it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            err.print(f"jidoka: {error.strerror or error}", style="red", markup=False, highlight=False)
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"jidoka {jidoka.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sessions with a language model as supervised actors."""


def _refuse(text: str, as_json: bool, *, status: int = 2) -> typer.Exit:
    if as_json:
        print(json.dumps({"error": text}))
    err.print(f"jidoka: {text}", style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(status)


def _carry_out(function: Callable[[], Awaitable[T]], as_json: bool) -> T:
    """`await function()`, with every way in which it may end as an exit status and one line of text."""
    try:
        return on_the_loop(function)
    except Interrupted as signal:
        err.print(f"jidoka: {signal}", markup=False, highlight=False)
        raise typer.Exit(signal.exit_status) from None
    except JidokaError as error:
        raise _refuse(str(error), as_json, status=2 if isinstance(error, Refused) else 1) from error
    except ValidationError as error:
        from jidoka.core.settings import variable_of

        wrong = "; ".join(f"{variable_of('_'.join(map(str, e['loc'])))}: {e['msg']}" for e in error.errors())
        raise _refuse(f"settings: {wrong}", as_json) from error


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help='JSON lines {"id": …, "turns": [[role, text], …]}, gzip or not.')],
    kill_rate: Annotated[float, typer.Option(help="Chance that an actor is killed after a message, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="For the dice: the same seed kills the same actors.")] = 0,
    store: Annotated[str, typer.Option(help="Where the sessions are kept.")] = "memory://",
    as_json: AsJson = False,
) -> None:
    """Run every dialogue of FILE as a session, all at once, and compare what was stored with the input."""
    if not 0 <= kill_rate <= 1:
        raise _refuse(f"--kill-rate is a chance from 0 to 1, not {kill_rate}", as_json)
    try:
        dialogues = read_dialogues(file)
    except OSError as error:
        raise _refuse(f"{file}: {error.strerror or error}", as_json) from error
    except JidokaError as error:
        raise _refuse(str(error), as_json) from error
    with _progress(sum(len(dialogue.turns) for dialogue in dialogues), hidden=as_json) as advance:
        report = _carry_out(
            lambda: run_replay(dialogues, store=store, kill_rate=kill_rate, seed=seed, progress=advance), as_json
        )
    for error in report.errors[:1]:
        err.print(f"jidoka: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        _show(report)
    raise typer.Exit(0 if report.is_clean else 1)


class _progress:
    """A progress bar on stderr, when somebody looks at it."""

    def __init__(self, total: int, *, hidden: bool) -> None:
        columns = (TextColumn("messages"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=err, transient=True, disable=hidden or not err.is_terminal)
        self._task = self._bar.add_task("messages", total=total)

    def __enter__(self) -> Callable[[int], object]:
        self._bar.start()
        return lambda count: self._bar.advance(self._task, count)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


def _show(report: Report) -> None:
    table = Table(title="replay", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    for name in ("sessions", "messages", "kills", "restarts"):
        table.add_row(name, f"{getattr(report, name):,}")
    for name in ("lost", "duplicated", "out_of_order", "mixed"):
        count = getattr(report, name)
        table.add_row(name.replace("_", " "), f"{count:,}", style="green" if count == 0 else "bold red")
    table.add_row("messages per second", f"{report.messages_per_second:,.0f}")
    table.add_row("seconds", f"{report.seconds:,.2f}")
    out.print(table)


@app.command()
def demo(
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(help="For the dice: the same seed breaks the same sessions.")] = 1,
    pace: Annotated[float, typer.Option(help="Seconds to look at each step, on a terminal.")] = PACE,
) -> None:
    """Start a dozen sessions, break real things, and show what comes back. No network, no key."""
    if not 0 <= pace <= LONGEST_PACE:
        raise _refuse(f"--pace is from 0 to {LONGEST_PACE} seconds, not {pace}", as_json)
    wait = pace if out.is_terminal and not as_json else 0.0
    outcome = _carry_out(lambda: run_demo(None if as_json else out, seed=seed, pace=wait), as_json)
    if as_json:
        print(json.dumps(outcome))
    raise typer.Exit(0 if outcome["lost"] == 0 else 1)
