"""How sessions look on paper: tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from jidoka.cli.output import out, print_table
from jidoka.cli.screen import plain
from jidoka.core.events import EventType
from jidoka.core.frozen import thaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jidoka.core.entries import Entry
    from jidoka.core.messages import Message, SessionInfo
    from jidoka.core.pages import Page
    from jidoka.core.state import SessionState
    from jidoka.core.views import Damage

# Characters of a value that a line has room for.
_SHORT: Final = 100
_STYLES: Final = {"active": "green", "failed": "bold red", "waiting_input": "yellow", "terminated": "dim"}


def listed(page: Page[SessionInfo], damages: Sequence[Damage], as_json: bool) -> None:
    """One page of sessions, and where to go on."""
    if as_json:
        sessions = [info.model_dump(mode="json") for info in page]
        bad = [damage.model_dump() for damage in damages]
        print(json.dumps({"sessions": sessions, "next_cursor": page.next_cursor, "damaged": bad}))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("session", "status", "owner", "messages", "last activity", "metadata"):
        # Where there is too little room the metadata give way.
        table.add_column(name, no_wrap=name != "metadata", justify="right" if name == "messages" else "left")
    for info in page:
        table.add_row(
            plain(info.session_id),
            Text(info.status, _STYLES.get(info.status, "")),
            plain(info.owner or ""),
            str(info.message_count),
            _time(info.last_activity_at),
            plain(short_json(info.metadata) if info.metadata else "", most=_SHORT),
        )
    print_table(table)
    if page.next_cursor is not None:
        out.print(Text(f"more: --cursor {page.next_cursor}", "dim"))


def shown(state: SessionState, entries: Sequence[Entry], count: int, as_json: bool) -> None:
    """One session: what is known of it, what its journal has in it, and its last messages."""
    info, types = state.info(), Counter(str(entry.type) for entry in entries)
    last = state.messages[-count:] if count else ()
    if as_json:
        messages = [message.model_dump(mode="json") for message in last]
        print(json.dumps({"info": info.model_dump(mode="json"), "entries": types, "messages": messages}))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in info:
        if value not in (None, {}):
            table.add_row(Text(name.replace("_", " "), "bold"), _value(value))
    for type, number in sorted(types.items()):
        table.add_row(Text(f"  {type}", "dim"), str(number))
    print_table(table)
    for message in last:
        out.print(said(message), soft_wrap=True)


def said(message: Message) -> Text:
    """A message for people, on one line."""
    return Text.assemble((f"{message.seq:>6} {message.role}: ", "bold"), plain(message.content, most=1_000))


def line(entry: Entry, as_json: bool) -> None:
    """One entry of a journal, at once."""
    if as_json:
        print(json.dumps(fields_of(entry)), flush=True)
        return
    out.print(in_a_line(entry), soft_wrap=True)
    out.file.flush()


def fields_of(entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    return {**entry._asdict(), "type": str(entry.type), "at": entry.at.isoformat(), "data": thaw(entry.data)}


def in_a_line(entry: Entry) -> Text:
    """An entry for people."""
    data = entry.data
    if entry.type == EventType.CONVERSATION_ADDED:
        what = f"{data['role']}: {data['content']}"
    else:
        what = short_json(data) if data else ""
    start = (f"{entry.seq:>6}  {_time(entry.at)}  ", "dim")
    return Text.assemble(start, (f"{entry.type:<22}", "bold"), plain(what, most=_SHORT))


def imported(sessions: Sequence[dict[str, str]], as_json: bool) -> None:
    """Which file became which session."""
    if as_json:
        print(json.dumps({"imported": sessions}))
        return
    for session in sessions:
        out.print(Text.assemble(plain(session["file"]), " → ", session["session_id"]), soft_wrap=True)


def done(text: str, facts: dict[str, Any], as_json: bool) -> None:
    """What has been done, in one line."""
    if as_json:
        print(json.dumps(facts))
    else:
        out.print(plain(text), soft_wrap=True)


def _value(value: Any) -> Text:
    if isinstance(value, datetime):
        return Text(_time(value))
    return plain(value if isinstance(value, str) else short_json(value), most=1_000)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def short_json(value: Any) -> str:
    """A value as JSON that people can read. It may still hold what a terminal obeys."""
    return json.dumps(thaw(value), ensure_ascii=False)
