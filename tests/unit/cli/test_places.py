"""What a STORE on the command line may be."""

import pytest

from jidoka.adapters.postgres import PostgresStore, own_options
from jidoka.cli.places import for_reading, for_writing, patient


@pytest.mark.parametrize("url", ["postgresql://ada@db/x", "postgres:///x?sslmode=require", "postgresql:///x?mode=ro"])
def test_who_only_looks_at_postgresql_changes_nothing_there(url: str) -> None:
    store = for_reading(url)

    assert isinstance(store, PostgresStore)
    assert store.read_only


def test_who_writes_to_postgresql_may_not_only_look() -> None:
    store = for_writing("postgresql:///x?sslmode=require")

    assert isinstance(store, PostgresStore)
    assert not store.read_only


@pytest.mark.parametrize(
    ("url", "limit"),
    [
        ("postgresql:///x", "120"),
        ("postgres:///x?sslmode=require", "120"),
        ("postgresql:///x?limit=3", "3"),
        ("postgresql:///x?readers=1&limit=3", "3"),
    ],
)
def test_patience_is_what_the_url_says_or_else_what_is_needed(url: str, limit: str) -> None:
    assert own_options(patient(url, 120))[1]["limit"] == limit


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "sqlite:///x.db?durability=process"])
def test_a_store_without_a_server_needs_no_patience(url: str) -> None:
    assert patient(url, 120) == url
