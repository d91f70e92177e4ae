"""The files of seed 001: a session's history and metadata, written by its session manager or its monitor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from jidoka.core import checks
from jidoka.core.document_parts import Document, Draft, id_or_none, reading, text_of
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, InvalidMessage
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY, thaw
from jidoka.core.heads import CYCLE_COUNT, Head, cycle_count
from jidoka.core.json_values import Limits
from jidoka.core.messages import Message
from jidoka.core.seals import check_seal, sealed
from jidoka.core.state import SessionState

FIELDS: Final = ("session_id", "conversation_history", "metadata", "saved_at")
BLOCKS: Final = "content_blocks"
"""Where the metadata of a message keeps the blocks that its content was made of."""

# A file holds a whole history: as much as a journal may, and more of it.
_FILE: Final = Limits(depth=80, values=10_000_000, characters=1_000_000_000)


# --- out ------------------------------------------------------------------------------------------


def seed_001_document(head: Head, entries: Sequence[Entry], *, saved_at: datetime | None = None) -> dict[str, Any]:
    """A session as seed 001 would have saved it: what it says now, and how many cycles it has been through.

    Only role and content of a message are in it, and no files: `export_document` is what keeps everything.
    """
    state = SessionState.resumed(head, entries)
    return {
        "session_id": head.session_id,
        "conversation_history": [_message(message) for message in state.messages],
        "metadata": {**thaw(head.metadata), CYCLE_COUNT: head.cycles},
        "saved_at": (saved_at or head.updated_at).isoformat(),
    }


def _message(message: Message) -> dict[str, Any]:
    blocks = message.metadata.get(BLOCKS)
    try:
        are_said = isinstance(blocks, list) and text_of(blocks) == message.content
    except (KeyError, TypeError):
        are_said = False
    return {"role": message.role, "content": thaw(blocks) if are_said else message.content}


# --- in: a new session ----------------------------------------------------------------------------


def from_seed_001(document: Mapping[str, Any]) -> Document:
    """What a file of the session manager begins a session with. Raises CorruptRecord."""
    with reading("metadata"):
        metadata = checks.json_object(document.get("metadata"), field="metadata")
    return _begun(document, "conversation_history", metadata)


def from_monitor(document: Mapping[str, Any]) -> Document:
    """The same for a file of the persistent monitor, whose count and statistics become metadata."""
    with reading(CYCLE_COUNT):
        count = checks.count(document[CYCLE_COUNT], field=CYCLE_COUNT)
    with reading("stats"):
        stats = checks.json_object(document.get("stats"), field="stats")
    return _begun(document, "messages", {CYCLE_COUNT: count, "stats": stats})


def _begun(document: Mapping[str, Any], field: str, metadata: dict[str, Any]) -> Document:
    history = document[field]
    if not isinstance(history, list):
        raise CorruptRecord("is not a list", place=field)
    drafts = [_said(f"{field}[{number}]", number, raw) for number, raw in enumerate(cast("list[Any]", history))]
    source = {"format": "seed 001", "session_id": document.get("session_id"), "saved_at": document.get("saved_at")}
    with reading("document"):
        imported = checks.json_object(source, field="imported")
    data = {"owner": None, "metadata": metadata, "llm_config": EMPTY, "config": EMPTY, "imported": imported}
    return Document(id_or_none(document.get("session_id")), data, tuple(drafts))


def _said(place: str, number: int, raw: Any) -> Draft:
    metadata: dict[str, Any] = {}
    with reading(place):
        content = raw["content"]
        if isinstance(content, list):
            # Blocks: their text is what was said, and all of them are kept.
            metadata = {BLOCKS: checks.json_value(content, field="content")}
        data = {
            "id": f"message_{number + 1}",
            "role": checks.role(raw["role"]),
            "content": checks.content(text_of(content) if isinstance(content, list) else content),
            "metadata": metadata,
        }
    return EventType.CONVERSATION_ADDED, data


# --- in and out: the file as it is ----------------------------------------------------------------


def write_session_file(
    session_id: str, history: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any] | None, *, saved_at: datetime
) -> bytes:
    """A file of seed 001, with a seal that its readers do not look at. Raises InvalidMessage, InvalidRole."""
    if isinstance(history, str | bytes) or not isinstance(history, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidMessage("a history is a list of messages", field="conversation_history")
    for message in history:
        _check_message(message)
    said = checks.json_object({"conversation_history": history}, field="session", limits=_FILE)
    known = checks.json_object(metadata, field="metadata", limits=_FILE)
    document = sealed({"session_id": session_id, **said, "metadata": known, "saved_at": saved_at.isoformat()})
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def read_session_file(raw: bytes, session_id: str) -> dict[str, Any]:
    """What the file of *session_id* says: the four fields of seed 001.

    Raises CorruptRecord, whose place is a line and column, or a field, for what is not whole or is another session's.
    """
    document = _parsed(raw)
    for name in FIELDS:
        if name not in document:
            raise CorruptRecord("is missing", place=name)
    check_seal(document)
    if document["session_id"] != session_id:
        raise CorruptRecord(f"is {document['session_id']!r:.80}, not {session_id!r}", place="session_id")
    if not isinstance(document["conversation_history"], list):
        raise CorruptRecord("is not a list", place="conversation_history")
    for number, message in enumerate(cast("list[Any]", document["conversation_history"])):
        with reading(f"conversation_history[{number}]"):
            _check_message(message)
    if not isinstance(document["metadata"], dict):
        raise CorruptRecord("is not an object", place="metadata")
    with reading("saved_at"):
        datetime.fromisoformat(document["saved_at"])
    return {name: document[name] for name in FIELDS}


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise CorruptRecord("not UTF-8", place=f"byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise CorruptRecord(f"not JSON: {error.msg}", place=f"line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(f"not JSON: {error}", place="document") from error
    if not isinstance(document, dict):
        raise CorruptRecord(f"is a {type(document).__name__}, not an object", place="document")
    return cast("dict[str, Any]", document)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_message(message: Any) -> None:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise InvalidMessage("a message has a role and content", field="conversation_history")
    checks.role(message["role"])
    content: Any = cast("Mapping[str, Any]", message)["content"]
    if not isinstance(content, str | list):
        raise InvalidMessage("content is text, or a list of blocks", field="conversation_history")


def session_file_stats(document: Mapping[str, Any], *, max_context_tokens: int) -> dict[str, Any]:
    """How full the session in a file is, by seed 001's names. Four characters are a token, in blocks too."""
    history: list[Any] = document["conversation_history"]
    tokens = sum(_characters(message["content"]) for message in history) // 4
    return {
        "session_id": document["session_id"],
        "message_count": len(history),
        "estimated_tokens": tokens,
        "cycle_count": cycle_count(document["metadata"]) or 0,
        "context_percentage": round(100 * tokens / max_context_tokens, 2),
        "saved_at": document["saved_at"],
    }


def _characters(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(_characters(block) for block in cast("list[Any]", content))
    text = cast("dict[str, Any]", content).get("text") if isinstance(content, dict) else None
    return len(text if isinstance(text, str) else json.dumps(content, ensure_ascii=False))
