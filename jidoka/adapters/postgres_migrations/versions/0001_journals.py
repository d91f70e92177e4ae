"""Journals: the sessions, what is in them, and what they are found by."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # The order of arrival, and the number under which everything of a session is kept. An id that was purged and is
    # used again arrives again.
    "create sequence jidoka_arrivals",
    # A purged session keeps its row, without anything in it: status -1, seq 0, and the epoch of its next life.
    """
    create table jidoka_sessions (
        session_id text collate "C" primary key, arrival bigint not null unique, status smallint not null,
        seq bigint not null, epoch bigint not null, version bigint not null, incarnation bigint not null,
        messages bigint not null, characters bigint not null, cycles bigint not null, created_at bigint not null,
        updated_at bigint not null, active_at bigint not null, expires_at bigint, last_sum bigint not null,
        profile_sum bigint not null, note bytea, row_sum bigint not null, owner text collate "C"
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)
    """,
    "create index jidoka_sessions_by_status on jidoka_sessions (status, arrival)",
    "create index jidoka_sessions_by_owner on jidoka_sessions (owner, arrival) where owner is not null",
    "create index jidoka_sessions_by_expiry on jidoka_sessions (expires_at) where expires_at is not null",
    # What seldom changes is not written again with each entry.
    "create table jidoka_profiles (arrival bigint primary key, profile bytea not null, wrapped bytea)",
    """
    create table jidoka_entries (
        arrival bigint not null, seq bigint not null, sum bigint not null, key bigint, body bytea not null,
        primary key (arrival, seq)
    )
    """,
    "create index jidoka_entries_by_key on jidoka_entries (arrival, key) where key is not null",
    "create table jidoka_terms (term bigint, arrival bigint, primary key (term, arrival))",
    "create index jidoka_terms_by_arrival on jidoka_terms (arrival)",
    "create table jidoka_vault (name text primary key, value bytea not null)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
