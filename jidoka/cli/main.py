"""`jidoka`: the commands. Exit status 0: all is well; 1: something is not as it should be; 2: bad input."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.table import Table

import jidoka
from jidoka.cli import sessions, stores
from jidoka.cli.chat import chat
from jidoka.cli.demo import demo as run_demo
from jidoka.cli.dialogues import read_dialogues
from jidoka.cli.output import AsJson, HowFar, carry_out, complain, err, out, refuse
from jidoka.cli.replay import replay as run_replay
from jidoka.cli.report import DIFFERENCES, FAULTS, Report
from jidoka.core.errors import JidokaError

app = typer.Typer(
    name="jidoka",
    help="Sessions with a language model as supervised actors.",
    no_args_is_help=True,
    add_completion=False,
)
for command in (chat, stores.verify, stores.backup, stores.restore, stores.rotate):
    app.command()(command)
app.add_typer(sessions.app, name="sessions")

# Seconds between the steps of a demo that somebody watches.
PACE = 0.9
LONGEST_PACE = 60
# With more of it no replay would come to its end.
MOST_CHAOS = 0.9


def run() -> None:
    """The console script."""
    occupy_standard_files()
    prepare_stdout()
    try:
        try:
            app()
        finally:
            # What waits in the buffer may turn out not to be writable: here, where it can be said.
            print(end="", flush=True)
    except OSError as error:
        # Python flushes once more when it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            err.print(f"jidoka: {error.strerror or error}", style="red", markup=False, highlight=False)
        sys.exit(1)


def occupy_standard_files() -> None:
    """Where stdin, stdout or stderr is closed, nothing that is opened later gets its number: no loop, and no store."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


def prepare_stdout() -> None:
    """Whatever is printed comes out whole, on whatever there is."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    output = cast("io.TextIOWrapper[Any]", sys.stdout)
    # A terminal that cannot show a character shows another one.
    output.reconfigure(errors="replace")
    if isinstance(output.buffer, io.RawIOBase):
        # PYTHONUNBUFFERED: a pipe may take a part of a long line, and nobody would write the rest.
        encoding, raw = output.encoding, output.detach()
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="replace", line_buffering=True)


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


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help='JSON lines {"id": …, "turns": [[role, text], …]}, gzip or not.')],
    *,
    kill_rate: Annotated[float, typer.Option(help="Chance that an actor is killed after a message, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="For the dice: the same seed kills the same actors.")] = 0,
    store: Annotated[str, typer.Option(help="Where the sessions are kept.")] = "memory://",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier replay into STORE ended.")] = False,
    turns: Annotated[bool, typer.Option("--turns", help="Each question with its answer is a turn of a model.")] = False,
    chaos: Annotated[
        float, typer.Option(help="Chance that a turn's model fails, is cut or stalls, 0 to 0.9. Implies --turns.")
    ] = 0.0,
    tools: Annotated[bool, typer.Option("--tools", help="The model uses tools. Implies --turns.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every dialogue of FILE as a session, all at once, and compare what was stored with the input."""
    if not 0 <= kill_rate <= 1:
        raise refuse(f"--kill-rate is a chance from 0 to 1, not {kill_rate}", as_json)
    if not 0 <= chaos <= MOST_CHAOS:
        raise refuse(f"--chaos is a chance from 0 to {MOST_CHAOS}, not {chaos}", as_json)
    try:
        dialogues = read_dialogues(file)
    except OSError as error:
        raise refuse(f"{file}: {error.strerror or error}", as_json) from error
    except JidokaError as error:
        raise refuse(str(error), as_json) from error

    async def work() -> Report:
        with HowFar("messages", sum(len(dialogue.turns) for dialogue in dialogues), hidden=as_json) as bar:
            return await run_replay(
                dialogues,
                store=store,
                kill_rate=kill_rate,
                seed=seed,
                resume=resume,
                turns=turns or tools or chaos > 0,
                chaos=chaos,
                tools=tools,
                progress=bar.advance,
            )

    report = carry_out(work, as_json)
    for error in report.errors[:1]:
        complain(error)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        _show(report)
    raise typer.Exit(0 if report.is_clean else 1)


def _show(report: Report) -> None:
    table = Table(title="replay", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    said = ("turns", "asked", "tool_calls", "tool_runs", "repeats_told") if report.turns else ()
    for name in ("sessions", "messages", "resumed", "sent", "kills", "restarts", *said):
        table.add_row(name.replace("_", " "), f"{getattr(report, name):,}")
    for name in (*DIFFERENCES, *(FAULTS if report.turns else ())):
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
        raise refuse(f"--pace is from 0 to {LONGEST_PACE} seconds, not {pace}", as_json)
    wait = pace if out.is_terminal and not as_json else 0.0
    outcome = carry_out(lambda: run_demo(None if as_json else out, seed=seed, pace=wait), as_json)
    if as_json:
        print(json.dumps(outcome))
    raise typer.Exit(0 if outcome["lost"] == 0 else 1)
