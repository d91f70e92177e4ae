"""What is measured, at which size, by whom, and what we aim at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.contestants import (
    ACTORS_ALONE,
    ASYNCIO,
    AUTOGEN,
    BLINKER,
    EVENTS,
    KERNEL,
    OTP,
    PYKKA,
    SESSIONS,
    STORM,
    Contestant,
)

Sizes = Mapping[str, int]
NO_SUPERVISION = "has no supervisors"
NO_SESSIONS = "keeps no history"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a work, as a line of the table. Without *aim* it is there for comparison."""

    name: str
    figure: str
    unit: str
    aim: float | None = None
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """What each contestant does once per run. It gives all the figures of its rows."""

    name: str
    rows: tuple[Row, ...]
    contestants: tuple[Contestant, ...]
    full: Sizes
    quick: Sizes
    warm: Sizes
    # For who cannot carry the full size; said in the table.
    carries: Mapping[str, Sizes] = field(default_factory=dict)
    # Contestants that have nothing of the kind, and why.
    absent: Mapping[str, str] = field(default_factory=dict)
    limit: float = 120.0
    """Seconds after which a run is given up."""

    def sizes(self, contestant: Contestant, *, quick: bool) -> dict[str, int]:
        """At which size *contestant* runs: the smaller of what is asked and what it can carry."""
        asked = dict(self.quick if quick else self.full)
        carries = self.carries.get(contestant.name, {})
        return {name: min(size, carries.get(name, size)) for name, size in asked.items()}


ACTORS = (KERNEL, OTP, AUTOGEN, PYKKA, ASYNCIO)

WORKS = (
    Work(
        "sessions",
        (
            Row("sessions.started", "started", "/s", 30_000),
            Row("sessions.memory", "kib", "KiB each", 6, higher_is_better=False),
            Row("sessions.stopped", "stop", "s per 100,000", 4, higher_is_better=False),
        ),
        (SESSIONS, ACTORS_ALONE, OTP, AUTOGEN, PYKKA, ASYNCIO),
        full={"sessions": 100_000},
        quick={"sessions": 5_000},
        warm={"sessions": 200},
        carries={"Pykka": {"sessions": 1_000}},
    ),
    Work(
        "calls_one",
        (Row("calls_one", "rate", "calls/s", 100_000),),
        ACTORS,
        full={"count": 200_000},
        quick={"count": 20_000},
        warm={"count": 2_000},
        carries={"autogen-core": {"count": 20_000}},
    ),
    Work(
        "calls_many",
        (Row("calls_many", "rate", "calls/s", 150_000),),
        ACTORS,
        full={"actors": 1_000, "each": 200},
        quick={"actors": 1_000, "each": 20},
        warm={"actors": 50, "each": 20},
        carries={"autogen-core": {"each": 20}, "Pykka": {"each": 40}},
    ),
    Work(
        "tells",
        (Row("tells", "rate", "tells/s", 1_000_000),),
        ACTORS,
        full={"count": 2_000_000},
        quick={"count": 200_000},
        warm={"count": 20_000},
        carries={"autogen-core": {"count": 20_000}, "Pykka": {"count": 400_000}},
    ),
    Work(
        "deliveries",
        (Row("deliveries", "rate", "deliveries/s", 1_000_000),),
        (EVENTS, OTP, AUTOGEN, PYKKA, ASYNCIO, BLINKER),
        full={"subscribers": 100, "events": 20_000},
        quick={"subscribers": 100, "events": 2_000},
        warm={"subscribers": 100, "events": 200},
        carries={"autogen-core": {"events": 500}, "Pykka": {"events": 2_000}},
    ),
    Work(
        "restarts",
        (Row("restarts", "rate", "restarts/s", 80_000),),
        (KERNEL, OTP, ASYNCIO),
        full={"actors": 10_000, "rounds": 10},
        quick={"actors": 2_000, "rounds": 5},
        warm={"actors": 500, "rounds": 2},
        absent={"Pykka": NO_SUPERVISION, "autogen-core": NO_SUPERVISION},
    ),
    Work(
        "recovery",
        (
            Row("recovery.p50", "p50", "ms", None, higher_is_better=False),
            Row("recovery.p99", "p99", "ms", 1, higher_is_better=False),
        ),
        (SESSIONS, OTP, ASYNCIO),
        full={"sessions": 500, "crashes": 10, "messages": 20},
        quick={"sessions": 50, "crashes": 10, "messages": 20},
        warm={"sessions": 20, "crashes": 5, "messages": 20},
        absent={"Pykka": NO_SUPERVISION, "autogen-core": NO_SUPERVISION},
    ),
    Work(
        "storm",
        (
            Row("storm.errors", "errors", "seen by others", 0, higher_is_better=False),
            Row("storm.p50", "p50_ratio", "x baseline", 2, higher_is_better=False),
            Row("storm.p99", "p99_ratio", "x baseline", 2, higher_is_better=False),
            Row("storm.sent_p50", "sent_p50_ratio", "x baseline", None, higher_is_better=False),
            Row("storm.sent_p99", "sent_p99_ratio", "x baseline", None, higher_is_better=False),
            Row("storm.p50_ms", "p50", "ms", None, higher_is_better=False),
            Row("storm.p99_ms", "p99", "ms", None, higher_is_better=False),
            Row("storm.baseline_ms", "baseline_p99", "ms", None, higher_is_better=False),
            Row("storm.crashes", "crashes", "crashes/s"),
            Row("storm.calls", "calls", "calls/s"),
        ),
        (STORM, OTP),
        full={"sessions": 10_000, "crashing": 100, "seconds": 60},
        quick={"sessions": 10_000, "crashing": 100, "seconds": 5},
        warm={"sessions": 200, "crashing": 10, "seconds": 1},
        absent={"Pykka": NO_SUPERVISION, "autogen-core": NO_SUPERVISION, "asyncio": NO_SUPERVISION},
        limit=300.0,
    ),
    Work(
        "append",
        (
            Row("append", "rate", "messages/s"),
            Row("append.p99", "p99", "ms", None, higher_is_better=False),
            Row("append.growth", "growth", "last 1/10 ÷ first", 1.2, higher_is_better=False),
        ),
        (SESSIONS, OTP, ASYNCIO),
        full={"messages": 50_000},
        quick={"messages": 10_000},
        warm={"messages": 1_000},
        absent={"Pykka": NO_SESSIONS, "autogen-core": NO_SESSIONS},
    ),
    Work(
        "history",
        (Row("history.p50", "p50", "ms", 0.005, higher_is_better=False), Row("history.p99", "p99", "ms", None, False)),
        (SESSIONS, OTP, ASYNCIO),
        full={"messages": 10_000, "last": 50, "reads": 20_000},
        quick={"messages": 10_000, "last": 50, "reads": 2_000},
        warm={"messages": 200, "last": 50, "reads": 100},
        absent={"Pykka": NO_SESSIONS, "autogen-core": NO_SESSIONS},
    ),
)


def chosen(names: list[str]) -> list[tuple[Work, tuple[Row, ...]]]:
    """The works that *names* ask for, with the rows to show; a work's name stands for all its rows."""
    unknown = set(names) - {work.name for work in WORKS} - {row.name for work in WORKS for row in work.rows}
    if unknown:
        known = ", ".join(work.name for work in WORKS)
        raise ValueError(f"no row is called {', '.join(sorted(unknown))}; there are {known}")
    found: list[tuple[Work, tuple[Row, ...]]] = []
    for work in WORKS:
        rows = tuple(row for row in work.rows if not names or work.name in names or row.name in names)
        if rows:
            found.append((work, rows))
    return found
