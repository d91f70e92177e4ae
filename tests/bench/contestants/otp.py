"""Erlang/OTP: compiles our program (otp.erl) into a directory that goes away, and runs it on one scheduler."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.measures import Figures

SOURCE = Path(__file__).parents[1] / "otp.erl"
# One scheduler of each kind: the process is pinned to one core. Room for 300,000 processes and more.
FLAGS = ("+S", "1:1", "+SDcpu", "1:1", "+SDio", "1", "+P", "2000000")
_warm: dict[str, dict[str, int]] = {}


def run(work: str, **sizes: int) -> Figures:
    """The first call only keeps the sizes of the warm-up: the program warms up in the process that it measures in."""
    if work not in _warm:
        _warm[work] = sizes
        return {}
    with TemporaryDirectory() as directory:
        subprocess.run(["erlc", "-o", directory, str(SOURCE)], check=True, stdout=subprocess.DEVNULL)
        command = ["erl", *FLAGS, "-noinput", "-pa", directory, "-s", "otp", "main", "-extra", work]
        ran = subprocess.run(
            [*command, *_as_arguments(_warm.pop(work)), "--", *_as_arguments(sizes)],
            capture_output=True,
            text=True,
            check=False,
        )
    lines = ran.stdout.strip().splitlines()
    if ran.returncode or not lines:
        raise RuntimeError(f"erl: {' '.join((ran.stdout + ran.stderr).split())[-300:]}")
    return json.loads(lines[-1])


def _as_arguments(sizes: dict[str, int]) -> list[str]:
    return [f"{name}={size}" for name, size in sizes.items()]


NAMES = (
    "sessions",
    "calls_one",
    "calls_many",
    "tells",
    "deliveries",
    "restarts",
    "recovery",
    "storm",
    "append",
    "history",
)
WORKS: dict[str, Callable[..., Figures]] = {name: partial(run, name) for name in NAMES}
