"""Somebody who only looks: everything is there to be seen, and nothing of the database is touched."""

import pytest

from jidoka.adapters import postgres_schema as schema
from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import StoreUnavailable
from jidoka.testing.entries import A, B, birth, message_entry, seqs
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import opened


async def test_it_sees_what_another_writes_and_writes_nothing(store: PostgresStore, postgres_dsn: str) -> None:
    await store.append(A, birth(), expected_seq=0)
    async with opened(postgres_dsn, read_only=True) as reader:
        await store.append(A, [message_entry(3)], expected_seq=2)

        assert await seqs(reader, A) == [1, 2, 3]
        assert await reader.examine() == ([], None)
        for write in (
            reader.append(B, birth(), expected_seq=0),
            reader.adopt(B, birth(), epoch=1),
            reader.claim(A),
            reader.purge(A),
        ):
            with pytest.raises(StoreUnavailable, match="reading only"):
                await write


async def test_the_server_sees_to_it_as_well(store: PostgresStore, postgres_dsn: str) -> None:
    async with opened(postgres_dsn, read_only=True) as reader:
        with pytest.raises(StoreUnavailable, match="read-only transaction"):
            await reader._read(lambda link, _: link.rows("delete from jidoka_vault"))  # pyright: ignore


async def test_a_database_without_sessions_is_left_as_it_is(
    postgres: Postgres, database: str, postgres_dsn: str
) -> None:
    with pytest.raises(StoreUnavailable, match="no tables of jidoka"):
        await PostgresStore(postgres_dsn, read_only=True).open()

    assert postgres.ask("select relname from pg_class where relname like 'jidoka%'", database=database) == []
    assert postgres.connections(database) == 0


@pytest.mark.parametrize(("version", "what"), [("0000", "an older jidoka"), ("9999", "a newer jidoka")])
async def test_a_database_of_another_version_is_left_as_it_is(
    store: PostgresStore, postgres: Postgres, database: str, postgres_dsn: str, version: str, what: str
) -> None:
    postgres.ask(f"update {schema.VERSION_TABLE} set version_num = '{version}'", database=database)

    with pytest.raises(StoreUnavailable, match=what):
        await PostgresStore(postgres_dsn, read_only=True).open()

    assert postgres.ask(f"select version_num from {schema.VERSION_TABLE}", database=database) == [version]


def test_a_url_says_so() -> None:
    assert PostgresStore.from_url("postgresql:///db?sslmode=require&mode=ro").read_only
    assert not PostgresStore.from_url("postgresql:///db?mode=rw&sslmode=require").read_only
    assert not PostgresStore.from_url("postgresql:///db?sslmode=require").read_only
