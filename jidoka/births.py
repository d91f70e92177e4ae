"""How a new session may begin: empty, as a fork of another, or from a document."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jidoka.actors.errors import ActorRestarted
from jidoka.core import checks
from jidoka.core.documents import carried, carried_cycles, parse_document
from jidoka.core.errors import DuplicateKey, InvalidMessage, SessionExists, SessionNotFound
from jidoka.core.state import SessionState
from jidoka.core.tools import chosen_names
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.sessions.door import Door


async def give_birth(door: Door, session_id: str, born: ask.Born) -> None:
    """Create a session and wait until it is active. Raises SessionExists, SessionLimitReached.

    Where somebody else may want the same id, *born* has a key.
    """
    manager = door.house.manager
    assert manager is not None
    born = _with_max_age(born, door.house.defaults.max_age)
    is_repeated = False
    while True:
        try:
            return await manager.call(ask.CreateSession(session_id, born), timeout=None)
        except ActorRestarted:
            is_repeated = True
        except DuplicateKey:
            # Born before, and at rest by now.
            return None
        except SessionExists:
            if not is_repeated:
                raise
            # The manager was killed after it had begun: this may be the session that it made.
            if await door.has_started(session_id):
                first = await door.house.store.read(session_id, limit=1)
                if born.key is not None and first[0].key != born.key:
                    raise
                return None


def _with_max_age(born: ask.Born, max_age: float | None) -> ask.Born:
    """When a session may be purged is what its journal says, not what a later process has in its settings."""
    config: dict[str, Any] = born.data.get("config") or {}
    if max_age is None or "max_age" in config:
        return born
    return replace(born, data={**born.data, "config": {**config, "max_age": max_age}})


async def fork_of(session_id: str, door: Door, *, at: int | None, metadata: dict[str, Any] | None) -> str:
    """A new session with *session_id*'s journal up to entry *at*; its id."""
    store = door.house.store
    head = await store.head(session_id)
    if head is None:
        raise SessionNotFound(session_id)
    if at is not None and checks.count(at, field="at", least=1) > head.seq:
        raise InvalidMessage(f"the journal of session {session_id} ends with entry {head.seq}, before {at}", field="at")
    kept = checks.json_object(metadata, field="metadata") if metadata is not None else None
    entries = await store.read(session_id, limit=at)
    state = SessionState.of(session_id, entries)
    known = state.metadata if kept is None else kept
    data = {
        "owner": head.owner,
        "metadata": known,
        "llm_config": head.llm_config,
        "config": head.config,
        "forked_from": {"session_id": session_id, "seq": entries[-1].seq},
        **carried_cycles(state, known, is_told=kept is not None),
    }
    fork_id = f"session_{door.house.world.new_id()}"
    await give_birth(door, fork_id, ask.Born(data, tuple(carried(entries))))
    return fork_id


async def import_of(document: Any, door: Door) -> str:
    """A new session with what *document* holds, under its own id where that is free; the id."""
    parsed = parse_document(document)
    _check_tools(parsed.data.get("llm_config") or {}, door)
    session_id = parsed.session_id
    if session_id is None or await door.house.store.head(session_id) is not None:
        session_id = f"session_{door.house.world.new_id()}"
    try:
        await give_birth(door, session_id, ask.Born(parsed.data, parsed.drafts, door.new_key()))
    except SessionExists:
        # Somebody else had the same idea.
        session_id = f"session_{door.house.world.new_id()}"
        await give_birth(door, session_id, ask.Born(parsed.data, parsed.drafts))
    return session_id


def _check_tools(llm_config: dict[str, Any], door: Door) -> None:
    """A house without any tools, such as the command line's, carries sessions over that others will run."""
    chosen_names(llm_config)
    if door.house.tools:
        door.house.tools.chosen(llm_config)
