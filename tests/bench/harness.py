"""Runs the contestants: each in a process of its own, on one core, A B C A B C, and takes medians."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.contestants import Contestant
from tests.bench.measures import Figures
from tests.bench.works import Work

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Outcome:
    """All runs of one contestant at one work, or why there are none."""

    contestant: str
    sizes: dict[str, int] = field(default_factory=dict)
    runs: list[Figures] = field(default_factory=list)
    note: str | None = None

    def summary(self, figure: str) -> dict[str, float | int] | None:
        """Median, extremes and count of one figure."""
        values = [run[figure] for run in self.runs if figure in run]
        if not values:
            return None
        return {"median": median(values), "min": min(values), "max": max(values), "runs": len(values)}


def last_core() -> int:
    """The core on which everybody is measured, or -1 where processes cannot be pinned."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1


def measure(
    work: Work, *, quick: bool, peers: bool, runs: int, say: Callable[[str], object] = lambda _: None
) -> list[Outcome]:
    """Every contestant *runs* times, in turn. One that fails says so and is left out of the further rounds."""
    outcomes: dict[Contestant, Outcome] = {}
    for contestant in work.contestants:
        if peers or contestant.is_ours:
            outcomes[contestant] = Outcome(contestant.name, work.sizes(contestant, quick=quick))
            if not contestant.is_installed:
                outcomes[contestant].note = contestant.missing
    for number in range(min(runs, work.runs or runs)):
        for contestant, outcome in outcomes.items():
            if outcome.note is None:
                say(f"{work.name}: {contestant.name}, run {number + 1}")
                _run_into(outcome, contestant, work)
    found = list(outcomes.values())
    if peers:
        found += [Outcome(name, note=why) for name, why in work.absent.items()]
    return found


def _run_into(outcome: Outcome, contestant: Contestant, work: Work) -> None:
    try:
        outcome.runs.append(run_once(contestant, work, outcome.sizes))
    except subprocess.TimeoutExpired:
        outcome.note = f"gave no answer within {work.limit:g} s"
    except (RuntimeError, ValueError) as failure:
        outcome.note = f"failed: {failure}"


def run_once(contestant: Contestant, work: Work, sizes: dict[str, int]) -> Figures:
    """One run, in a process that is gone afterwards, with all that it started."""
    sizes_and_warm_up = (json.dumps(sizes), json.dumps(dict(work.warm)))
    command = [sys.executable, "-m", "tests.bench.child", contestant.module, work.name, *sizes_and_warm_up]
    with TemporaryDirectory() as scratch:
        child = subprocess.Popen(
            [*command, str(last_core())],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = child.communicate(timeout=work.limit)
        finally:
            _leave_nothing(child)
    if child.returncode:
        said = (err.strip() or out.strip() or f"exit status {child.returncode}").splitlines()
        raise RuntimeError(said[-1])
    return json.loads(out.strip().splitlines()[-1])


def _leave_nothing(child: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
