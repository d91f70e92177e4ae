"""`jidoka verify`, `backup`, `restore` and `rotate`: stores as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from jidoka.cli.output import AsJson, HowFar, carry_out, complain, out, print_table
from jidoka.cli.places import for_reading, for_writing, opened
from jidoka.cli.screen import plain
from jidoka.cli.session_output import done
from jidoka.core.documents import parse_document
from jidoka.core.errors import CorruptRecord, InvalidMessage
from jidoka.core.views import Damage
from jidoka.ports.sealing import encrypted

if TYPE_CHECKING:
    from jidoka.adapters.copying import Copied
    from jidoka.ports.store import Store

Counted = tuple[int, list[Damage]]
"""How many sessions there are, and what is wrong with them."""

# Sessions whose keys are wrapped anew in one commit.
PAGE: Final = 100
_ENTRY: Final = re.compile(r"entry (\d+)")


def verify(
    store: Annotated[str, typer.Argument(help="A store's URL, a SQLite file, a backup, or an exported session.")],
    as_json: AsJson = False,
) -> None:
    """Read everything there is in STORE, and name every session and entry that cannot be trusted."""
    sessions, damages = carry_out(lambda: _verified(store, hidden=as_json), as_json)
    _tell("verified", sessions, damages, as_json)


def backup(
    store: Annotated[str, typer.Argument(help="The store's URL, or a SQLite file. Others may be writing to it.")],
    file: Annotated[Path, typer.Argument(help="The SQLite file to make. There must be none yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy STORE to FILE while it is in use, and verify the copy."""
    sessions, damages = carry_out(lambda: _backed_up(store, file, hidden=as_json), as_json)
    _tell("backed up", sessions, damages, as_json, file=str(file))


def restore(
    file: Annotated[str, typer.Argument(help="A backup.")],
    store: Annotated[str, typer.Argument(help="The URL of an empty store, or a SQLite file that is not there yet.")],
    as_json: AsJson = False,
) -> None:
    """Verify FILE, and make STORE of it: with every number, key and order as it was."""
    sessions, damages = carry_out(lambda: _restored(file, store, hidden=as_json), as_json)
    if damages:
        complain(f"{file} is damaged, and nothing was restored")
    _tell("in the backup" if damages else "restored", sessions, damages, as_json)


def rotate(
    store: Annotated[
        str, typer.Argument(help="The URL with the keys, the newest first: …?key=env:NAME, or file:PATH.")
    ],
    as_json: AsJson = False,
) -> None:
    """Wrap the keys of all sessions of STORE with its newest master key, so that the others can be taken away.

    It may be ended at any time, and run again. No other process may be writing to a SQLite file meanwhile.
    """
    sessions = carry_out(lambda: _rotated(store, hidden=as_json), as_json)
    done(f"{_counted(sessions)}: wrapped with the newest master key", {"sessions": sessions}, as_json)


# --- what they do ---------------------------------------------------------------------------------


async def _verified(place: str, *, hidden: bool) -> Counted:
    document = Path(place)
    if "://" not in place and _begins_like_a_document(document):
        return 1, _damage_in(document)
    try:
        async with opened(for_reading(place)) as store:
            return await _examined(store, hidden=hidden)
    except CorruptRecord as error:
        return 0, [Damage(session_id=None, text=str(error))]


async def _examined(store: Store, *, hidden: bool) -> Counted:
    # Slow to import: not every command needs a store.
    from jidoka.adapters.copying import examine_all

    sessions = sum((await store.count()).values())
    with HowFar("sessions verified", sessions, hidden=hidden) as bar:
        return sessions, await examine_all(store, progress=bar.advance)


async def _backed_up(place: str, file: Path, *, hidden: bool) -> Counted:
    from jidoka.adapters.backups import back_up, backup_of

    async with opened(for_reading(place)) as store:
        with HowFar("sessions copied", sum((await store.count()).values()), hidden=hidden) as bar:
            copied: Copied = await back_up(store, file, progress=bar.advance)
        async with opened(backup_of(store, file)) as copy:
            sessions, damages = await _examined(copy, hidden=hidden)
    return sessions, [*copied.damages, *damages]


async def _restored(file: str, place: str, *, hidden: bool) -> Counted:
    from jidoka.adapters.backups import restore

    async with opened(for_reading(file)) as backup:
        sessions, damages = await _examined(backup, hidden=hidden)
        if not damages:
            with HowFar("sessions restored", sessions, hidden=hidden) as bar:
                sessions = await restore(backup, for_writing(place, may_be_new=True), progress=bar.advance)
    return sessions, damages


async def _rotated(place: str, *, hidden: bool) -> int:
    async with opened(for_writing(place)) as store:
        keys, sessions = encrypted(store), sum((await store.count()).values())
        with HowFar("keys wrapped anew", sessions, hidden=hidden) as bar:
            after: int | None = 0
            while after is not None:
                after = await keys.rotate(after=after, limit=PAGE)
                bar.advance(PAGE)
    return sessions


# --- documents ------------------------------------------------------------------------------------


def _begins_like_a_document(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.suffix == ".json" or file.read(100).lstrip().startswith(b"{")
    except OSError as error:
        raise InvalidMessage(f"{path}: {error.strerror or error}") from error


def _damage_in(path: Path) -> list[Damage]:
    raw = path.read_bytes()
    try:
        parse_document(raw)
    except CorruptRecord as error:
        found = _ENTRY.fullmatch(error.place or "")
        seq = error.first_seq if found is None else int(found[1])
        last = error.last_seq if found is None else seq
        return [Damage(session_id=_id_in(raw), first_seq=seq, last_seq=last, text=f"{path}: {error}")]
    return []


def _id_in(raw: bytes) -> str | None:
    try:
        said: Any = json.loads(raw)["session_id"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return said if isinstance(said, str) else None


# --- what they say --------------------------------------------------------------------------------


def _tell(what: str, sessions: int, damages: list[Damage], as_json: bool, **more: Any) -> None:
    """Say it, and end: exit status 1 if anything is damaged."""
    if as_json:
        print(json.dumps({"sessions": sessions, "damaged": [damage.model_dump() for damage in damages], **more}))
    else:
        out.print(f"{_counted(sessions)} {what}", style="red" if damages else "green", highlight=False)
        if damages:
            print_table(_table(damages))
    raise typer.Exit(1 if damages else 0)


def _counted(sessions: int) -> str:
    return f"{sessions:,} {'session' if sessions == 1 else 'sessions'}"


def _table(damages: list[Damage]) -> Table:
    table = Table("session", "entries", "what is wrong", title="damaged", title_justify="left")
    for damage in damages:
        table.add_row(plain(damage.session_id or "the store"), _span(damage), plain(damage.text))
    return table


def _span(damage: Damage) -> str:
    if damage.first_seq is None:
        return "all"
    return str(damage.first_seq) if damage.first_seq == damage.last_seq else f"{damage.first_seq} to {damage.last_seq}"
