"""Sessions as JSON documents: jidoka's own export, and the file of seed 001."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from jidoka.core import checks
from jidoka.core.config import SessionConfig
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, InvalidMessage, InvalidSessionId, JidokaError
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY, thaw
from jidoka.core.heads import Head
from jidoka.core.json_values import RECORD
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
                "data": thaw(entry.data),
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
    if isinstance(document, str | bytes | bytearray):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise CorruptRecord(f"not JSON: {error}", place="document") from error
    if not isinstance(document, Mapping):
        raise InvalidMessage(f"a document is a JSON object, not {type(document).__name__}", field="document")
    known = cast("Mapping[str, Any]", document)
    if known.get("format") == FORMAT:
        return _exported(known)
    if "conversation_history" in known:
        return _from_seed_001(known)
    raise InvalidMessage("neither an exported session nor a session file of seed 001", field="document")


def carried(entries: Iterable[Entry]) -> Iterator[Draft]:
    """What a new session takes over of *entries*, with the time at which it was said."""
    for entry in entries:
        if entry.type not in CARRIED or entry.data.get("part") == "metadata":
            continue
        data = entry.data
        if entry.type == EventType.CONVERSATION_ADDED and "at" not in data:
            data = {**data, "at": entry.at.isoformat()}
        yield entry.type, data


@contextmanager
def _reading(place: str) -> Generator[None]:
    """Whatever is wrong in here is wrong at *place*."""
    try:
        yield
    except KeyError as error:
        raise CorruptRecord(f"{error} is missing", place=place) from error
    except (JidokaError, ValueError, TypeError, AttributeError) as error:
        raise CorruptRecord(f"cannot be read: {error}", place=place) from error


def _exported(document: Mapping[str, Any]) -> Document:
    if document.get("version") != VERSION:
        raise InvalidMessage(
            f"this jidoka reads version {VERSION}, not {document.get('version')!r:.40}", field="version"
        )
    entries = document.get("entries")
    if not isinstance(entries, list) or not entries:
        raise CorruptRecord("there are none", place="entries")
    journal = [_entry(number, raw) for number, raw in enumerate(cast("list[Any]", entries), start=1)]
    state = SessionState.of(str(document.get("session_id")), journal)
    with _reading("entry 1"):
        SessionConfig().with_options(state.config)
        data = {
            "owner": checks.owner(state.owner),
            "metadata": state.metadata,
            "llm_config": state.llm_config,
            "config": state.config,
            "imported": {"session_id": state.session_id, "seq": state.seq},
        }
    return Document(_id_or_none(document.get("session_id")), data, tuple(carried(journal)))


def _entry(number: int, raw: Any) -> Entry:
    with _reading(f"entry {number}"):
        data = checks.json_object(raw["data"], field="data", limits=RECORD)
        entry = Entry(checks.count(raw["seq"], field="seq"), EventType(raw["type"]), _time(raw["at"]), data)
        look = _LOOKS.get(entry.type)
        if look is not None:
            look(data)
        if (number == 1) is not (entry.type == EventType.SESSION_CREATED):
            raise ValueError("a journal begins with session_created, once")
        return entry


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


# --- what a journal from outside has to look like: the doors' checks, on what is carried over -----


def _look_at_birth(data: Mapping[str, Any]) -> None:
    for name in ("metadata", "llm_config", "config"):
        checks.json_object(data.get(name), field=name)


def _look_at_message(data: Mapping[str, Any]) -> None:
    checks.role(data["role"])
    checks.content(data["content"])
    checks.text(data["id"], field="id")
    checks.json_object(data.get("metadata"), field="metadata")
    if "at" in data:
        _time(data["at"])


def _look_at_file(data: Mapping[str, Any]) -> None:
    checks.path(data["path"])


def _look_at_update(data: Mapping[str, Any]) -> None:
    match data["part"]:
        case "metadata":
            checks.json_object(data["patch"], field="patch")
            checks.count(data["version"], field="version", least=1)
        case "file_index":
            checks.path(data["path"])
            checks.json_object(data["metadata"], field="metadata")
        case "working_context":
            checks.context_key(data["key"])
            if data["op"] not in {"put", "delete"} or (data["op"] == "put" and "value" not in data):
                raise ValueError("neither put with a value nor delete")
        case _:
            raise ValueError("an unknown part")


_LOOKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    str(EventType.SESSION_CREATED): _look_at_birth,
    str(EventType.CONVERSATION_ADDED): _look_at_message,
    str(EventType.FILE_ADDED): _look_at_file,
    str(EventType.FILE_REMOVED): _look_at_file,
    str(EventType.CONTEXT_UPDATED): _look_at_update,
}


# --- the file of seed 001 -------------------------------------------------------------------------


def _from_seed_001(document: Mapping[str, Any]) -> Document:
    history = document["conversation_history"]
    if not isinstance(history, list):
        raise CorruptRecord("is not a list", place="conversation_history")
    drafts = [_said(number, raw) for number, raw in enumerate(cast("list[Any]", history))]
    with _reading("metadata"):
        metadata = checks.json_object(document.get("metadata"), field="metadata")
    source = {"format": "seed 001", "session_id": document.get("session_id"), "saved_at": document.get("saved_at")}
    with _reading("document"):
        imported = checks.json_object(source, field="imported")
    data = {"owner": None, "metadata": metadata, "llm_config": EMPTY, "config": EMPTY, "imported": imported}
    return Document(_id_or_none(document.get("session_id")), data, tuple(drafts))


def _said(number: int, raw: Any) -> Draft:
    metadata: dict[str, Any] = {}
    with _reading(f"conversation_history[{number}]"):
        content = raw["content"]
        if isinstance(content, list):
            # Blocks: their text is what was said, and all of them are kept.
            metadata = {"content_blocks": checks.json_value(content, field="content")}
            content = _text_of(cast("list[Any]", content))
        data = {
            "id": f"message_{number + 1}",
            "role": checks.role(raw["role"]),
            "content": checks.content(content),
            "metadata": metadata,
        }
    return EventType.CONVERSATION_ADDED, data


def _text_of(blocks: list[Any]) -> str:
    texts = [str(block["text"]) for block in blocks if block["type"] == "text"]
    return "\n".join(texts) or json.dumps(blocks)


def _id_or_none(value: Any) -> str | None:
    try:
        return checks.session_id(value)
    except InvalidSessionId:
        return None
