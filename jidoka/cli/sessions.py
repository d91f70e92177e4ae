"""`jidoka sessions …`: what is in a store. What only looks works beside a process that writes."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jidoka.cli import session_output as show_as
from jidoka.cli.files import read_whole, write_whole
from jidoka.cli.output import AsJson, carry_out, complain, refuse
from jidoka.cli.places import DEFAULT, StoreOption, for_reading, for_writing, opened
from jidoka.cli.tailing import read_tail
from jidoka.client import Client
from jidoka.core import checks
from jidoka.core.documents import export_document, parse_document
from jidoka.core.errors import CorruptRecord, InvalidMessage, SessionNotFound
from jidoka.core.seed_documents import seed_001_document
from jidoka.core.state import SessionState
from jidoka.ports.world import SystemWorld
from jidoka.sessions.listing import page_of

if TYPE_CHECKING:
    from jidoka.core.entries import Entry
    from jidoka.core.heads import Head
    from jidoka.core.messages import SessionInfo
    from jidoka.core.pages import Page
    from jidoka.core.views import Damage
    from jidoka.ports.store import Store

app = typer.Typer(help="List, show, follow, export, import and end the sessions of a store.", no_args_is_help=True)

Format = Literal["jidoka", "seed001"]
Id = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]


@app.command("list")
def list_(
    *,
    store: StoreOption = DEFAULT,
    status: Annotated[list[str] | None, typer.Option(help="Only these; without it, all but terminated ones.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only with this metadata. VALUE is JSON, or text.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List sessions in the order in which they were created."""

    async def work() -> tuple[Page[SessionInfo], list[Damage]]:
        wanted = _members(metadata or [])
        async with opened(for_reading(store)) as source:
            page = await page_of(
                source, status=status or None, owner=owner, metadata=wanted, limit=limit, cursor=cursor
            )
            return page, list(source.known_damage)

    page, damages = carry_out(work, as_json)
    show_as.listed(page, damages, as_json)
    if damages:
        complain(f"{len(damages)} damaged: `jidoka verify` names them")
    raise typer.Exit(1 if damages else 0)


def _members(metadata: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in metadata:
        key, equals, value = member.partition("=")
        if not key or not equals:
            raise InvalidMessage(f"--metadata is KEY=VALUE, not {member!r:.80}", field="metadata")
        try:
            found[key] = json.loads(value)
        except (ValueError, RecursionError):
            found[key] = value
    return found


@app.command()
def show(
    session_id: Id,
    store: StoreOption = DEFAULT,
    messages: Annotated[int, typer.Option(min=0, help="How many of the last messages.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how a session is, what its journal has in it, and its last messages."""
    head, entries = carry_out(lambda: _journal(session_id, store), as_json)
    state = carry_out(lambda: _added_up(head, entries), as_json)
    show_as.shown(state, entries, messages, as_json)


async def _journal(session_id: str, place: str) -> tuple[Head, list[Entry]]:
    checks.session_id(session_id)
    async with opened(for_reading(place)) as source:
        head = await _head(source, session_id)
        return head, await source.read(session_id, limit=head.seq)


async def _added_up(head: Head, entries: list[Entry]) -> SessionState:
    return SessionState.resumed(head, entries)


async def _head(store: Store, session_id: str) -> Head:
    head = await store.head(session_id)
    if head is None:
        raise SessionNotFound(session_id)
    return head


@app.command()
def tail(
    session_id: Id,
    store: StoreOption = DEFAULT,
    after: Annotated[int | None, typer.Option(help="From the entry after this one; without it, the last ten.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the session ends, or Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the entries of a session's journal, one to a line, as they come."""

    async def work() -> None:
        checks.session_id(session_id)
        if after is not None:
            checks.after(after)
        async with opened(for_reading(store)) as source:
            tail = read_tail(source, session_id, after=after, follow=follow, world=SystemWorld())
            async with aclosing(tail) as entries:
                async for entry in entries:
                    show_as.line(entry, as_json)

    carry_out(work, as_json)


@app.command()
def export(
    session_id: Id,
    store: StoreOption = DEFAULT,
    format: Annotated[Format, typer.Option(help="All there is, or the file that seed 001 writes.")] = "jidoka",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a session as a JSON document, which `import` takes."""
    head, entries = carry_out(lambda: _journal(session_id, store), as_json)
    make = export_document if format == "jidoka" else seed_001_document
    document = json.dumps(make(head, entries))
    if output is None:
        print(document)
        return
    try:
        write_whole(output, f"{document}\n".encode())
    except OSError as error:
        raise refuse(f"{output}: {error.strerror or error}", as_json, status=1) from error
    facts = {"session_id": head.session_id, "file": str(output), "entries": head.seq}
    show_as.done(f"{head.session_id} → {output}", facts, as_json)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Exported sessions, or session files of seed 001.")],
    store: StoreOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make sessions of FILES, each under its own id where that is free. If one cannot be read, none is made."""

    async def work() -> list[dict[str, str]]:
        documents = [(str(file), _checked(file)) for file in files]
        async with Client(for_writing(store, may_be_new=True)) as client:
            return [
                {"file": file, "session_id": (await client.import_session(document)).id} for file, document in documents
            ]

    imported = carry_out(work, as_json)
    show_as.imported(imported, as_json)


def _checked(file: Path) -> bytes:
    try:
        document = read_whole(file)
        parse_document(document)
    except OSError as error:
        raise InvalidMessage(f"{file}: {error.strerror or error}") from error
    except CorruptRecord as error:
        raise CorruptRecord(str(error), place=str(file)) from error
    except InvalidMessage as error:
        raise InvalidMessage(f"{file}: {error}") from error
    return document


@app.command()
def terminate(
    session_id: Id,
    store: StoreOption = DEFAULT,
    reason: Annotated[str, typer.Option(help="What its journal is to say.")] = "requested",
    purge: Annotated[bool, typer.Option("--purge", help="Delete its history as well; a damaged one's too.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a session. Where another process writes to the SQLite file, ask that one; on PostgreSQL it is taken away."""

    async def work() -> None:
        checks.session_id(session_id)
        async with Client(for_writing(store)) as client:
            try:
                await client.terminate_session(session_id, reason=reason, purge=purge)
            except CorruptRecord:
                if not purge:
                    raise
                # Nobody can say what it was. It can still be deleted.
                await client.house.store.purge(session_id)

    carry_out(work, as_json)
    what = "purged" if purge else "terminated"
    show_as.done(f"{session_id}: {what}", {"session_id": session_id, what: True}, as_json)
