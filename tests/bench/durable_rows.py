"""The durable rows: what is on a disk when a call returns, beside who keeps sessions as well and beside SQLite itself.

`--rows durable` is all of them; `million` takes minutes to fill its store, and only runs when it is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tests.bench.contestants import (
    ADK,
    ADK_DATABASE,
    ADK_POSTGRES,
    DURABLE_SESSIONS,
    LANGGRAPH,
    OPENAI,
    OPENAI_ASYNC,
    OPENAI_POSTGRES,
    POSTGRES_RAW,
    POSTGRES_STORE,
    RAW,
    STORE,
)
from tests.bench.contestants import DURABLE as SESSIONS
from tests.bench.works import Row, Sizes, Work

Less = partial(Row, higher_is_better=False)
PEERS = (OPENAI, OPENAI_ASYNC, ADK, ADK_DATABASE, LANGGRAPH)
# Where the second class of a library would show the same again.
ONE_OF_EACH = (OPENAI, ADK_DATABASE, LANGGRAPH)
ALONE: Sizes = {"calls": 4_000}
ALONE_QUICK: Sizes = {"calls": 200}
ALONE_WARM: Sizes = {"calls": 16}
NOT_STORED = "stores no session before its first message"
NO_LIST = "has no list of sessions"
NO_CRASHES = "has no supervisors"
FULL_ONLY = "offers no other durability"


Aim = float | None


def _appends(name: str, one: Aim, many: Aim, p99: tuple[Aim, Aim]) -> tuple[Row, ...]:
    return (
        Row(f"{name}.one", "one", "messages/s, 1 caller", one),
        Less(f"{name}.one_p99", "one_p99", "ms", p99[0]),
        Row(f"{name}.many", "many", "messages/s, 16 sessions", many),
        Less(f"{name}.many_p99", "many_p99", "ms", p99[1]),
    )


def _all(names: tuple[str, ...], why: str) -> Mapping[str, str]:
    return dict.fromkeys(names, why)


DURABLE = (
    Work(
        "durable_create",
        (
            Row("durable_create.one", "one", "sessions/s, 1 caller", 5_000),
            Less("durable_create.one_p99", "one_p99", "ms"),
            Row("durable_create.many", "many", "sessions/s, 16 callers"),
        ),
        (SESSIONS, STORE, RAW, ADK, ADK_DATABASE),
        full={"sessions": 8_000},
        quick={"sessions": 320},
        warm={"sessions": 32},
        absent=_all(("OpenAI", "LangGraph"), NOT_STORED),
        group="durable",
    ),
    Work(
        "durable_create_normal",
        (
            Row("durable_create_normal.one", "one", "sessions/s, 1 caller", 12_000),
            Row("durable_create_normal.many", "many", "sessions/s, 16 callers"),
        ),
        (SESSIONS, STORE, RAW),
        full={"sessions": 16_000},
        quick={"sessions": 320},
        warm={"sessions": 32},
        group="durable",
    ),
    Work(
        "durable_pairs",
        _appends("durable_pairs", 11_000, 25_000, (0.5, 3)),
        (STORE, RAW, *PEERS),
        full=ALONE,
        quick=ALONE_QUICK,
        warm=ALONE_WARM,
        group="durable",
    ),
    Work(
        "durable_pairs_normal",
        _appends("durable_pairs_normal", 25_000, None, (None, None)),
        (STORE, RAW),
        full={"calls": 16_000},
        quick=ALONE_QUICK,
        warm=ALONE_WARM,
        absent=_all(("OpenAI", "ADK", "LangGraph"), FULL_ONLY),
        group="durable",
    ),
    Work(
        "durable_messages",
        _appends("durable_messages", None, None, (None, None)),
        (SESSIONS, STORE, RAW, OPENAI, ADK),
        full=ALONE,
        quick=ALONE_QUICK,
        warm=ALONE_WARM,
        group="durable",
    ),
    Work(
        "durable_postgres",
        _appends("durable_postgres", 4_000, 15_000, (None, 15)),
        (POSTGRES_STORE, POSTGRES_RAW, OPENAI_POSTGRES, ADK_POSTGRES),
        full=ALONE,
        quick=ALONE_QUICK,
        warm=ALONE_WARM,
        group="durable",
    ),
    Work(
        "durable_long",
        (
            Less("durable_long.growth", "growth", "x an append at 10", 1.2),
            Less("durable_long.bytes_growth", "bytes_growth", "x bytes at 10", 1.2),
            Less("durable_long.bytes", "bytes", "bytes written a pair"),
            Less("durable_long.all", "everything", "ms to read all", 15),
            Less("durable_long.last", "last", "ms to read 50", 0.15),
            Less("durable_long.disk", "disk", "bytes a message", 620),
        ),
        (STORE, RAW, *PEERS),
        full={"size": 10_000, "pairs": 200},
        quick={"size": 1_000, "pairs": 20},
        warm={"size": 60, "pairs": 10},
        group="durable",
    ),
    Work(
        "durable_turn",
        (
            Less("durable_turn.ms", "ms", "ms", 1),
            Less("durable_turn.growth", "growth", "x a turn at 10", 1.5),
            Less("durable_turn.short", "short_ms", "ms at 10"),
        ),
        (SESSIONS, STORE, RAW, *ONE_OF_EACH),
        full={"size": 10_000, "turns": 200},
        quick={"size": 1_000, "turns": 20},
        warm={"size": 60, "turns": 10},
        group="durable",
    ),
    Work(
        "durable_history",
        (
            Less("durable_history.resident", "resident", "ms", 0.005),
            Less("durable_history.woken", "woken", "ms"),
        ),
        (DURABLE_SESSIONS,),
        full={"size": 10_000, "reads": 10_000},
        quick={"size": 1_000, "reads": 500},
        warm={"size": 60, "reads": 100},
        group="durable",
    ),
    Work(
        "durable_list",
        (Less("durable_list.p50", "p50", "ms", 0.3), Less("durable_list.p99", "p99", "ms")),
        (SESSIONS, RAW, ADK, ADK_DATABASE),
        full={"sessions": 100_000, "pages": 500},
        quick={"sessions": 2_000, "pages": 10},
        warm={"sessions": 500, "pages": 2},
        absent=_all(("OpenAI", "LangGraph"), NO_LIST),
        group="durable",
    ),
    Work(
        "durable_delete",
        (
            Row("durable_delete.rate", "rate", "sessions/s", 2_000),
            Row("durable_delete.space", "space", "% of the space returned"),
        ),
        (SESSIONS, STORE, RAW, OPENAI_ASYNC, *ONE_OF_EACH),
        full={"sessions": 150, "size": 100},
        quick={"sessions": 40, "size": 100},
        warm={"sessions": 4, "size": 10},
        group="durable",
    ),
    Work(
        "durable_files",
        (
            Less("durable_files.each", "each", "open files a session", 0),
            Less("durable_files.all", "all", "open files in all"),
        ),
        (SESSIONS, RAW, *ONE_OF_EACH),
        full={"sessions": 10_000},
        quick={"sessions": 100},
        warm={"sessions": 10},
        # A connection per session, and with it a thread or more; an event is a commit without group commit.
        carries={
            OPENAI.name: {"sessions": 50},
            **dict.fromkeys((ADK_DATABASE.name, LANGGRAPH.name), {"sessions": 500}),
        },
        runs=1,
        group="durable",
    ),
    Work(
        "durable_writers",
        (
            Row("durable_writers.kept", "kept", "% of what was acknowledged", 100),
            Less("durable_writers.interleaved", "interleaved", "pairs torn apart", 0),
            Less("durable_writers.conflicts", "conflicts", "typed conflicts"),
            Row("durable_writers.acked", "acked", "pairs acknowledged"),
        ),
        (SESSIONS, STORE, OPENAI, ADK, ADK_DATABASE, LANGGRAPH),
        full={"writers": 8, "pairs": 15},
        quick={"writers": 8, "pairs": 5},
        warm={"writers": 2, "pairs": 1},
        runs=1,
        group="durable",
    ),
    Work(
        "durable_kill",
        (
            Less("durable_kill.lost", "lost", "acknowledged messages", 0),
            Less("durable_kill.p99", "p99", "ms until 100 answer", 50),
            Less("durable_kill.p50", "p50", "ms until half of them do"),
            Row("durable_kill.acked", "acked", "acknowledged before"),
        ),
        (SESSIONS, STORE, RAW, *ONE_OF_EACH),
        full={"sessions": 100, "milliseconds": 1_000},
        quick={"sessions": 100, "milliseconds": 200},
        warm={"sessions": 5, "milliseconds": 50},
        group="durable",
    ),
    Work(
        "durable_crash",
        (
            Less("durable_crash.p50", "p50", "ms"),
            Less("durable_crash.p99", "p99", "ms", 1),
        ),
        (DURABLE_SESSIONS,),
        full={"sessions": 200, "crashes": 10, "messages": 20},
        quick={"sessions": 50, "crashes": 4, "messages": 20},
        warm={"sessions": 20, "crashes": 2, "messages": 20},
        absent=_all(("OpenAI", "ADK", "LangGraph"), NO_CRASHES),
        group="durable",
    ),
)

MILLION = Work(
    "million",
    (
        Less("million.memory", "mib", "MiB, all asleep", 150),
        Less("million.p99", "p99", "ms to the first message", 20),
        Less("million.p50", "p50", "ms to the first message"),
        Less("million.woken", "woken_mib", "MiB, a thousand awake"),
        Row("million.filled", "filled", "sessions/s while filling"),
    ),
    (DURABLE_SESSIONS,),
    full={"sessions": 1_000_000, "woken": 1_000},
    quick={"sessions": 10_000, "woken": 200},
    warm={"sessions": 200, "woken": 20},
    limit=1_800.0,
    runs=1,
    on_request=True,
)
