"""What all commands share: where they print, how they end, and how far they are."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from jidoka.cli.running import Interrupted, on_the_loop
from jidoka.cli.screen import Output
from jidoka.core.errors import JidokaError, Refused

T = TypeVar("T")

out = Output()
err = Output(stderr=True)

# Where nobody counts columns.
_wide: Final = Output(width=1_000)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def complain(text: str) -> None:
    """One line on stderr."""
    err.print(f"jidoka: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


def refuse(text: str, as_json: bool, *, status: int = 2) -> typer.Exit:
    """Say why not. To be raised."""
    if as_json:
        print(json.dumps({"error": text}))
    complain(text)
    return typer.Exit(status)


def carry_out(
    function: Callable[[], Awaitable[T]], as_json: bool, *, on_interrupt: Callable[[], bool] | None = None
) -> T:
    """`await function()`, with every way in which it may end as an exit status and one line of text."""
    try:
        return on_the_loop(function, on_interrupt)
    except Interrupted as signal:
        err.print(f"jidoka: {signal}", markup=False, highlight=False)
        raise typer.Exit(signal.exit_status) from None
    except JidokaError as error:
        raise refuse(str(error), as_json, status=2 if isinstance(error, Refused) else 1) from error
    except ValidationError as error:
        from jidoka.core.settings import variable_of

        wrong = "; ".join(f"{variable_of('_'.join(map(str, e['loc'])))}: {e['msg']}" for e in error.errors())
        raise refuse(f"settings: {wrong}", as_json) from error


def print_table(table: Table) -> None:
    """A table that is cut to a terminal, and to nothing else."""
    (out if out.is_terminal else _wide).print(table)


class HowFar:
    """A progress bar on stderr, when somebody looks at it: `with HowFar("messages") as bar: bar.advance(1)`."""

    def __init__(self, what: str, total: int, *, hidden: bool) -> None:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=err, transient=True, disable=hidden or not err.is_terminal)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> HowFar:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def advance(self, count: int) -> None:
        """So much more is done, or as much as there is."""
        task = self._bar.tasks[0]
        self._bar.advance(self._task, min(count, (task.total or 0) - task.completed))
