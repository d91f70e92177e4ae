"""What changes a session: messages, files, working context, metadata, status. Decided here, committed by `write`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jidoka.core.entries import Entry
from jidoka.core.errors import (
    IdempotencyConflict,
    InvalidMessage,
    InvalidTransition,
    JidokaError,
    TurnInProgress,
    VersionConflict,
)
from jidoka.core.events import EventType
from jidoka.core.lifecycle import move
from jidoka.core.messages import Message
from jidoka.core.state import SessionState, message_of
from jidoka.core.status import SessionStatus
from jidoka.sessions.drafts import Draft, status_draft

if TYPE_CHECKING:
    from jidoka.sessions import requests as ask
    from jidoka.sessions.setup import SessionSetup


class Writes:
    """The half of the context manager that decides what is to be written."""

    setup: SessionSetup
    state: SessionState

    if TYPE_CHECKING:

        def write(
            self,
            drafts: Sequence[Draft],
            key: str | None,
            answer: Callable[[list[Entry]], Any],
            *,
            wakes: bool = True,
        ) -> Any: ...

        def may_be_suspended(self) -> bool: ...

        def turn_is_over(self, error: str | None, **more: Any) -> list[Draft]: ...

        def turn_is_interrupted(self, *, may_go_on: bool) -> tuple[list[Draft], ask.Prompt | None]: ...

        def unless_done(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], Any]) -> Any: ...

    # --- history ---------------------------------------------------------------------------------------------

    def add_message(self, message: ask.AddMessage) -> Any:
        """One message. The same key with the same content answers the same message for ever."""
        data = {
            "id": f"message_{self.setup.house.world.new_id()}",
            "role": message.role,
            "content": message.content,
            "metadata": message.metadata,
        }

        def answer(entries: list[Entry]) -> Message:
            entry = entries[-1]
            if entry.data is data:
                return self.state.messages[-1]
            same = entry.type == EventType.CONVERSATION_ADDED and all(
                entry.data.get(name) == data[name] for name in ("role", "content", "metadata")
            )
            if not same:
                raise IdempotencyConflict(key=message.key, seq=entry.seq)
            return message_of(self.setup.session_id, entry)

        return self.write([(EventType.CONVERSATION_ADDED, data)], message.key, answer)

    def clear_history(self, message: ask.ClearHistory) -> Any:
        """Start afresh. What was said stays in the journal."""
        return self.write([(EventType.CONVERSATION_CLEARED, {})], message.key, _nothing)

    # --- metadata --------------------------------------------------------------------------------------------

    def update_metadata(self, message: ask.UpdateMetadata) -> Any:
        """RFC 7396, and one version more."""
        version = self.state.version
        if message.expected_version is not None and message.expected_version != version:
            refusal = VersionConflict(
                self.setup.session_id, current_version=version, expected_version=message.expected_version
            )
            return self.unless_done(message.key, refusal, lambda _: self.state.info())
        data = {"part": "metadata", "patch": message.patch, "version": version + 1}
        return self.write([(EventType.CONTEXT_UPDATED, data)], message.key, lambda _: self.state.info())

    # --- files -----------------------------------------------------------------------------------------------

    def add_file(self, message: ask.AddFile) -> Any:
        """Once each; the oldest goes when there are too many."""
        files = self.state.files
        if any(file.path == message.path for file in files):
            return list(files)
        drafts: list[Draft] = []
        if len(files) >= self.setup.config.max_files:
            drafts.extend((EventType.FILE_REMOVED, {"path": file.path}) for file in files[: self._too_many_files()])
        drafts.append((EventType.FILE_ADDED, {"path": message.path}))
        return self.write(drafts, None, lambda _: list(self.state.files))

    def _too_many_files(self) -> int:
        return len(self.state.files) - self.setup.config.max_files + 1

    def remove_file(self, message: ask.RemoveFile) -> Any:
        """Out of the active files, and out of the index."""
        known = any(file.path == message.path for file in self.state.files) or message.path in self.state.file_index
        if not known:
            return list(self.state.files)
        self.setup.house.files.invalidate_file(message.path, session_id=self.setup.session_id)
        return self.write([(EventType.FILE_REMOVED, {"path": message.path})], None, lambda _: list(self.state.files))

    def index_file(self, message: ask.IndexFile) -> Any:
        """Merges into what is known of a file."""
        data = {"part": "file_index", "path": message.path, "metadata": message.metadata}

        def answer(_: list[Entry]) -> dict[str, dict[str, Any]]:
            return {path: dict(found) for path, found in self.state.file_index.items()}

        return self.write([(EventType.CONTEXT_UPDATED, data)], message.write_key, answer)

    # --- working context -------------------------------------------------------------------------------------

    def put_working(self, message: ask.PutWorking) -> Any:
        """A value under a key."""
        if message.key not in self.state.working and len(self.state.working) >= self.setup.config.max_context_items:
            raise InvalidMessage(f"the working context is full: {len(self.state.working)} keys")
        data = {"part": "working_context", "op": "put", "key": message.key, "value": message.value}
        return self.write([(EventType.CONTEXT_UPDATED, data)], message.write_key, _nothing)

    def delete_working(self, message: ask.DeleteWorking) -> Any:
        """Forget a key. Fine when it is not there."""
        if message.key not in self.state.working:
            return None
        data = {"part": "working_context", "op": "delete", "key": message.key}
        return self.write([(EventType.CONTEXT_UPDATED, data)], None, _nothing)

    # --- status ----------------------------------------------------------------------------------------------

    def status_draft(self, status: SessionStatus, **more: Any) -> Draft:
        """The entry for a legal move. Raises InvalidTransition."""
        previous = self.state.status
        move(previous, status)
        return status_draft(status, previous, **more)

    def begin_ending(self, message: ask.BeginEnding) -> Any:
        """No more writes; the manager takes the actors down and writes the last word."""
        if self.state.status is SessionStatus.TERMINATING:
            return None
        drafts = self.turn_is_over("the session is terminated")
        drafts.append(
            self.status_draft(
                SessionStatus.TERMINATING, reason=message.reason, **({"purge": True} if message.purge else {})
            )
        )
        return self.write(drafts, None, _nothing, wakes=False)

    def suspend(self, message: ask.Suspend) -> Any:
        """The state stays; the actors may go. Raises TurnInProgress."""
        if self.state.status is SessionStatus.SUSPENDED:
            # Said before, by somebody who was not there any more to end the actors.
            return True
        if message.is_automatic and not self.may_be_suspended():
            return False
        if self.state.turn is not None:
            raise TurnInProgress(self.setup.session_id)
        drafts: list[Draft] = [self.status_draft(SessionStatus.SUSPENDED), (EventType.SESSION_SUSPENDED, {})]
        return self.write(drafts, None, lambda _: True, wakes=False)

    def wake(self, message: ask.Wake) -> Any:
        """Back to work."""
        status = self.state.status
        if status is SessionStatus.ACTIVE:
            return None
        if status is SessionStatus.IDLE:
            return self.write([], None, _nothing)
        return self._decided("approve", "resumed", message.by, text=None)

    def halt(self, message: ask.Halt) -> Any:
        """Stop the line: nothing of the turn takes effect until a person has decided."""
        if self.state.status is SessionStatus.WAITING_INPUT:
            return False
        drafts: list[Draft] = [
            status_draft(SessionStatus.WAITING_INPUT, SessionStatus.ACTIVE),
            (EventType.SESSION_HALTED, {"reason": message.reason, "evidence": message.evidence}),
        ]
        return self.write(drafts, None, lambda _: True)

    def decide(self, message: ask.Decide) -> Any:
        """A person has looked: does the turn go on? Raises InvalidTransition when nothing waits."""
        if self.state.status is not SessionStatus.WAITING_INPUT:
            return self.unless_done(message.key, self._nothing_waits(), _nothing)
        return self._decided(message.decision, message.note, message.by, message.key)

    def _decided(self, decision: str, note: str | None, by: str | None, key: str | None = None, **more: Any) -> Any:
        drafts: list[Draft] = [
            (EventType.DECISION_RECORDED, {"decision": decision, "note": note, "by": by, **more}),
            self.status_draft(SessionStatus.ACTIVE),
        ]
        return self.write(drafts, key, _nothing)

    def take_input(self, message: ask.TakeInput) -> Any:
        """What a person says to a turn that waits."""
        if self.state.status is not SessionStatus.WAITING_INPUT:
            return self.unless_done(message.key, self._nothing_waits(), _nothing)
        said: dict[str, Any] = {
            "id": f"message_{self.setup.house.world.new_id()}",
            "role": "user",
            "content": message.text,
            "metadata": {},
        }
        drafts: list[Draft] = [
            (EventType.CONVERSATION_ADDED, said),
            (EventType.DECISION_RECORDED, {"decision": "approve", "note": "input", "by": None, "text": message.text}),
            self.status_draft(SessionStatus.ACTIVE),
        ]
        return self.write(drafts, message.key, _nothing)

    def _nothing_waits(self) -> InvalidTransition:
        return InvalidTransition(status=self.state.status, target=SessionStatus.ACTIVE)

    def orchestrator_back(self, message: ask.OrchestratorBack) -> Any:
        """Whatever the orchestrator's earlier incarnation was doing is over, or this one is to go on with it."""
        self.setup.house.restarts += 1
        drafts, unfinished = self.turn_is_interrupted(may_go_on=True)
        drafts.append((EventType.CHILD_RESTARTED, {"child": "orchestrator", "restarts": message.restarts}))
        return self.write(drafts, None, lambda _: unfinished)


def _nothing(_: list[Entry]) -> None:
    return None
