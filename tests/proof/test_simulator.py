"""A run of the simulator for each seed, on one event loop or the other. `--seed N` runs that one, on both."""

from collections.abc import Iterator
from typing import Any

import pytest

from jidoka.adapters.memory import MemoryStore
from tests.proof.places import LONG, PLACES, MakeStore
from tests.proof.simulator import Simulation

SEEDS = 20_000 if LONG else 200
# One that waits for threads takes its time, one that waits for a server even more.
FEWER = {"sqlite": 20, "postgres": 6}
SEEDS_OF = {name: SEEDS if LONG else FEWER.get(name, SEEDS) for name in PLACES}
IN_ONE_TEST = 20
BACKENDS: list[tuple[str, dict[str, Any]]] = [("asyncio", {}), ("trio", {})]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Several seeds to a test, the tests by turns on asyncio and on trio."""
    if "seeds" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--seed")
    cases: list[Any] = []
    for name, count in SEEDS_OF.items():
        if chosen is not None:
            cases += [pytest.param(name, loop, [chosen], id=f"{name}-{loop[0]}-{chosen}") for loop in BACKENDS]
            continue
        size = min(IN_ONE_TEST, count // 2)
        for number, start in enumerate(range(0, count, size)):
            loop = BACKENDS[number % 2]
            seeds = range(start, start + size)
            cases.append(pytest.param(name, loop, seeds, id=f"{name}-{loop[0]}-{start}"))
    metafunc.parametrize(("place", "anyio_backend", "seeds"), cases, indirect=["place"])


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    with PLACES[request.param](request) as make:
        yield make


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
async def test_nothing_is_lost_whatever_goes_wrong(place: MakeStore, seeds: list[int]) -> None:
    for seed in seeds:
        try:
            await Simulation(seed, place).run()
        except BaseException as error:
            error.add_note(f"to see it again: pytest tests/proof/test_simulator.py --seed {seed}")
            raise


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 180)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_seed_is_the_same_run_again(seed: int) -> None:
    runs = [Simulation(seed, MemoryStore) for _ in range(2)]
    for run in runs:
        await run.run()

    assert runs[0].journals == runs[1].journals
    assert repr(runs[0].world) == repr(runs[1].world)
