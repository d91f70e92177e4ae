"""Answers from what a session's journal adds up to. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from jidoka.core.context import build_context, context_stats, history
from jidoka.core.errors import InvalidMessage
from jidoka.core.ledger import SessionUsage
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.core.messages import Context
    from jidoka.core.state import SessionState
    from jidoka.sessions.setup import SessionSetup


def read(state: SessionState, message: Any, setup: SessionSetup) -> Any:
    """The answer to a request that only reads."""
    answer = _READS.get(cast("type[Any]", type(message)))
    if answer is None:
        raise InvalidMessage(f"a context manager does not know {type(message).__name__}")
    return answer(state, message, setup)


def _context(state: SessionState, message: ask.BuildContext, setup: SessionSetup) -> Context:
    return build_context(
        state,
        message.include,
        max_messages=message.max_messages,
        max_files=message.max_files,
        max_tokens=message.max_tokens,
        now=setup.house.world.now(),
    )


def _usage(state: SessionState, _: ask.ReadUsage, __: SessionSetup) -> SessionUsage:
    ledger = state.ledger
    by_model = dict(ledger.by_model)
    return SessionUsage(session_id=state.session_id, turns=ledger.turns, total=ledger.total, by_model=by_model)


_READS: dict[type[Any], Callable[[SessionState, Any, SessionSetup], Any]] = {
    ask.ReadHistory: lambda state, message, _: history(state, after=message.after, limit=message.limit),
    ask.BuildContext: _context,
    ask.ReadFiles: lambda state, _, __: list(state.files),
    ask.ReadFileIndex: lambda state, _, __: {path: dict(found) for path, found in state.file_index.items()},
    ask.ReadWorking: lambda state, message, _: state.working.get(message.key),
    ask.ReadWorkingKeys: lambda state, _, __: sorted(state.working),
    ask.ReadLetters: lambda state, _, __: list(state.letters.values()),
    ask.ReadUsage: _usage,
    ask.ReadStats: lambda state, _, setup: context_stats(state, max_context_tokens=setup.house.max_context_tokens),
}
