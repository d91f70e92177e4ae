"""`python -m tests.bench.policies FILE`: what each context policy does to long sessions.

FILE holds dialogues, as for replay. A thousand of them are joined into long sessions; others are made up and full of
tools. Summaries are the first words of each message: no model is asked. Figures, no pass or failure.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from jidoka.adapters.bpe import exact_counter
from jidoka.cli.dialogues import read_dialogues
from jidoka.core.context import build_context
from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage
from jidoka.core.keywords import CRITICAL, finder
from jidoka.core.messages import Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import ESTIMATE, Meter, choose, show
from jidoka.core.state import SessionState
from jidoka.core.summaries import Summary, due, placed
from jidoka.core.timeline import Timeline

NAME = "policies"
DIALOGUES = 1_000
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
POLICIES = ("recent", "smart", "budget", "summarise")
# A scripted summary: so many words of each message, and so many characters in all.
FIRST_WORDS = 4
LONGEST_SUMMARY = 1_200
NAMES = ("read_file", "run_tests", "search", "http_get")
Draft = tuple[str, str, dict[str, Any]]
# What the entry of the message of that number says.
Said = Callable[[int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of one set of sessions: sums over all of them, and medians of times in milliseconds."""

    sessions: str
    policy: str
    messages: int
    shown: int
    tokens_before: int
    tokens_after: int
    budget: int
    critical: int
    critical_kept: int
    first_ms: float
    again_ms: float


# --- sessions -------------------------------------------------------------------------------------


