"""Answers from what a session's journal adds up to. Nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.core.context import build_context, context_stats, history
from jidoka.core.errors import InvalidMessage
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.core.state import SessionState
    from jidoka.sessions.setup import SessionSetup


def read(state: SessionState, message: Any, setup: SessionSetup) -> Any:
    """The answer to a request that only reads."""
    match message:
        case ask.ReadHistory(after, limit):
            return history(state, after=after, limit=limit)
        case ask.BuildContext(include, max_messages, max_files, max_tokens):
            return build_context(
                state,
                include,
                max_messages=max_messages,
                max_files=max_files,
                max_tokens=max_tokens,
                now=setup.house.world.now(),
            )
        case ask.ReadFiles():
            return list(state.files)
        case ask.ReadFileIndex():
            return {path: dict(found) for path, found in state.file_index.items()}
        case ask.ReadWorking(key):
            return state.working.get(key)
        case ask.ReadWorkingKeys():
            return sorted(state.working)
        case ask.ReadLetters():
            return list(state.letters.values())
        case ask.ReadStats():
            return context_stats(state, max_context_tokens=setup.house.max_context_tokens)
        case _:
            raise InvalidMessage(f"a context manager does not know {type(message).__name__}")
