"""What the actors of one session share: its id, its options, and the way to the rest of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.sessions.requests import SuspendSession

if TYPE_CHECKING:
    from jidoka.core.chunks import LLMConfig
    from jidoka.core.config import SessionConfig
    from jidoka.sessions.house import House
    from jidoka.sessions.requests import Born, Prompt


class SessionSetup:
    """Made by the manager, handed down to the session's supervisor and its children."""

    __slots__ = (
        "born",
        "config",
        "house",
        "is_resuming",
        "llm",
        "owed",
        "seen_epoch",
        "session_id",
        "unfinished",
    )

    def __init__(
        self,
        session_id: str,
        house: House,
        config: SessionConfig,
        llm: LLMConfig | dict[str, Any],
        *,
        born: Born | None = None,
        is_resuming: bool = False,
    ) -> None:
        self.session_id = session_id
        self.house = house
        self.config = config
        self.llm = llm
        # For a new session: what its first entry says. Gone once it is written.
        self.born = born
        # Started on purpose, not because something crashed.
        self.is_resuming = is_resuming
        # Whoever has claimed the journal since this epoch was seen keeps it.
        self.seen_epoch: int | None = None
        # A turn that another process began and this one is to run again.
        self.unfinished: Prompt | None = None
        # What has happened while the store was away, and is still to be written.
        self.owed: list[Any] | None = None

    @property
    def model(self) -> str:
        """The name of the session's model."""
        llm = self.llm
        return str(llm.get("model", "echo")) if isinstance(llm, dict) else llm.model

    def ask_to_suspend(self) -> None:
        """Nobody has used this session for long, or it is over: the manager may free its memory."""
        if self.house.manager is not None:
            self.house.manager.tell(SuspendSession(self.session_id, is_automatic=True))
