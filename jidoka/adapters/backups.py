"""Backups: a store as one SQLite file, and such a file as a store again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from anyio import to_thread

from jidoka.adapters import sqlite_file
from jidoka.adapters.copying import Copied, Progress, copy_sessions, nobody, refuse_damaged, restore_sessions
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.errors import InvalidMessage
from jidoka.ports.sealing import Keyring, is_encrypted, keyring_of
from jidoka.ports.store import Store


async def back_up(source: Store, file: Path, *, progress: Progress = nobody) -> Copied:
    """All of *source*, an open store, as *file*: whole, or not there at all. Others may write to it meanwhile.

    Of a SQLite store it is one moment, with whatever is damaged in it; of another kind it is, of each journal, what was
    committed when its turn came, without those that cannot be read. What is encrypted stays so, with the same master
    keys. Raises InvalidMessage where there is a *file*.
    """
    if isinstance(source, SQLiteStore):
        await source.backup(file)
        return Copied(sessions=await _count(source.beside(file)))
    with _place_beside(file) as place:
        return await _written(source, file, Path(place), keyring_of(source).anew(), progress)


async def _written(source: Store, file: Path, place: Path, keyring: Keyring, progress: Progress) -> Copied:
    unfinished = SQLiteStore(place / f"{file.name}.unfinished", durability="process", keyring=keyring)
    await unfinished.open()
    try:
        copied = await copy_sessions(source, unfinished, progress=progress)
        await unfinished.backup(file)
    finally:
        await unfinished.close()
    return copied


def _place_beside(file: Path) -> TemporaryDirectory[str]:
    """Where *file* is made. Raises InvalidMessage where there is one already."""
    if file.exists():
        raise InvalidMessage(f"there is a {file} already", field="target")
    with sqlite_file.translated(file):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent)


def backup_of(source: Store, file: Path) -> Store:
    """The *file* that `back_up` has made of *source*, to be opened and looked at."""
    if isinstance(source, SQLiteStore):
        return source.beside(file)
    return SQLiteStore(file, read_only=True, keyring=keyring_of(source).anew())


async def restore(backup: Store, target: Store, *, progress: Progress = nobody) -> int:
    """All of *backup*, an open store that has been examined, into *target*, which is not open; how many sessions.

    A SQLite file that is not there yet appears as a whole, with everything that the backup has. Any other store has to
    be empty, and gets the journals with their seqs, epochs and keys, in order of arrival; if that fails it is empty
    again, unless this process is killed. Raises InvalidMessage where there are sessions already, and where *backup* is
    encrypted and *target* would not be.
    """
    if is_encrypted(backup) and not is_encrypted(target):
        why = "the backup is encrypted, and the store would not be: say which key, as ?key=env:NAME or ?key=file:PATH"
        raise InvalidMessage(why, field="store")
    if isinstance(target, SQLiteStore) and await to_thread.run_sync(_is_new, target.path):
        return await _restore_whole(backup, target, progress)
    await target.open()
    try:
        return await restore_sessions(backup, target, progress=progress)
    finally:
        await target.close()


async def _restore_whole(backup: Store, target: SQLiteStore, progress: Progress) -> int:
    with _place_beside(target.path) as place:
        draft = Path(place) / target.path.name
        if is_encrypted(backup) == is_encrypted(target):
            await back_up(backup, draft, progress=progress)
        else:
            refuse_damaged(await _written(backup, draft, Path(place), target.keyring.anew(), progress))
        # Raises StoreUnavailable where the keys of one are not those of the other.
        unfinished = target.beside(draft)
        await unfinished.open()
        try:
            await unfinished.backup(target.path)
            return sum((await unfinished.count()).values())
        finally:
            await unfinished.close()


def _is_new(path: Path) -> bool:
    return not path.exists()


async def _count(store: Store) -> int:
    await store.open()
    try:
        return sum((await store.count()).values())
    finally:
        await store.close()
