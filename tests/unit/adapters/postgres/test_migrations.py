"""The tables: made where there are none, brought up to date where they are older, left alone where they are newer."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from jidoka.adapters import postgres_schema as schema
from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import StoreUnavailable
from jidoka.testing.entries import A, B, birth, message_entry, seqs
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import opened

ROOT = Path(__file__).parents[4]
TABLES = "select relname from pg_class where relname like 'jidoka%' and relkind in ('r', 'S') order by 1"
VERSION = f"select version_num from {schema.VERSION_TABLE}"

# What a later jidoka may bring: a new column, filled from what is there, and a new table.
NEXT = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("alter table jidoka_sessions add column letters bigint not null default 0")
    op.execute("update jidoka_sessions set letters = characters")
    op.execute("create table jidoka_more (n bigint primary key)")
"""
BROKEN = NEXT.replace("primary key", "primary key references no_such_table")


def migrations_with(place: Path, script: str) -> Path:
    """Ours, and another that comes after them."""
    shutil.copytree(schema.MIGRATIONS, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "versions" / "0002_next.py").write_text(script)
    return place


async def test_an_empty_database_gets_our_tables(store: PostgresStore, postgres: Postgres, database: str) -> None:
    await store.append(A, birth(), expected_seq=0)

    assert postgres.ask(VERSION, database=database) == [schema.NEWEST]
    names = {"arrivals", "entries", "profiles", "sessions", "terms", "vault", "version"}
    assert set(postgres.ask(TABLES, database=database)) == {f"jidoka_{name}" for name in names}


async def test_opening_again_changes_nothing(postgres: Postgres, database: str, postgres_dsn: str) -> None:
    for session_id in (A, B):
        async with opened(postgres_dsn) as store:
            await store.append(session_id, birth(), expected_seq=0)

    async with opened(postgres_dsn) as store:
        assert [head.session_id for _, head in await store.heads(limit=10)] == [A, B]


async def test_an_older_database_is_brought_up_to_date_with_what_is_in_it(
    postgres: Postgres, database: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with opened(postgres_dsn) as store:
        await store.append(A, [*birth(), message_entry(3, "12345")], expected_seq=0)
    migrations = migrations_with(tmp_path / "migrations", NEXT)

    prepare = partial(schema.prepare, newest="0002", migrations=migrations)
    async with opened(postgres_dsn, prepare=prepare) as store:
        await store.append(A, [message_entry(4)], expected_seq=3)
        assert await store.examine() == ([], None)

    assert postgres.ask(VERSION, database=database) == ["0002"]
    assert postgres.ask("select letters from jidoka_sessions", database=database) == ["5"]


async def test_a_database_whose_version_is_written_and_nothing_else_is_the_oldest(
    postgres: Postgres, database: str, postgres_dsn: str
) -> None:
    postgres.ask(f"create table {schema.VERSION_TABLE} (version_num varchar(32) primary key)", database=database)

    async with opened(postgres_dsn) as store:
        await store.append(A, birth(), expected_seq=0)

    assert postgres.ask(VERSION, database=database) == [schema.NEWEST]


async def test_a_newer_database_is_refused_and_left_alone(
    postgres: Postgres, database: str, postgres_dsn: str, tmp_path: Path
) -> None:
    prepare = partial(schema.prepare, newest="0002", migrations=migrations_with(tmp_path / "migrations", NEXT))
    async with opened(postgres_dsn, prepare=prepare) as newer:
        await newer.append(A, birth(), expected_seq=0)
    before = postgres.dump(database)

    with pytest.raises(StoreUnavailable, match=r"newer jidoka: format 0002, and this one knows 0001"):
        await PostgresStore(postgres_dsn).open()

    assert postgres.dump(database) == before


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    postgres: Postgres, database: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with opened(postgres_dsn) as store:
        await store.append(A, birth(), expected_seq=0)
    before = postgres.dump(database)
    prepare = partial(schema.prepare, newest="0002", migrations=migrations_with(tmp_path / "migrations", BROKEN))

    with pytest.raises(StoreUnavailable, match="no_such_table"):
        await PostgresStore(postgres_dsn, prepare=prepare).open()

    assert postgres.dump(database) == before
    async with opened(postgres_dsn) as store:
        assert await seqs(store, A) == [1, 2]


async def test_somebody_elses_tables_do_not_matter(postgres: Postgres, database: str, postgres_dsn: str) -> None:
    postgres.ask(
        "create table alembic_version (version_num text); insert into alembic_version values ('ff')", database=database
    )

    async with opened(postgres_dsn) as store:
        await store.append(A, birth(), expected_seq=0)

    assert postgres.ask("select version_num from alembic_version", database=database) == ["ff"]


PROCESS = """
import sys, anyio
from jidoka.adapters.postgres import PostgresStore
from jidoka.testing.entries import birth

async def main(dsn, session_id):
    store = PostgresStore(dsn)
    await store.open()
    await store.append(session_id, birth(), expected_seq=0)
    await store.close()

anyio.run(main, *sys.argv[1:])
"""


def run_process(dsn: str, session_id: str) -> None:
    subprocess.run([sys.executable, "-c", PROCESS, dsn, session_id], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_eight_processes_that_open_at_once_all_come_through(
    postgres: Postgres, database: str, postgres_dsn: str
) -> None:
    ids = [f"session_{number:03}" for number in range(8)]

    async with anyio.create_task_group() as tasks:
        for session_id in ids:
            tasks.start_soon(anyio.to_thread.run_sync, run_process, postgres_dsn, session_id)

    assert postgres.ask(VERSION, database=database) == [schema.NEWEST]
    async with opened(postgres_dsn) as store:
        assert sorted(head.session_id for _, head in await store.heads(limit=10)) == ids
