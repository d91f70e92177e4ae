"""What is written of a session's workspace: what has changed there, as far as its index is concerned."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage
from jidoka.core.events import EventType
from jidoka.core.state import SessionState
from jidoka.core.workspaces import refreshed
from jidoka.sessions.drafts import Draft

if TYPE_CHECKING:
    from jidoka.sessions import requests as ask
    from jidoka.sessions.setup import SessionSetup


class FileRecords:
    """The part of the context manager that knows the workspace. What its file watcher says is no use of the session."""

    setup: SessionSetup
    state: SessionState

    if TYPE_CHECKING:

        def _refuse_closed(self) -> None: ...
        def now_or_later(self, work: Coroutine[Any, Any, Any]) -> Any: ...

        async def commit(
            self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], Any]
        ) -> Any: ...

    def workspace(self, _: ask.ReadWorkspace) -> str:
        """Where it is. Raises InvalidMessage when there is none."""
        self._refuse_closed()
        root = self.setup.config.workspace
        if root is None:
            raise InvalidMessage("this session has no workspace: its config names none", field="workspace")
        return root

    def known_files(self, _: ask.ReadKnownFiles) -> frozenset[str]:
        """What is followed though it is ignored, or one file too many."""
        self._refuse_closed()
        return frozenset(self.state.file_index) | self._active()

    def _active(self) -> frozenset[str]:
        return frozenset(file.path for file in self.state.files)

    def refresh_files(self, message: ask.RefreshFiles) -> Any:
        """One commit for all that was seen, and none where nothing has changed."""
        self._refuse_closed()
        refresh = refreshed(
            self.state.file_index, self._active(), message.look, max_indexed=self.setup.config.max_indexed
        )
        for path in self.state.file_index.keys() & {*refresh.files, *refresh.gone}:
            # Whoever reads it would notice; nobody may.
            self.setup.house.files.invalidate_file(path, session_id=self.setup.session_id)
        drafts: list[Draft] = [(EventType.CONTEXT_UPDATED, data) for data in refresh.entries()]
        if not drafts:
            return refresh
        return self.now_or_later(self.commit(drafts, None, lambda _: refresh))

    def child_back(self, message: ask.ChildBack) -> Any:
        """A child that keeps nothing was started again."""
        self._refuse_closed()
        self.setup.house.restarts += 1
        data = {"child": message.child, "restarts": message.restarts}
        return self.now_or_later(self.commit([(EventType.CHILD_RESTARTED, data)], None, lambda _: None))
