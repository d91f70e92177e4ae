"""The tables: which version of them a database has, and how it comes to have ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jidoka.adapters.postgres_link import LOCK, MISSING_DRIVER, Link, connect
from jidoka.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MIGRATIONS: Final = Path(__file__).with_name("postgres_migrations")
VERSION_TABLE: Final = "jidoka_version"
NEWEST: Final = "0001"
"""The revision that this version of jidoka reads and writes."""
# Migrating takes longer than any request, and another process may be at it.
MIGRATION_SECONDS: Final = 300


def prepare(link: Link, dsn: str, *, newest: str = NEWEST, migrations: Path = MIGRATIONS) -> None:
    """Bring the tables up to date. Raises StoreUnavailable for those of a newer version, and leaves them alone."""
    if not _is_current(version_of(link), newest):
        upgrade(dsn, newest=newest, migrations=migrations)


def require(link: Link, *, newest: str = NEWEST) -> None:
    """Raises StoreUnavailable unless the tables are there, and of this version."""
    version = version_of(link)
    if not _is_current(version, newest):
        if version is None:
            raise StoreUnavailable("there are no tables of jidoka in the database")
        raise StoreUnavailable(
            f"the database was written by an older jidoka: format {version}."
            " Whoever opens it for writing brings it up to date"
        )


def version_of(link: Link) -> str | None:
    """The revision that the database is at. None where there are no tables yet."""
    # A missing table has no name, and is no error either.
    if link.rows("select to_regclass(%s) is null", (VERSION_TABLE,)) == [(True,)]:
        return None
    found = link.rows(f"select version_num from {VERSION_TABLE}")
    return found[0][0] if found else None


def upgrade(dsn: str, *, newest: str, migrations: Path) -> None:
    """One process migrates at a time, in one transaction; the others wait, and find the work done."""
    engine = _engine(dsn)
    from sqlalchemy.exc import DBAPIError

    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"set local statement_timeout = '{MIGRATION_SECONDS}s'")
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({LOCK})")
            if not _is_current(_version_in(connection), newest):
                _migrate(connection, newest, migrations)
    except DBAPIError as error:
        raise StoreUnavailable(f"PostgreSQL: the tables could not be brought up to date: {error.orig}") from error


def _engine(dsn: str) -> Engine:
    if find_spec("alembic") is None:
        raise StoreUnavailable(MISSING_DRIVER)
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine("postgresql+psycopg://", creator=lambda: connect(dsn, autocommit=False), poolclass=NullPool)


def _is_current(version: str | None, newest: str) -> bool:
    if version is not None and version > newest:
        raise StoreUnavailable(
            f"the database was written by a newer jidoka: format {version}, and this one knows {newest}."
            " It is as it was"
        )
    return version == newest


def _version_in(connection: Connection) -> str | None:
    if connection.exec_driver_sql(f"select to_regclass('{VERSION_TABLE}') is null").scalar():
        return None
    return connection.exec_driver_sql(f"select version_num from {VERSION_TABLE}").scalar()


def _migrate(connection: Connection, newest: str, migrations: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, newest)
