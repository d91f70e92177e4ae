"""A session as a program holds it: a cheap handle that keeps no state, only an id and the way in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from jidoka.births import fork_of
from jidoka.core import checks
from jidoka.core.context import PARTS
from jidoka.core.documents import export_document
from jidoka.core.errors import InvalidMessage, SessionNotFound, SessionTerminated
from jidoka.core.status import SessionStatus
from jidoka.core.workspaces import parts_of
from jidoka.sessions import requests as ask
from jidoka.sessions.files import file_text
from jidoka.sessions.poison import again
from jidoka.sessions.stream import TurnStream

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from jidoka.actors.ref import ActorRef
    from jidoka.actors.specs import ChildInfo
    from jidoka.actors.supervisor_ref import SupervisorRef
    from jidoka.core.heads import Head
    from jidoka.core.ledger import SessionUsage
    from jidoka.core.letters import DeadLetter
    from jidoka.core.messages import ActiveFile, Context, ContextStats, Message, SessionInfo
    from jidoka.hub.subscription import Subscription
    from jidoka.sessions.door import Door


def several(names: Any) -> Any:
    """What can be gone through once only, as a list. The rest as it is: it is looked at where it is used."""
    return list(cast("Iterator[Any]", names)) if isinstance(names, Iterator) else names


class Session:
    """One conversation. Every method raises SessionNotFound, SessionTerminated or SessionFailed where that is so."""

    __slots__ = ("_door", "id")

    def __init__(self, session_id: str, door: Door) -> None:
        self.id = session_id
        self._door = door

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # --- how it is -------------------------------------------------------------------------------------------

    async def info(self) -> SessionInfo:
        """How the session is, as its journal says. Does not wake it."""
        return (await self._head()).info()

    async def _head(self) -> Head:
        checks.session_id(self.id)
        head = await self._door.house.store.head(self.id)
        if head is None:
            raise SessionNotFound(self.id)
        return head

    async def update(self, *, metadata: dict[str, Any], expected_version: int | None = None) -> SessionInfo:
        """Merge *metadata* (RFC 7396). Raises VersionConflict when *expected_version* is not the present one."""
        metadata = checks.json_object(metadata, field="metadata")
        checks.version(expected_version)
        return await self._context(ask.UpdateMetadata(metadata, expected_version, self._door.new_key()))

    async def terminate(self, *, reason: str = "requested", purge: bool = False) -> None:
        """End the session. The history is kept unless *purge*. Fine when it has ended already."""
        checks.session_id(self.id)
        checks.text(reason, field="reason")
        await self._door.terminate(self.id, reason, purge=purge)

    async def suspend(self) -> SessionInfo:
        """Free the memory, keep the state. Raises TurnInProgress, InvalidTransition."""
        checks.session_id(self.id)
        await self._door.manager(ask.SuspendSession(self.id))
        return await self.info()

    async def resume(self) -> SessionInfo:
        """Back to work: out of suspension, idleness, a halt, or a failure (then with a new incarnation)."""
        checks.session_id(self.id)
        await self._door.manager(ask.Activate(self.id, resume=True))
        await self._context(ask.Wake())
        return await self.info()

    async def fork(self, *, at: int | None = None, metadata: dict[str, Any] | None = None) -> Session:
        """A new session with this one's journal up to entry *at* (default: all of it)."""
        checks.session_id(self.id)
        return Session(await fork_of(self.id, self._door, at=at, metadata=metadata), self._door)

    async def export(self) -> dict[str, Any]:
        """A JSON document that `Client.import_session` takes. Works on ended sessions too."""
        head = await self._head()
        return export_document(head, await self._door.house.store.read(self.id, limit=head.seq))

    # --- history ---------------------------------------------------------------------------------------------

    async def send_message(
        self, role: str, content: str, *, metadata: dict[str, Any] | None = None, idempotency_key: str | None = None
    ) -> Message:
        """Add a message. It is committed when this returns. Raises InvalidRole, InvalidMessage, IdempotencyConflict.

        With an *idempotency_key* the same message is added once, however often it is sent.
        """
        checks.role(role)
        checks.content(content)
        known = checks.json_object(metadata, field="metadata")
        key = checks.idempotency_key(idempotency_key) or self._door.new_key()
        return await self._context(ask.AddMessage(role, content, known, key))

    async def get_history(self, *, after: int = 0, limit: int | None = None) -> list[Message]:
        """The messages with a `seq` above *after*, ascending; *limit* keeps the newest."""
        checks.after(after)
        if limit is not None:
            checks.count(limit, field="limit", least=1)
        return await self._context(ask.ReadHistory(after, limit))

    async def clear_history(self) -> None:
        """Start afresh. The journal keeps what was said."""
        await self._context(ask.ClearHistory(self._door.new_key()))

    # --- turns -----------------------------------------------------------------------------------------------

    async def prompt(
        self, content: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> Message:
        """One turn of the session's model; the final message. A caller that goes away does not end the turn.

        Raises TurnInProgress, TurnCancelled, TurnFailed, ModelNotFound, CallTimeout after *timeout* seconds.
        """
        return await self._door.orchestrator(self.id, self._prompt(content, idempotency_key, timeout))

    def _prompt(self, content: str, key: str | None, timeout: float | None) -> ask.Prompt:
        checks.session_id(self.id)
        checks.content(content)
        checks.timeout(timeout)
        if key is not None:
            checks.idempotency_key(key)
        turn_id = f"turn_{key}" if key is not None else f"turn_{self._door.house.world.new_id()}"
        return ask.Prompt(turn_id, content, timeout)

    async def begin_turn(
        self, content: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> str:
        """Begin a turn, and leave it to the session: its id, once it is in the journal.

        `subscribe(after=…)` tells how it goes, from any point on and however often; `prompt` with the same
        *idempotency_key* waits for its answer. Raises what `prompt` raises before the model is called.
        """
        prompt = replace(self._prompt(content, idempotency_key, timeout), is_detached=True)
        await self._door.orchestrator(self.id, prompt)
        return prompt.turn_id

    async def usage(self) -> SessionUsage:
        """Tokens and costs of this session's turns, in all and by model."""
        return await self._context(ask.ReadUsage())

    @asynccontextmanager
    async def stream(
        self, content: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> AsyncGenerator[TurnStream]:
        """One turn, piece by piece: `async with session.stream(…) as turn: async for text in turn`.

        `turn.message` is the final message. Leaving before the end cancels the turn.
        """
        turn = await self._door.begin_stream(self.id, self._prompt(content, idempotency_key, timeout))
        try:
            yield turn
        finally:
            await turn.close()

    async def cancel_turn(self) -> bool:
        """End the turn that is running. False when there is none."""
        checks.session_id(self.id)
        return await self._door.orchestrator(self.id, ask.CancelTurn())

    async def send_input(self, text: str) -> None:
        """Answer a turn that is `waiting_input`. Raises InvalidTransition when none is."""
        checks.content(text, field="text")
        await self._context(ask.TakeInput(text, self._door.new_key()))

    async def halt(self, *, reason: str) -> SessionInfo:
        """Stop the line: the turn takes no effect before somebody has decided."""
        checks.text(reason, field="reason")
        checks.session_id(self.id)
        await self._door.at_once(self.id, ask.Halt(reason, {}))
        return await self.info()

    async def approve(self, *, decision: str, note: str | None = None, by: str | None = None) -> SessionInfo:
        """Decide about a halted turn: "approve" or "reject". Raises InvalidTransition when nothing waits.

        A call of a tool that is rejected is not made, and the model hears so; so does a model that has asked. Any other
        turn that is rejected is cancelled.
        """
        checks.decision(decision)
        if note is not None:
            checks.text(note, field="note")
        await self._context(ask.Decide(decision, note, checks.owner(by), self._door.new_key()))
        return await self.info()

    # --- files and the working context -------------------------------------------------------------------------

    async def add_file(self, path: str) -> list[ActiveFile]:
        """Into the active files, once; the oldest goes when there are too many."""
        return await self._context(ask.AddFile(checks.path(path)))

    async def remove_file(self, path: str) -> list[ActiveFile]:
        """Out of the active files and the file index."""
        return await self._context(ask.RemoveFile(checks.path(path)))

    async def get_active_files(self) -> list[ActiveFile]:
        """The active files, oldest first."""
        return await self._context(ask.ReadFiles())

    async def update_file_index(self, path: str, metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Merge *metadata* into what is known of a file."""
        path = checks.path(path)
        found = checks.json_object(metadata, field="metadata")
        return await self._context(ask.IndexFile(path, found, self._door.new_key()))

    async def get_file_index(self) -> dict[str, dict[str, Any]]:
        """What is known of each file, and when it was last accessed."""
        return await self._context(ask.ReadFileIndex())

    async def read_file(self, path: str) -> str:
        """The text of a file in the session's workspace. Read again only when it has changed.

        *path* leads down from the workspace. Raises InvalidPath, FileUnreadable, WorkspaceUnavailable, and
        InvalidMessage when the session has no workspace.
        """
        path = "/".join(parts_of(checks.path(path)))
        return await file_text(self._door.house, self.id, await self._context(ask.ReadWorkspace()), path)

    async def put_context(self, key: str, value: Any) -> None:
        """Keep a JSON value in the working context. Raises InvalidMessage when it is full."""
        checks.context_key(key)
        value = checks.json_value(value, field="value")
        await self._context(ask.PutWorking(key, value, self._door.new_key()))

    async def get_context(self, key: str) -> Any:
        """The value under *key*, or None."""
        checks.context_key(key)
        return await self._context(ask.ReadWorking(key))

    async def delete_context(self, key: str) -> None:
        """Forget *key*. Fine when it is not there."""
        checks.context_key(key)
        await self._context(ask.DeleteWorking(key))

    async def context_keys(self) -> list[str]:
        """The keys of the working context, sorted."""
        return await self._context(ask.ReadWorkingKeys())

    async def build_context(
        self,
        include: Iterable[str] = PARTS,
        *,
        max_messages: int | None = None,
        max_files: int | None = None,
        max_tokens: int | None = None,
    ) -> Context:
        """What the model sees: the newest of each that fits."""
        parts = several(include)
        if isinstance(parts, str) or not isinstance(parts, Collection):
            raise InvalidMessage("a context is built of several parts, by name", field="include")
        for name, value in (("max_messages", max_messages), ("max_files", max_files), ("max_tokens", max_tokens)):
            if value is not None:
                checks.count(value, field=name)
        named = tuple(cast("Collection[str]", parts))
        return await self._context(ask.BuildContext(named, max_messages, max_files, max_tokens))

    async def context_stats(self) -> ContextStats:
        """How much there is, and how much of the budget it takes."""
        return await self._context(ask.ReadStats())

    # --- what could not be done ------------------------------------------------------------------------------

    async def dead_letters(self) -> list[DeadLetter]:
        """Requests that crashed their handler again and again, oldest first. None of them took effect."""
        return await self._context(ask.ReadLetters())

    async def requeue(self, letter_id: str) -> Any:
        """Try a dead letter once more; the answer of what was called. Its letter is gone when this returns.

        Raises InvalidMessage when there is no such letter, ActorRestarted when it crashes again: then it stays.
        """
        checks.text(letter_id, field="letter_id")
        letters = {letter.id: letter for letter in await self.dead_letters()}
        request = again(letters[letter_id]) if letter_id in letters else None
        if request is None:
            raise InvalidMessage(f"no dead letter {letter_id!r:.80} can be requeued", field="letter_id")
        answer = await self._context(request)
        with suppress(InvalidMessage):
            # Somebody else may have had the same idea.
            await self._context(ask.RemoveLetter(letter_id, "it was requeued", self._door.new_key()))
        return answer

    async def discard(self, letter_id: str) -> None:
        """Give a dead letter up. The journal keeps it. Raises InvalidMessage when there is none of that id."""
        checks.text(letter_id, field="letter_id")
        await self._context(ask.RemoveLetter(letter_id, "it was discarded", self._door.new_key()))

    # --- events and actors -----------------------------------------------------------------------------------

    def subscribe(
        self, *, after: int | None = None, types: Iterable[str] | None = None, max_buffer: int = 1000
    ) -> AbstractAsyncContextManager[Subscription]:
        """Everything that happens to this session, in one order. `after=N` replays from N+1, then goes live."""
        checks.session_id(self.id)
        return self._door.house.hub.subscribe(self.id, after=after, types=several(types), max_buffer=max_buffer)

    async def which_children(self) -> list[ChildInfo]:
        """The session's actors, in start order. None while it is suspended."""
        checks.session_id(self.id)
        ref = self._door.house.registry.supervisor(self.id)
        if ref is None:
            await self._refuse_ended()
            return []
        return await ref.which_children()

    async def _refuse_ended(self) -> None:
        head = await self._head()
        if head.status is SessionStatus.TERMINATED:
            raise SessionTerminated(self.id)

    async def get_ref(self) -> SupervisorRef:
        """The ref of the session's supervisor. Resumes a suspended session."""
        checks.session_id(self.id)
        return await self._door.supervisor(self.id)

    async def get_llm_agent_ref(self) -> ActorRef[Any]:
        """The ref of the session's orchestrator. Resumes a suspended session."""
        checks.session_id(self.id)
        return await self._door.ref(self.id, "orchestrator")

    async def _context(self, request: Any) -> Any:
        checks.session_id(self.id)
        return await self._door.context(self.id, request)
