"""`python -m jidoka.examples.monitor --store sqlite:///monitor.db --every 2 --cycles 3`: watches this machine.

Kill it in whatever way, and start it again with the same store: it counts on, and no cycle is run twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio.to_thread

from jidoka.cli.running import Interrupted, on_the_loop
from jidoka.client import Client
from jidoka.core.chunks import Usage
from jidoka.core.errors import JidokaError
from jidoka.cycles import Cycle, Monitor, Observation
from jidoka.cycles.formatter import summary
from jidoka.examples.machine import observation_of, read_machine


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m jidoka.examples.monitor", description=__doc__)
    parser.add_argument("--store", default="sqlite:///monitor.db", help="where the session is kept")
    parser.add_argument("--session", default="machine-monitor", help="its id")
    parser.add_argument("--model", default="echo", help="who is asked, where the session is new")
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one cycle to the next")
    parser.add_argument("--cycles", type=int, default=None, help="how many to run now; without a bound if not given")
    parser.add_argument("--missed", choices=["skip", "once", "catch_up"], default="skip")
    parser.add_argument("--compare", action="store_true", help="ask each question in a new session as well")
    parser.add_argument("--verbose", action="store_true", help="say when it looks, too")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each cycle")
    return parser.parse_args(arguments)


async def watch(chosen: argparse.Namespace) -> None:
    """Run the cycles, and say what comes of each."""
    if chosen.cycles is not None and chosen.cycles < 1:
        return
    async with Client(chosen.store) as client:
        monitor = Monitor(
            client,
            chosen.session,
            every=chosen.every,
            observe=partial(look, verbose=chosen.verbose),
            missed=chosen.missed,
            compare=chosen.compare,
            llm_config={"model": chosen.model},
        )
        async with aclosing(monitor.run()) as cycles:
            done = 0
            async for cycle in cycles:
                say(cycle.model_dump_json() if chosen.json else shown(cycle))
                done += 1
                if done == chosen.cycles:
                    break


async def look(before: Any, *, verbose: bool = False) -> Observation:
    """How the machine is, beside how it was."""
    machine = await anyio.to_thread.run_sync(read_machine, abandon_on_cancel=True)
    if verbose:
        say("looked")
    return observation_of(machine, before)


def shown(cycle: Cycle) -> str:
    """A cycle for people."""
    how = cycle.status if cycle.reason is None else f"{cycle.status} ({cycle.reason})"
    lines = [f"cycle {cycle.number} · {cycle.began_at:%Y-%m-%d %H:%M:%S} · {how} · {_tokens(cycle.usage)}"]
    if cycle.missed:
        lines.append(f"  {cycle.missed} cycles before it did not take place")
    if cycle.is_degraded:
        lines.append(f"  {cycle.unknown_in_a_row} cycles in a row without an answer: look at the monitor")
    lines += [f"  {line}" for line in summary(cycle.text, most=2_000).text.splitlines() if line]
    lines += [f"  to do ({item.priority}): {item.text}" for item in cycle.action_items]
    return "\n".join([*lines, *_compared(cycle)])


def _compared(cycle: Cycle) -> list[str]:
    if cycle.stateless is None or cycle.comparison is None:
        return []
    sums = cycle.comparison
    return [
        f"  this cycle: persistent {_tokens(cycle.usage)} · stateless {_tokens(cycle.stateless.usage)}",
        f"  {sums.cycles} cycles: persistent {_tokens(sums.persistent)} · stateless {_tokens(sums.stateless)}",
    ]


def _tokens(usage: Usage) -> str:
    cost = "" if usage.cost is None else f", cost {usage.cost:.4f}"
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out{cost}"


def say(text: str) -> None:
    """To whoever watches, at once."""
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: all cycles were run; 2: it could not go on, and says why."""
    try:
        on_the_loop(partial(watch, options(arguments)))
    except JidokaError as error:
        print(f"monitor: {error}", file=sys.stderr)
        return 2
    except Interrupted as ended:
        return ended.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
