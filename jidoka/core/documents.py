"""Sessions as JSON documents: jidoka's own export, and the file of seed 001."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from jidoka.core import checks
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, InvalidMessage, InvalidSessionId, JidokaError
from jidoka.core.events import EventType
from jidoka.core.heads import Head
from jidoka.core.state import SessionState

FORMAT: Final = "jidoka.session"
VERSION: Final = 1

Draft = tuple[str, dict[str, Any]]

# What an import takes over: what was said and kept, not the lives that were lived.
CARRIED: Final = frozenset(
    str(type)
    for type in (
        EventType.CONVERSATION_ADDED,
        EventType.CONVERSATION_CLEARED,
        EventType.CONTEXT_UPDATED,
        EventType.FILE_ADDED,
        EventType.FILE_REMOVED,
    )
)


@dataclass(frozen=True, slots=True)
class Document:
    """What an imported session begins with."""

    session_id: str | None
    data: dict[str, Any]
    drafts: tuple[Draft, ...]


def export_document(head: Head, entries: Iterable[Entry]) -> dict[str, Any]:
    """A session as plain JSON: its journal, and what it adds up to."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "session_id": head.session_id,
        "info": head.info().model_dump(mode="json"),
        "entries": [
            {
                "seq": entry.seq,
                "type": str(entry.type),
                "at": entry.at.isoformat(),
                "data": json.loads(json.dumps(entry.data)),
                "key": entry.key,
                "epoch": entry.epoch,
            }
            for entry in entries
        ],
    }


def parse_document(document: Any) -> Document:
    """What *document*, an export or a file of seed 001, as text or parsed, begins a session with.

    Raises InvalidMessage for what is neither, CorruptRecord with its place for a damaged one.
    """
    if isinstance(document, str | bytes):
        try:
            document = json.loads(document)
        except ValueError as error:
            raise CorruptRecord(f"not JSON: {error}", place="document") from error
    if not isinstance(document, Mapping):
        raise InvalidMessage(f"a document is a JSON object, not {type(document).__name__}", field="document")
    known = cast("Mapping[str, Any]", document)
    if known.get("format") == FORMAT:
        return _exported(known)
    if "conversation_history" in known:
        return _from_seed_001(known)
    raise InvalidMessage("neither an exported session nor a session file of seed 001", field="document")


def _exported(document: Mapping[str, Any]) -> Document:
    if document.get("version") != VERSION:
        raise InvalidMessage(f"this jidoka reads version {VERSION}, not {document.get('version')!r}", field="version")
    entries = document.get("entries")
    if not isinstance(entries, list) or not entries:
        raise CorruptRecord("there are no entries", place="entries")
    journal = [_entry(number, cast("Any", raw)) for number, raw in enumerate(cast("list[Any]", entries), start=1)]
    state = SessionState.of(str(document.get("session_id")), journal)
    data = {
        "owner": state.owner,
        "metadata": state.metadata,
        "llm_config": state.llm_config,
        "config": state.config,
        "imported": {"session_id": state.session_id, "seq": state.seq},
    }
    return Document(_id_or_none(document.get("session_id")), data, tuple(carried(journal)))


def _entry(number: int, raw: Any) -> Entry:
    try:
        data = checks.json_object(raw["data"], field="data")
        return Entry(raw["seq"], EventType(raw["type"]), datetime.fromisoformat(raw["at"]), data)
    except (JidokaError, ValueError, TypeError, KeyError) as error:
        raise CorruptRecord(f"cannot be read: {error}", place=f"entry {number}") from error


def carried(entries: Iterable[Entry]) -> Iterable[Draft]:
    """What a new session takes over of *entries*, with the time at which it was said."""
    for entry in entries:
        if entry.type not in CARRIED or entry.data.get("part") == "metadata":
            continue
        data = entry.data
        if entry.type == EventType.CONVERSATION_ADDED and "at" not in data:
            data = {**data, "at": entry.at.isoformat()}
        yield entry.type, data


def _from_seed_001(document: Mapping[str, Any]) -> Document:
    history = document["conversation_history"]
    if not isinstance(history, list):
        raise CorruptRecord("is not a list", place="conversation_history")
    drafts = [_message(number, raw) for number, raw in enumerate(cast("list[Any]", history))]
    metadata = checks.json_object(document.get("metadata") or {}, field="metadata")
    data = {"owner": None, "metadata": metadata, "llm_config": {}, "config": {}, "imported": {"format": "seed 001"}}
    return Document(_id_or_none(document.get("session_id")), data, tuple(drafts))


def _message(number: int, raw: Any) -> Draft:
    try:
        role, content = checks.role(raw["role"]), checks.content(raw["content"])
    except (JidokaError, TypeError, KeyError) as error:
        raise CorruptRecord(f"cannot be read: {error}", place=f"conversation_history[{number}]") from error
    data = {"id": f"message_{number + 1}", "role": role, "content": content, "metadata": {}}
    return EventType.CONVERSATION_ADDED, data


def _id_or_none(value: Any) -> str | None:
    try:
        return checks.session_id(value)
    except InvalidSessionId:
        return None
