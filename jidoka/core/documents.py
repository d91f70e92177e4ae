"""Sessions as JSON documents: jidoka's own export, and what to make of one that comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, cast

from jidoka.core import checks
from jidoka.core.config import SessionConfig
from jidoka.core.document_parts import Document, Draft, id_or_none, reading
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, InvalidMessage
from jidoka.core.events import EventType
from jidoka.core.frozen import thaw
from jidoka.core.heads import MOST_CYCLES, Head, cycle_count
from jidoka.core.json_values import RECORD
from jidoka.core.letters import PART
from jidoka.core.seals import SEAL, check_seal, sealed
from jidoka.core.seed_documents import from_monitor, from_seed_001
from jidoka.core.state import SessionState
from jidoka.core.summaries import SUMMARY

FORMAT: Final = "jidoka.session"
VERSION: Final = 1

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

# Metadata is carried as a whole; dead letters belong to the life in which they died; summaries name entries of one
# journal.
_NOT_CARRIED: Final = frozenset({"metadata", PART, SUMMARY})
_TIMED: Final = frozenset({str(EventType.CONVERSATION_ADDED), str(EventType.FILE_ADDED)})
# What the counts of an export have to agree on with its journal.
_COUNTS: Final = ("last_seq", "message_count", "version", "incarnation", "status")


def export_document(head: Head, entries: Iterable[Entry]) -> dict[str, Any]:
    """A session as plain JSON: its journal, what it adds up to, and a seal."""
    document: dict[str, Any] = {
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
    return sealed(document)


def parse_document(document: Any) -> Document:
    """What *document*, an export or a file of seed 001, as text or parsed, begins a session with.

    Raises InvalidMessage for what is neither, CorruptRecord with its place for a damaged one. An export without its
    seal, or with another's, is a damaged one: whoever changes it on purpose seals it again (`seals.sealed`).
    """
    if isinstance(document, str | bytes | bytearray):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise CorruptRecord(f"not JSON: {error}", place="document") from error
    if not isinstance(document, Mapping):
        raise InvalidMessage(f"a document is a JSON object, not {type(document).__name__}", field="document")
    known = cast("Mapping[str, Any]", document)
    parsed = _parsed(known)
    # Last: where the damage can be named more closely, it has been.
    check_seal(known)
    if parsed is None:
        raise InvalidMessage("neither an exported session nor a session file of seed 001", field="document")
    return parsed


def _parsed(known: Mapping[str, Any]) -> Document | None:
    if known.get("format") == FORMAT:
        return _exported(known)
    if "conversation_history" in known:
        return from_seed_001(known)
    if "messages" in known and "cycle_count" in known:
        return from_monitor(known)
    return None


def carried(entries: Iterable[Entry]) -> Iterator[Draft]:
    """What a new session takes over of *entries*, with the time at which it was said or done where that is shown."""
    for entry in entries:
        data = entry.data
        if entry.type not in CARRIED or data.get("part") in _NOT_CARRIED:
            continue
        if "at" not in data and (entry.type in _TIMED or data.get("part") == "file_index"):
            data = {**data, "at": entry.at.isoformat()}
        yield entry.type, data


def carried_cycles(state: Head, metadata: Mapping[str, Any], *, is_told: bool = False) -> dict[str, int]:
    """What the birth of a session with *metadata* says besides, so that it counts on from where *state* is.

    *is_told*: the metadata is not the state's own, and a count in it is what somebody wants.
    """
    count = cycle_count(metadata)
    if (is_told and count is not None) or (count or 0) == state.cycles:
        return {}
    return {"cycles": state.cycles}


def _exported(document: Mapping[str, Any]) -> Document:
    if document.get("version") != VERSION:
        check_seal(document)
        raise InvalidMessage(
            f"this jidoka reads version {VERSION}, not {document.get('version')!r:.40}", field="version"
        )
    entries = document.get("entries")
    if not isinstance(entries, list) or not entries:
        raise CorruptRecord("there are none", place="entries")
    journal = [_entry(number, raw) for number, raw in enumerate(cast("list[Any]", entries), start=1)]
    state = SessionState.of(str(document.get("session_id")), journal)
    _check_counts(document.get("info"), state)
    with reading("entry 1"):
        SessionConfig().with_options(state.config)
        data = {
            "owner": checks.owner(state.owner),
            "metadata": state.metadata,
            "llm_config": state.llm_config,
            "config": state.config,
            "imported": {"session_id": state.session_id, "seq": state.seq},
            **carried_cycles(state, state.metadata),
        }
    if SEAL not in document:
        raise CorruptRecord("is missing", place=SEAL)
    return Document(id_or_none(document.get("session_id")), data, tuple(carried(journal)))


def _check_counts(info: Any, state: Head) -> None:
    if not isinstance(info, Mapping):
        raise CorruptRecord("is not an object", place="info")
    said, actual = cast("Mapping[str, Any]", info), state.info()
    for name in _COUNTS:
        if said.get(name) != getattr(actual, name):
            text = f"is {said.get(name)!r:.40}, and the journal adds up to {getattr(actual, name)}"
            raise CorruptRecord(text, place=f"info.{name}")


def _entry(number: int, raw: Any) -> Entry:
    with reading(f"entry {number}"):
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
    checks.count(data.get("cycles", 0), field="cycles", most=2 * MOST_CYCLES)


def _look_at_message(data: Mapping[str, Any]) -> None:
    checks.role(data["role"])
    if data["content"] != "" or data["role"] not in {"assistant", "tool"}:
        # A call of a tool may be all that was said, and nothing its result.
        checks.content(data["content"])
    checks.text(data["id"], field="id")
    checks.json_object(data.get("metadata"), field="metadata")
    _look_at_time(data)


def _look_at_time(data: Mapping[str, Any]) -> None:
    if "at" in data:
        _time(data["at"])


def _look_at_file(data: Mapping[str, Any]) -> None:
    checks.path(data["path"])
    _look_at_time(data)


def _look_at_update(data: Mapping[str, Any]) -> None:
    match data["part"]:
        case "metadata":
            checks.json_object(data["patch"], field="patch")
            checks.count(data["version"], field="version", least=1)
        case "file_index" if "files" in data:
            for path, metadata in data["files"].items():
                checks.path(path)
                checks.json_object(metadata, field="metadata")
            for path in data["gone"]:
                checks.path(path)
        case "file_index":
            _look_at_file(data)
            checks.json_object(data["metadata"], field="metadata")
        case "working_context":
            checks.context_key(data["key"])
            if data["op"] not in {"put", "delete"} or (data["op"] == "put" and "value" not in data):
                raise ValueError("neither put with a value nor delete")
        case "dead_letters" | "summary":
            pass
        case _:
            raise ValueError("an unknown part")


_LOOKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    str(EventType.SESSION_CREATED): _look_at_birth,
    str(EventType.CONVERSATION_ADDED): _look_at_message,
    str(EventType.FILE_ADDED): _look_at_file,
    str(EventType.FILE_REMOVED): _look_at_file,
    str(EventType.CONTEXT_UPDATED): _look_at_update,
}
