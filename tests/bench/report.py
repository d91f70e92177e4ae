"""The figures, as one JSON object or as a table."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.bench import machine
from tests.bench.contestants import EVERYBODY
from tests.bench.harness import Outcome
from tests.bench.works import Row, Work


@dataclass(frozen=True, slots=True)
class Measured:
    """One work, the rows that were asked for, and what came of it."""

    work: Work
    rows: tuple[Row, ...]
    outcomes: list[Outcome]

    @property
    def ours(self) -> Outcome:
        """What all others are compared with: jidoka, or the first part of it that takes part."""
        return next(one for one in self.outcomes if one.contestant.startswith("jidoka"))


def as_json(found: Iterable[Measured], *, quick: bool) -> dict[str, Any]:
    """`{machine, python, rows: [{name, aim, unit, results: {contestant: {median, min, max, runs}}}]}`."""
    return {
        "machine": machine.describe(),
        "python": platform.python_version(),
        "contestants": {
            one.name: (one.version or "installed") if one.is_installed else one.missing for one in EVERYBODY
        },
        "quick": quick,
        "rows": [
            {
                "name": row.name,
                "aim": row.aim,
                "unit": row.unit,
                "better": "higher" if row.higher_is_better else "lower",
                "results": {one.contestant: _result(one, row) for one in measured.outcomes},
            }
            for measured in found
            for row in measured.rows
        ],
    }


def _result(outcome: Outcome, row: Row) -> dict[str, Any]:
    result: dict[str, Any] = {"median": None, "min": None, "max": None, "runs": 0}
    result.update(outcome.summary(row.figure) or {})
    if outcome.sizes:
        result["sizes"] = outcome.sizes
    if outcome.note:
        result["note"] = outcome.note
    return result


def show(found: Iterable[Measured], console: Console, *, quick: bool) -> None:
    """One table for all rows, and what one has to know to read it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("contestant", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("unit; min – max")
    table.add_column("aim", justify="right", no_wrap=True)
    table.add_column("to jidoka", justify="right", no_wrap=True)
    for measured in found:
        for row in measured.rows:
            _add(table, measured, row)
    console.print(table)
    about = machine.describe()
    console.print(
        f"Python {platform.python_version()}, {about['loop']}, one core of {about['cores']} × {about['processor']}. "
        "Everybody has a process of their own and runs in turn with the others.\n"
        "[dim]to jidoka: how many times as good as jidoka, whichever way better is.[/dim]"
    )
    if quick:
        console.print("[yellow]--quick: one run of each at a small size. The aims are for the full size.[/yellow]")


def _add(table: Table, measured: Measured, row: Row) -> None:
    table.add_row(f"[bold]{row.name}[/bold]", "", f"[bold]{row.unit}[/bold]", _aim(measured.ours, row), "")
    for outcome in measured.outcomes:
        summary = outcome.summary(row.figure)
        if summary is None and outcome.contestant in measured.work.absent and row is not measured.rows[0]:
            continue
        if summary is None:
            table.add_row(f"  {outcome.contestant}", "–", f"[dim]{escape(outcome.note or 'no figure')}[/dim]")
            continue
        spread = f"{short(summary['min'])} – {short(summary['max'])}" if summary["runs"] > 1 else ""
        about = "  ".join(text for text in (spread, _size(outcome, measured), escape(outcome.note or "")) if text)
        ratio = _ratio(row, summary["median"], measured.ours) if outcome is not measured.ours else ""
        table.add_row(f"  {outcome.contestant}", short(summary["median"]), f"[dim]{about}[/dim]", "", ratio)
    table.add_section()


def _aim(ours: Outcome, row: Row) -> str:
    if row.aim is None:
        return ""
    aim = f"{'≥' if row.higher_is_better else '≤'} {short(row.aim)}"
    summary = ours.summary(row.figure)
    if summary is None:
        return aim
    is_met = summary["median"] >= row.aim if row.higher_is_better else summary["median"] <= row.aim
    return f"[green]{aim}[/green]" if is_met else f"[red]missed {aim}[/red]"


def _ratio(row: Row, value: float, ours: Outcome) -> str:
    summary = ours.summary(row.figure)
    if summary is None:
        return ""
    above, below = (value, summary["median"]) if row.higher_is_better else (summary["median"], value)
    return f"× {short(above / below)}" if above > 0 and below > 0 else ""


def _size(outcome: Outcome, measured: Measured) -> str:
    """Who could not carry what jidoka carried says what it was measured at."""
    less = [f"{size:,} {name}" for name, size in outcome.sizes.items() if size != measured.ours.sizes.get(name)]
    return f"at {', '.join(less)}" if less else ""


def short(value: float) -> str:
    """Three figures that matter, or all of a big number."""
    if value == 0 or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
