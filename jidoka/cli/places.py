"""What a STORE on the command line may be, and how it is opened."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from jidoka.core.errors import InvalidMessage
from jidoka.wiring import store_for

if TYPE_CHECKING:
    from jidoka.ports.store import Store

SQLITE: Final = "sqlite:"
POSTGRES: Final = ("postgresql:", "postgres:")

StoreOption = Annotated[
    str, typer.Option("--store", envvar="JIDOKA_STORE", help="Where the sessions are kept: a URL, or a SQLite file.")
]
DEFAULT: Final = "sqlite:///jidoka.db"


def url_of(place: str) -> str:
    """*place* as a URL: it is one, or the path of a SQLite file."""
    if "://" in place or place.startswith(SQLITE):
        return place
    return f"sqlite:///{quote(str(Path(place).absolute()))}"


def for_reading(place: str) -> Store:
    """The store there, which others may be writing to. Raises InvalidMessage where there is none."""
    url = url_of(place)
    if url.startswith((SQLITE, *POSTGRES)):
        url = _with_option(url, "mode", "ro")
    store = store_for(url)
    require(store)
    return store


def for_writing(place: str, *, may_be_new: bool = False) -> Store:
    """The store there, for its one writer. Raises InvalidMessage where there is none and it may not be new."""
    store = store_for(url_of(place))
    if not may_be_new:
        require(store)
    return store


def patient(url: str, seconds: float) -> str:
    """The same store, which waits that long for a server: where thousands ask at once, each waits for all others."""
    return _with_option(url, "limit", f"{seconds:g}") if url.startswith(POSTGRES) else url


def _with_option(url: str, name: str, value: str) -> str:
    """*url* with the option, unless it has one of that name."""
    if re.search(rf"[?&]{name}=", url):
        return url
    return f"{url}{'&' if '?' in url else '?'}{name}={value}"


def require(store: Store) -> None:
    """Raises InvalidMessage for a file that is not there: opening it would not say so, or make one."""
    path = getattr(store, "path", None)
    if isinstance(path, Path) and not path.exists():
        raise InvalidMessage(f"there is no {path}", field="store")


@asynccontextmanager
async def opened(store: Store) -> AsyncGenerator[Store]:
    """*store*, open for as long as this lasts."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()
