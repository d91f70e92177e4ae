"""What every test shares: event loops, real servers, and property tests that do not depend on the machine."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

from tests.proxy import FaultProxy
from tests.servers.databases import SharedDatabase
from tests.servers.postgres import HOW_TO_INSTALL, Postgres, find_binaries, missing_server

# A slow machine is not a failure, and a run can be repeated.
settings.register_profile("jidoka", deadline=None, derandomize=True, database=None)
settings.load_profile("jidoka")

BACKENDS = [
    pytest.param(("asyncio", {}), id="asyncio"),
    pytest.param(
        ("trio", {}),
        id="trio",
        marks=pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed"),
    ),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every async test runs once on each."""
    return request.param


def pytest_configure() -> None:
    """What tests write lies in memory, where there is such a place: thousands of files, none of which has to stay."""
    place = "/dev/shm"
    if "TMPDIR" not in os.environ and os.access(place, os.W_OK) and shutil.disk_usage(place).free > 4 * 2**30:
        os.environ["TMPDIR"] = tempfile.tempdir = place


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed N`: of the simulator's runs, this one only."""
    parser.addoption("--seed", type=int, default=None, help="run the simulator with this seed only")


@pytest.fixture(scope="session")
def postgres_of_this_run() -> Iterator[Postgres]:
    binaries = find_binaries()
    if binaries is None:
        missing_server(HOW_TO_INSTALL)
    with Postgres(binaries) as server:
        yield server


@pytest.fixture
def postgres(postgres_of_this_run: Postgres) -> Iterator[Postgres]:
    """A real server that all tests share. A test may stop, kill or pause it: it is healed afterwards."""
    yield postgres_of_this_run
    postgres_of_this_run.heal()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of a new and empty database."""
    name = postgres.create_database()
    yield name
    postgres.heal().drop_database(name)


@pytest.fixture
def postgres_dsn(postgres: Postgres, database: str) -> str:
    """How to reach that database."""
    return postgres.dsn(database)


@pytest.fixture(scope="session")
def shared_database(postgres_of_this_run: Postgres) -> SharedDatabase:
    return SharedDatabase(postgres_of_this_run)


@pytest.fixture
def fresh_postgres(shared_database: SharedDatabase) -> Callable[[], str]:
    """How to reach a database with our tables and nothing in them. Each call empties the one before.

    For tests that leave the server alone.
    """
    return shared_database.emptied


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[FaultProxy]:
    """Between a client and PostgreSQL."""
    with FaultProxy(postgres.port) as proxy:
        yield proxy
