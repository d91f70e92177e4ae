"""A database with our tables, emptied for whoever comes next: that is far quicker than making one for each."""

import psycopg

from jidoka.adapters.postgres_schema import MIGRATIONS, NEWEST, VERSION_TABLE, upgrade
from tests.servers.postgres import Postgres

# Every table but the one that says which version they are.
_EMPTY = rf"""
    do $$ begin execute (
        select 'truncate ' || string_agg(relname, ', ') from pg_class
        where relname like 'jidoka\_%' and relkind = 'r' and relname <> '{VERSION_TABLE}'
    ); end $$;
    alter sequence jidoka_arrivals restart
"""


class SharedDatabase:
    """One of a server. Nobody may still be in it when it is emptied."""

    def __init__(self, server: Postgres) -> None:
        self.dsn = server.dsn(server.create_database())
        upgrade(self.dsn, newest=NEWEST, migrations=MIGRATIONS)

    def emptied(self) -> str:
        """How to reach it. Nothing is in its tables."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(_EMPTY)
        return self.dsn
