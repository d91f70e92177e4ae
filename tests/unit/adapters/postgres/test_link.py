"""One connection by itself."""

import gc
from collections.abc import Iterator

import pytest

from jidoka.adapters import postgres_link
from jidoka.adapters.postgres_link import Link, Watch
from jidoka.core.errors import StoreUnavailable
from tests.proxy import FaultProxy
from tests.servers.postgres import Postgres
from tests.servers.process import wait_until

LIMIT = 0.5


@pytest.fixture
def link(postgres: Postgres, database: str, proxy: FaultProxy) -> Iterator[Link]:
    watch = Watch(LIMIT)
    watch.start()
    link = Link(postgres.dsn(database, port=proxy.port), watch)
    yield link
    link.end()
    watch.stop()


def test_it_connects_when_it_is_needed_and_once(link: Link, proxy: FaultProxy) -> None:
    assert proxy.accepted == 0

    assert link.rows("select 1") == [(1,)]
    assert link.rows("select %s::int", (2,)) == [(2,)]

    assert proxy.accepted == 1


def test_a_server_that_falls_silent_as_soon_as_it_is_reached_is_told_in_time(
    link: Link, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(postgres_link, "teach", lambda _: proxy.silence())
        with pytest.raises(StoreUnavailable, match="has not answered within 0.5 s"):
            link.rows("select 1")

    proxy.heal()
    assert link.rows("select 1") == [(1,)]


def test_a_statement_that_the_server_refuses_leaves_the_connection_alone(link: Link, proxy: FaultProxy) -> None:
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no_such_table"):
            link.rows("select * from no_such_table")

    assert link.rows("select 1") == [(1,)]
    assert proxy.accepted == 1


def test_a_statement_that_takes_too_long_is_given_up_here_and_there(
    link: Link, postgres: Postgres, database: str
) -> None:
    with pytest.raises(StoreUnavailable):
        link.rows("select pg_sleep(20)")

    assert link.rows("select 1") == [(1,)]
    assert postgres.ask("select count(*) from pg_stat_activity where wait_event = 'PgSleep'", database=database) == [
        "0"
    ]


def test_a_transaction_that_fails_is_over(link: Link) -> None:
    with pytest.raises(ZeroDivisionError), link.alone():
        link.rows("create table half_done (n int)")
        raise ZeroDivisionError

    assert link.rows("select to_regclass('half_done') is null") == [(True,)]
    with link.alone():
        link.rows("create table done (n int)")
    assert link.rows("select to_regclass('done') is null") == [(False,)]


def test_a_connection_that_did_not_come_about_is_not_left_open(link: Link, proxy: FaultProxy) -> None:
    proxy.silence()
    gc.disable()
    try:
        # The error is kept, as whoever logs it may do.
        with pytest.raises(StoreUnavailable, match="timeout") as caught:
            link.rows("select 1")
        proxy.heal()
        wait_until(lambda: proxy.connections == 0, "the socket to be closed")
    finally:
        gc.enable()

    assert proxy.accepted == 1
    assert caught.value.__cause__ is not None
