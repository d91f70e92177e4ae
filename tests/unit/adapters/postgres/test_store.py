"""What is special about the PostgreSQL store; what it has in common with the others is in the contract."""

import sys
from typing import Any

import pytest

from jidoka.adapters import postgres_schema as schema
from jidoka.adapters.postgres import PostgresStore, own_options, shown
from jidoka.client import Client
from jidoka.core.coding import hashed
from jidoka.core.errors import CorruptRecord, InvalidMessage, StoreUnavailable
from jidoka.testing.entries import A, B, C, birth, message_entry, messages_from, visited
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import opened

# --- urls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_of_postgresql_is_a_store_there(scheme: str) -> None:
    assert isinstance(store_for(f"{scheme}://ada@db.example/journals"), PostgresStore)


def test_our_options_are_not_shown_to_the_server() -> None:
    url = "postgresql://ada@h1:5432,h2/db?limit=2.5&sslmode=require&readers=3&options=-csearch_path%3Dx"

    assert own_options(url) == (
        "postgresql://ada@h1:5432,h2/db?sslmode=require&options=-csearch_path%3Dx",
        {"limit": "2.5", "readers": "3"},
    )
    assert own_options("postgresql:///db?readers=1") == ("postgresql:///db", {"readers": "1"})
    assert own_options("postgresql:///db") == ("postgresql:///db", {})


@pytest.mark.parametrize(
    "option", ["limit=soon", "limit=0", "limit=nan", "limit=inf", "readers=0", "readers=1.5", "mode=wo"]
)
def test_options_that_make_no_sense_are_refused(option: str) -> None:
    with pytest.raises(InvalidMessage):
        store_for(f"postgresql://ada@db.example/journals?{option}")


def test_a_password_is_not_shown() -> None:
    for dsn in (
        "postgresql://ada:secret@host/db",
        "postgresql://host/db?password=secret",
        "postgresql://a:secret@h/d?x=y",
    ):
        assert "secret" not in repr(PostgresStore(dsn))
    assert shown("postgresql://ada:secret@host:1/db") == "postgresql://ada@host:1/db"


async def test_options_that_the_server_does_not_know_are_told_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="nonsense") as caught:
        await PostgresStore("postgresql://ada:secret@127.0.0.1/db?nonsense=1").open()

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("missing", ["psycopg", "alembic"])
async def test_without_its_extra_the_store_says_how_to_get_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(StoreUnavailable, match=r"pip install 'jidoka\[postgres\]'"):
        await PostgresStore(postgres_dsn).open()


# --- through the front door -----------------------------------------------------------------------


async def test_a_client_finds_its_sessions_again(postgres_dsn: str) -> None:
    async with Client(postgres_dsn, world=VirtualWorld()) as client:
        session = await client.create_session(owner="ada", metadata={"project": "apollo"})
        await session.send_message("user", "hello")
        reply = await session.prompt("and?")

    async with Client(f"{postgres_dsn}?readers=1", world=VirtualWorld()) as client:
        (found,) = await client.list_sessions(owner="ada", metadata={"project": "apollo"})
        history = await client.session(found.session_id).get_history()

    assert [message.content for message in history] == ["hello", "and?", reply.content]


# --- damage ---------------------------------------------------------------------------------------


async def damaged(store: PostgresStore, postgres: Postgres, database: str, statement: str) -> None:
    """Three sessions, and something done to the second by somebody else."""
    for session_id in (A, B, C):
        entries = [*birth(metadata={"a": 1}), *messages_from(3, 3), message_entry(6, key="k")]
        await store.append(session_id, entries, expected_seq=0)
    await store.close()
    where = f"arrival = (select arrival from jidoka_sessions where session_id = '{B}')"
    postgres.ask(statement.replace("WHERE", f"where {where}"), database=database)
    await store.open()


# What is done, and to which entry.
ENTRIES = {
    "update jidoka_entries set body = set_byte(body, 30, get_byte(body, 30) # 1) WHERE and seq = 4": 4,
    "update jidoka_entries set sum = sum # 1 WHERE and seq = 4": 4,
    "delete from jidoka_entries WHERE and seq = 4": 4,
    "delete from jidoka_entries WHERE and seq = 6": 6,
}


@pytest.mark.parametrize("statement", ENTRIES)
async def test_damaged_entries_are_told_and_never_served(
    statement: str, store: PostgresStore, postgres: Postgres, database: str
) -> None:
    await damaged(store, postgres, database, statement)

    with pytest.raises(CorruptRecord) as caught:
        await store.read(B)

    seq = ENTRIES[statement]
    assert (caught.value.session_id, caught.value.first_seq) == (B, seq)
    (damage,), _ = await store.examine()
    assert (damage.session_id, damage.first_seq) == (B, seq)
    assert len(await store.read(A)) == len(await store.read(C)) == 6
    assert len(await store.read(B, limit=3)) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "update jidoka_sessions set messages = 99 WHERE",
        "update jidoka_sessions set seq = 5 WHERE",
        "update jidoka_profiles set profile = set_byte(profile, 9, get_byte(profile, 9) # 1) WHERE",
        "delete from jidoka_profiles WHERE",
    ],
)
async def test_a_damaged_row_is_told_and_left_out_of_listings(
    statement: str, store: PostgresStore, postgres: Postgres, database: str
) -> None:
    await damaged(store, postgres, database, statement)

    calls: list[Any] = [
        lambda: store.head(B),
        lambda: store.read(B),
        lambda: store.claim(B),
        lambda: store.append(B, [message_entry(7)], expected_seq=6),
    ]
    for call in calls:
        with pytest.raises(CorruptRecord, match=B):
            await call()
    assert await visited(store, limit=2) == [A, C]
    assert [damage.session_id for damage in store.known_damage] == [B]
    assert [damage.session_id for damage in (await store.examine())[0]] == [B]
    await store.purge(B)
    assert await store.examine() == ([], None)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from jidoka_terms WHERE",
        "update jidoka_entries set key = null WHERE and seq = 6",
        "insert into jidoka_entries select arrival, 7, 1, null, body from jidoka_entries WHERE and seq = 6",
    ],
)
async def test_damage_to_what_is_searched_is_found_by_examining(
    statement: str, store: PostgresStore, postgres: Postgres, database: str
) -> None:
    await damaged(store, postgres, database, statement)

    (damage,), _ = await store.examine()

    assert damage.session_id == B


async def test_two_keys_that_look_alike_to_the_index_are_told_apart(
    store: PostgresStore, postgres: Postgres, database: str
) -> None:
    await store.append(A, [*birth(), message_entry(3, key="one"), message_entry(4, key="two")], expected_seq=0)
    # "two" now has the number that "three" will have.
    number = hashed("three")
    postgres.ask(f"update jidoka_entries set key = {number} where seq = 4", database=database)

    assert await store.entry_with(A, "three") is None
    await store.append(A, [message_entry(5, key="three")], expected_seq=4)

    found = await store.entry_with(A, "three")
    assert found is not None
    assert found.seq == 5


async def test_the_tables_are_only_looked_at_where_they_are_current(
    store: PostgresStore, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("alembic takes half a second to import")

    monkeypatch.setattr(schema, "upgrade", fail)

    async with opened(postgres_dsn) as again:
        assert await again.count() == {}
