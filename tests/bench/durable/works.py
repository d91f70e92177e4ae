"""All durable works of one backend, by their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench.contestants import backends_of
from tests.bench.durable.appends import append, create
from tests.bench.durable.killed import kill
from tests.bench.durable.long import long, turn
from tests.bench.durable.many import delete, files, list_pages
from tests.bench.durable.servers import append_to_postgres
from tests.bench.durable.turns import echo
from tests.bench.durable.writers import writers


def durable_works(where: str) -> dict[str, Callable[..., Any]]:
    """What the backend that *where* names is measured at."""
    backends = backends_of(where)
    return {
        "durable_create": partial(create, backends),
        "durable_create_normal": partial(create, backends, normal=True),
        "durable_pairs": partial(append, backends, size=2),
        "durable_pairs_normal": partial(append, backends, size=2, normal=True),
        "durable_messages": partial(append, backends, size=1),
        "durable_postgres": partial(append_to_postgres, backends),
        "durable_long": partial(long, backends),
        "durable_turn": partial(turn, backends),
        "turns_echo": partial(echo, backends),
        "turns_long": partial(turn, backends),
        "durable_list": partial(list_pages, backends),
        "durable_delete": partial(delete, backends),
        "durable_files": partial(files, backends),
        "durable_writers": partial(writers, backends),
        "durable_kill": partial(kill, backends, where),
    }
