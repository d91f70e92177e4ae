"""The same appends on PostgreSQL: every contestant has a server of its own, on the same core as itself."""

from __future__ import annotations

import os
from tempfile import gettempdir

from tests.bench.durable.appends import append
from tests.bench.durable.backend import Backends
from tests.bench.measures import Figures


async def append_to_postgres(backends: Backends, calls: int) -> Figures:
    """Pairs, by one caller and by sixteen at once, on a server that syncs."""
    from tests.servers.postgres import Postgres, find_binaries

    binaries = find_binaries()
    if binaries is None:
        raise RuntimeError("PostgreSQL is not installed")
    # The server runs as somebody else, who has to find its directory in ours.
    os.chmod(gettempdir(), 0o711)
    with Postgres(binaries, fsync=True) as server:
        return await append(backends, calls, 2, place=server.dsn(server.create_database()))
