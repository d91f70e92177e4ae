"""Sessions as files of seed 001: `<directory>/<id>.json`, each with history and metadata of one session.

For programs that keep their own history, and for exchange with others; jidoka's own sessions live in a `Store`.
The names are seed 001's. What it got wrong is not repeated: a damaged file is not taken for a new session, a file is
never half written, and an id cannot lead out of the directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import anyio.to_thread
from anyio import CapacityLimiter

from jidoka.adapters.safe_directory import Folder, open_directory
from jidoka.core import checks
from jidoka.core.document_parts import id_or_none
from jidoka.core.errors import CorruptRecord
from jidoka.core.seed_documents import read_session_file, session_file_stats, write_session_file
from jidoka.ports.world import SystemWorld, World

T = TypeVar("T")
Args = TypeVarTuple("Args")

ENDING = ".json"


class SessionFiles:
    """A directory of them. It is made, for its owner only, when the first session is saved.

    Raises InvalidSessionId; StorageFull and StoreUnavailable when the disk is; CorruptRecord for a damaged file, which
    is then in the directory's `quarantine` and speaks for its session until another has been saved on purpose.
    """

    def __init__(
        self,
        session_dir: str | os.PathLike[str] = "sessions",
        *,
        max_context_tokens: int = 120_000,
        world: World | None = None,
    ) -> None:
        self.session_dir = Path(session_dir)
        self.max_context_tokens = checks.count(max_context_tokens, field="max_context_tokens", least=1)
        self._world = world or SystemWorld()
        # One at a time, and none of the threads that others wait for.
        self._limiter = CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<SessionFiles {self.session_dir}>"

    async def save_session(
        self,
        session_id: str,
        conversation_history: Sequence[Mapping[str, Any]],
        metadata: Mapping[str, Any] | None = None,
        *,
        replace_damaged: bool = False,
    ) -> None:
        """Durable when this returns; until then the file is what it was before.

        A session whose file is damaged is refused with CorruptRecord, unless *replace_damaged*: the damaged file stays
        in the quarantine. What is no plain file is never replaced. Raises InvalidMessage, InvalidRole for what is no
        history.
        """
        checks.session_id(session_id)
        content = write_session_file(session_id, conversation_history, metadata, saved_at=self._world.now())
        await self._on_a_thread(self._save, session_id, content, replace_damaged)

    async def load_session(self, session_id: str) -> dict[str, Any] | None:
        """session_id, conversation_history, metadata, saved_at. None when there is no such session."""
        checks.session_id(session_id)
        return await self._on_a_thread(self._load, session_id)

    async def list_sessions(self) -> list[str]:
        """The ids, sorted. Whether the files are sound shows when they are loaded."""
        return await self._on_a_thread(self._list)

    async def delete_session(self, session_id: str, *, quarantined: bool = False) -> None:
        """Fine when it is not there. What is left of damaged files of it goes only if *quarantined*."""
        checks.session_id(session_id)
        await self._on_a_thread(self._delete, session_id, quarantined)

    async def get_session_stats(self, session_id: str) -> dict[str, Any]:
        """How full it is: see `seed_documents.session_file_stats`. Empty when there is no such session."""
        found = await self.load_session(session_id)
        return {} if found is None else session_file_stats(found, max_context_tokens=self.max_context_tokens)

    async def _on_a_thread(self, work: Callable[[*Args], T], *args: *Args) -> T:
        return await anyio.to_thread.run_sync(work, *args, limiter=self._limiter)

    # --- on a thread ----------------------------------------------------------------------------

    def _save(self, session_id: str, content: bytes, replace_damaged: bool) -> None:
        with open_directory(self.session_dir, create=True) as folder:
            assert folder is not None
            with folder.locked():
                try:
                    _sound(folder, session_id)
                except CorruptRecord:
                    if not replace_damaged or folder.has(session_id + ENDING):
                        raise
                folder.write(session_id + ENDING, content)

    def _load(self, session_id: str) -> dict[str, Any] | None:
        with open_directory(self.session_dir) as folder:
            if folder is None:
                return None
            try:
                found = _read(folder, session_id)
            except CorruptRecord:
                found = None
            if found is not None:
                return found
            # Missing or damaged: once more while nobody writes.
            with folder.locked():
                return _sound(folder, session_id)

    def _list(self) -> list[str]:
        with open_directory(self.session_dir) as folder:
            names = [] if folder is None else folder.names()
            stems = (name.removesuffix(ENDING) for name in names if name.endswith(ENDING))
            return [stem for stem in stems if id_or_none(stem)]

    def _delete(self, session_id: str, quarantined: bool) -> None:
        with open_directory(self.session_dir) as folder:
            if folder is None:
                return
            with folder.locked():
                folder.remove(session_id + ENDING)
                if quarantined:
                    _forget(folder, session_id)


def _read(folder: Folder, session_id: str) -> dict[str, Any] | None:
    raw = folder.read(session_id + ENDING)
    return None if raw is None else read_session_file(raw, session_id)


def _sound(folder: Folder, session_id: str) -> dict[str, Any] | None:
    """What the file says; a damaged one is set aside. Only while the directory is locked. Raises CorruptRecord."""
    raw = folder.read(session_id + ENDING)
    if raw is None:
        _ask_the_quarantine(folder, session_id)
        return None
    try:
        return read_session_file(raw, session_id)
    except CorruptRecord as error:
        place = f"{folder.path / (session_id + ENDING)}, {error.place}"
        text = str(error).removeprefix(f"{error.place}: ")
        try:
            text += f"; moved to {folder.set_aside(session_id + ENDING)}"
        except OSError as refusal:
            text += f"; it stays where it is: {refusal.strerror or refusal}"
        raise CorruptRecord(text, place=place, session_id=session_id) from error


def _ask_the_quarantine(folder: Folder, session_id: str) -> None:
    with folder.quarantine() as kept:
        if kept is None:
            return
        for name in _quarantined(kept, session_id):
            text = "this is what is left of the session"
            raise CorruptRecord(text, place=str(kept.path / name), session_id=session_id)


def _quarantined(kept: Folder, session_id: str) -> list[str]:
    # No id has a dot in it.
    return [name for name in kept.names() if name.startswith(f"{session_id}.")]


def _forget(folder: Folder, session_id: str) -> None:
    with folder.quarantine() as kept:
        if kept is None:
            return
        for name in _quarantined(kept, session_id):
            kept.remove(name)