def joined(path: Path, into: int) -> Iterator[list[Message]]:
    """The first thousand dialogues, end to end, in so many sessions."""
    dialogues = list(islice(read_dialogues(path), DIALOGUES))
    size = -(-len(dialogues) // into)
    for start in range(0, len(dialogues), size):
        some = dialogues[start : start + size]
        yield messages_of((role, text, {}) for dialogue in some for role, text in dialogue.turns)


def tool_heavy(sessions: int, turns: int) -> Iterator[list[Message]]:
    """Turns of several calls with long results; some fail, and some messages are pinned."""
    for seed in range(sessions):
        chance = random.Random(seed)
        drafts: list[Draft] = [("system", "You look after a cluster of machines. " * 10, {})]
        for turn in range(turns):
            drafts += tool_turn(chance, f"turn_{turn}")
        yield messages_of(drafts)


def tool_turn(chance: random.Random, turn: str) -> Iterator[Draft]:
    """A question, some calls with their results, an answer."""
    yield (
        "user",
        f"Please look at {turn} again. " * chance.randint(1, 4),
        {"pinned": True} if chance.random() < 0.02 else {},
    )
    for step in range(chance.randint(1, 5)):
        ids = [f"call_{step}_{number}" for number in range(chance.randint(1, 3))]
        asked = [{"id": id, "name": chance.choice(NAMES), "arguments": {"path": f"/srv/{turn}/{id}"}} for id in ids]
        yield "assistant", "I will see.", {"turn_id": turn, "tool_calls": asked}
        for id in chance.sample(ids, len(ids)):
            word = "it crashed: out of memory" if chance.random() < 0.05 else "all is well here"
            yield "tool", f"{word}; " * chance.randint(1, 120), {"turn_id": turn, "call_id": id}
    yield "assistant", "This is what I found. " * chance.randint(1, 20), {"turn_id": turn}


def messages_of(drafts: Iterable[Draft]) -> list[Message]:
    """With the seq that a journal gives them."""
    return [
        Message(id=f"m{seq}", seq=seq, session_id="session_1", role=role, content=content, at=NOON, metadata=metadata)
        for seq, (role, content, metadata) in enumerate(drafts, start=2)
    ]


# --- measuring ------------------------------------------------------------------------------------


def measured(name: str, sessions: Sequence[list[Message]], policy: str, budget: int, meter: Meter) -> Outcome:
    """One policy on all *sessions*."""
    is_critical = finder(CRITICAL)
    sums = dict.fromkeys(("messages", "shown", "tokens_before", "tokens_after", "critical", "critical_kept"), 0)
    first: list[float] = []
    again: list[float] = []
    for messages in sessions:
        begun = perf_counter()
        timeline = Timeline(messages)
        view = choose(timeline, ContextPolicy.of({"policy": policy}), budget=budget, meter=meter)
        first.append(perf_counter() - begun)
        summaries = told(timeline, policy, budget, meter)
        begun = perf_counter()
        view = choose(timeline, ContextPolicy.of({"policy": policy}), budget=budget, meter=meter, summaries=summaries)
        again.append(perf_counter() - begun)
        critical = {m.id for m in messages if m.role != "system" and is_critical(m.content)}
        sums["messages"] += len(messages)
        sums["shown"] += len(view.messages)
        sums["tokens_before"] += timeline.tokens(meter.counter)
        sums["tokens_after"] += Timeline(view.messages).tally(meter.counter).total()
        sums["critical"] += len(critical)
        sums["critical_kept"] += len(critical & {m.id for m in view.messages})
    times = {"first_ms": round(1000 * median(first), 2), "again_ms": round(1000 * median(again), 2)}
    return Outcome(sessions=name, policy=policy, budget=budget * len(sessions), **sums, **times)


def told(timeline: Timeline, policy: str, budget: int, meter: Meter) -> Any:
    """The summaries that a model of few words would have made by now."""
    made: list[Summary] = []
    chosen = ContextPolicy.of({"policy": policy})
    while policy == "summarise" and (plan := due(timeline, chosen, made, budget=budget, meter=meter)) is not None:
        content = first_words(plan.messages)
        made.append(
            Summary(first_seq=plan.first_seq, last_seq=plan.last_seq, level=plan.level, content=content, at=NOON)
        )
    return placed(timeline, made)


def first_words(messages: Iterable[Message]) -> str:
    """What a summariser that understands nothing makes of *messages*."""
    said = ("; ".join(" ".join(message.content.split()[:FIRST_WORDS]) for message in messages))[:LONGEST_SUMMARY]
    return said or "Nothing was said."


def windows(most: int) -> dict[str, float]:
    """Milliseconds of `build_context(max_tokens=…)` in sessions of all sizes, resident."""
    return {
        f"{size:,} messages, {max_tokens:,} tokens, {'no policy' if policy is None else policy.policy}": round(
            window_at(size, max_tokens, policy), 3
        )
        for size in (10, most)
        for max_tokens in (8_000, 96_000, 10_000_000)
        for policy in (None, ContextPolicy(), ContextPolicy.of({"policy": "smart"}))
    }


def window_at(size: int, max_tokens: int, policy: ContextPolicy | None) -> float:
    """A median. Each time there is one more message."""
    return median_of(size, lambda state: build_context(state, max_tokens=max_tokens, policy=policy, now=NOON))


def calls(most: int) -> dict[str, float]:
    """Milliseconds of what is done before a model is called, in sessions of all sizes, resident."""
    sessions = [("", 10, said), ("", most, said), (" full of tools", most, tools_said(most))]
    return {
        f"{size:,} messages{kind}, window of {window:,}, {name}": round(call_at(size, window, name, saying), 3)
        for kind, size, saying in sessions
        for window in (10_000, 120_000, 10_000_000)
        for name in POLICIES
    }


def call_at(size: int, window: int, name: str, saying: Said) -> float:
    """With the summaries that there are by then, where the policy makes some."""
    policy = ContextPolicy.of({"policy": name, "max_tokens": window})
    summaries = told(resident(size, saying).timeline, name, int(0.8 * window), ESTIMATE)
    return median_of(size, lambda state: show(state.timeline, policy, summaries=summaries), saying)


def resident(size: int, saying: Said) -> SessionState:
    """A session of so many messages."""
    drafts = [("session_created", {}), *(("conversation_added", saying(number)) for number in range(size))]
    return SessionState.of("session_1", [Entry(seq, type, NOON, data) for seq, (type, data) in enumerate(drafts, 1)])


def median_of(size: int, work: Callable[[SessionState], object], saying: Said | None = None) -> float:
    """Milliseconds that *work* takes, when there is one more message each time."""
    saying = saying or said
    state = resident(size, saying)
    times: list[float] = []
    for number in range(101):
        begun = perf_counter()
        work(state)
        times.append(perf_counter() - begun)
        state.apply(Entry(state.seq + 1, "conversation_added", NOON, saying(size + number)))
    return 1000 * median(times[1:])


def said(number: int) -> dict[str, Any]:
    """What a message's entry says."""
    return {
        "id": f"m{number}",
        "role": "assistant" if number % 2 else "user",
        "content": "words and words " * (number % 30 + 1),
    }


def tools_said(most: int) -> Said:
    """The same for a session that is full of tools."""
    messages = next(tool_heavy(1, most // 8))

    def saying(number: int) -> dict[str, Any]:
        message = messages[number]
        return {
            "id": message.id,
            "role": message.role,
            "content": message.content,
            "metadata": message.metadata,
        }

    return saying


# --- the command ----------------------------------------------------------------------------------


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.policies", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="dialogues: JSON lines, gzip or not")
    parser.add_argument("--budget", type=int, default=8_000, help="tokens to a session")
    parser.add_argument("--sessions", type=int, default=10, help="into so many the dialogues are joined")
    parser.add_argument("--turns", type=int, default=300, help="of a session that is full of tools")
    parser.add_argument("--resident", type=int, default=10_000, help="messages of the session that is in memory")
    parser.add_argument("--exact", action="store_true", help="count by the vocabulary of o200k_base")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: measured; 2: bad input."""
    options = parsed(arguments)
    meter = Meter(exact_counter()) if options.exact else ESTIMATE
    try:
        sets = {"dialogues": list(joined(options.file, options.sessions))}
    except (OSError, InvalidMessage) as error:
        print(error, file=sys.stderr)
        return 2
    sets["tools"] = list(tool_heavy(options.sessions, options.turns))
    outcomes = [
        measured(name, sessions, policy, options.budget, meter)
        for name, sessions in sets.items()
        for policy in POLICIES
    ]
    times = {"build_context_ms": windows(options.resident), "before_a_call_ms": calls(options.resident)}
    if options.json:
        print(json.dumps({"outcomes": [asdict(one) for one in outcomes], **times}))
    else:
        print_table(outcomes, times, options)
    return 0


def print_table(outcomes: Sequence[Outcome], times: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """For people."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (
        "sessions",
        "policy",
        "messages",
        "shown",
        "tokens",
        "shown",
        "of budget",
        "critical",
        "kept",
        "first",
        "again",
    ):
        table.add_column(name, justify="left" if name in {"sessions", "policy"} else "right", no_wrap=True)
    for one in outcomes:
        table.add_row(
            *(one.sessions, one.policy, f"{one.messages:,}", f"{one.shown:,}"),
            *(f"{one.tokens_before:,}", f"{one.tokens_after:,}", f"{100 * one.tokens_after / one.budget:.0f} %"),
            *(f"{one.critical:,}", f"{one.critical_kept:,}", f"{one.first_ms} ms", f"{one.again_ms} ms"),
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        f"{options.sessions} sessions of each kind, {options.budget:,} tokens each. "
        "first: nothing is known yet; again: resident."
    )
    for title, rows in zip(("build_context(max_tokens=…)", "before a call"), times.values(), strict=True):
        console.print(f"\n{title}, one message more each time:")
        for name, time in rows.items():
            console.print(f"  {name:62} {time:.3f} ms")


if __name__ == "__main__":
    sys.exit(main())
