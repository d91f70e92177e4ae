"""The rows of turns: question, model and answer, on a disk when the answer is there, beside the peers' runners.

Everybody's model says what it was told, in one piece. The peers show it the newest 50 messages where they can be told
to; jidoka shows what fits into its window, which is more.
"""

from __future__ import annotations

from functools import partial

from tests.bench.contestants import ADK_RUNS, LANGGRAPH, OPENAI_RUNS, RAW_TURNS
from tests.bench.contestants import DURABLE as SESSIONS
from tests.bench.works import Row, Work

Less = partial(Row, higher_is_better=False)
CONTESTANTS = (SESSIONS, RAW_TURNS, OPENAI_RUNS, ADK_RUNS, LANGGRAPH)

TURNS = (
    Work(
        "turns_echo",
        (
            Row("turns_echo.one", "one", "turns/s, 1 caller", 1_500),
            Less("turns_echo.one_p99", "one_p99", "ms"),
            Row("turns_echo.many", "many", "turns/s, 16 sessions", 1_500),
            Less("turns_echo.many_p99", "many_p99", "ms"),
        ),
        CONTESTANTS,
        full={"turns": 2_000},
        quick={"turns": 200},
        warm={"turns": 16},
        group="turns",
    ),
    Work(
        "turns_long",
        (
            Less("turns_long.growth", "growth", "x a turn at 10", 1.5),
            Less("turns_long.ms", "ms", "ms at 10,000"),
            Less("turns_long.p99", "p99", "ms at 10,000"),
            Less("turns_long.short", "short_ms", "ms at 10"),
        ),
        CONTESTANTS,
        full={"size": 10_000, "turns": 200},
        quick={"size": 10_000, "turns": 20},
        warm={"size": 60, "turns": 10},
        group="turns",
    ),
)
