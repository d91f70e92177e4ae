"""A run of the simulator with turns for each seed. `--seed N` runs that one, on both event loops."""

from __future__ import annotations

from collections import Counter

import pytest

from jidoka.adapters.memory import MemoryStore
from tests.proof.places import LONG
from tests.proof.turn_simulator import TurnSimulation

SEEDS, IN_ONE_TEST = (10_000, 100) if LONG else (100, 20)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Several seeds to a test."""
    chosen = metafunc.config.getoption("--seed")
    starts = range(0, SEEDS, IN_ONE_TEST)
    seeds = [range(start, start + IN_ONE_TEST) for start in starts] if chosen is None else [[chosen]]
    metafunc.parametrize("seeds", seeds, ids=[str(some[0]) for some in seeds])


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
async def test_turns_are_whole_and_nothing_is_done_twice_whatever_goes_wrong(seeds: list[int]) -> None:
    counts: Counter[str] = Counter()
    for seed in seeds:
        run = TurnSimulation(seed, MemoryStore)
        try:
            await run.run()
        except BaseException as error:
            error.add_note(f"to see it again: pytest tests/proof/test_turn_simulator.py --seed {seed}")
            raise
        for types in run.journals.values():
            counts.update(types)
        counts += run.counts
    if len(seeds) > 1:
        # It was not all refused.
        assert all(counts[name] for name in ("answers", "replies", "tool_result", "session_halted", "turn_cancelled"))
