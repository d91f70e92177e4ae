"""Pages of sessions, with every filter looked at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jidoka.core import checks
from jidoka.core.messages import SessionInfo
from jidoka.core.pages import Page
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.ports.store import Store

NOT_ENDED: Final = frozenset(SessionStatus) - {SessionStatus.TERMINATED}


async def page_of(
    store: Store,
    *,
    status: Any = None,
    owner: str | None = None,
    metadata: dict[str, Any] | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[SessionInfo]:
    """As `Client.list_sessions`: terminated ones only when *status* asks for them. Raises InvalidMessage."""
    checks.limit(limit)
    after = checks.cursor(cursor)
    wanted = checks.statuses(status)
    found = await store.heads(
        status=NOT_ENDED if wanted is None else wanted,
        owner=checks.owner(owner),
        metadata=checks.json_object(metadata, field="metadata") or None,
        after=after,
        limit=limit + 1,
    )
    page = tuple(head.info() for _, head in found[:limit])
    more = checks.encode_cursor(found[limit - 1][0]) if len(found) > limit else None
    return Page[SessionInfo](items=page, next_cursor=more)
