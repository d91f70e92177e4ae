"""What is measured, at which size, by whom, and what we aim at."""

from __future__ import annotations

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
)
from tests.bench.durable_rows import DURABLE, MILLION
from tests.bench.turn_rows import TURNS
from tests.bench.works import Row, Work

NO_SUPERVISION = "has no supervisors"
NO_SESSIONS = "keeps no history"


ACTORS = (KERNEL, OTP, AUTOGEN, PYKKA, ASYNCIO)

KERNEL_AND_SESSIONS = (
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


WORKS = (*KERNEL_AND_SESSIONS, *DURABLE, *TURNS, MILLION)


def chosen(names: list[str]) -> list[tuple[Work, tuple[Row, ...]]]:
    """The works that *names* ask for, with the rows to show; a work's or a group's name stands for all its rows."""
    known = {name for work in WORKS for name in (work.name, work.group, *(row.name for row in work.rows)) if name}
    if unknown := set(names) - known:
        there_are = ", ".join(dict.fromkeys(work.group or work.name for work in WORKS))
        raise ValueError(f"no row is called {', '.join(sorted(unknown))}; there are {there_are}")
    found = ((work, tuple(row for row in work.rows if _is_asked_for(work, row, names))) for work in WORKS)
    return [(work, rows) for work, rows in found if rows]


def _is_asked_for(work: Work, row: Row, names: list[str]) -> bool:
    if not names:
        return not work.on_request
    return work.name in names or row.name in names or (work.group in names and not work.on_request)
