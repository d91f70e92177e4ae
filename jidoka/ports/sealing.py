"""What stands between a journal and the bytes that a store keeps: nothing, or encryption."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jidoka.core.errors import InvalidMessage, StoreUnavailable


class Seal(Protocol):
    """One session's: turns what is to be kept into what is kept, and back."""

    def seal(self, place: str, plain: bytes) -> bytes:
        """*plain* as it is kept at *place*: `note`, `profile`, or the seq of an entry."""
        ...

    def unseal(self, place: str, kept: bytes) -> bytes:
        """The plain bytes again. Raises CorruptRecord when they are not what was sealed at that place."""
        ...


class Keyring(Protocol):
    """Makes the seals of sessions."""

    @property
    def secret(self) -> bytes:
        """Makes what is looked up (owners, keys, metadata) unreadable. Empty where nothing is hidden."""
        ...

    @property
    def mark(self) -> bytes:
        """What everything begins with that is wrapped today. Empty where nothing is."""
        ...

    def unlock(self, kept: bytes | None, *, is_new: bool) -> bytes | None:
        """Called once, with what the store has kept of this keyring: None if nothing, as when the store is new.

        Answers what the store is to keep instead; None if that has not changed. Raises StoreUnavailable when these
        are not the store's keys.
        """
        ...

    def new(self, session_id: str) -> tuple[Seal, bytes | None]:
        """The seal of a new session, and what the store keeps of it, wrapped."""
        ...

    def open(self, session_id: str, wrapped: bytes | None) -> Seal:
        """The seal of which the store has kept *wrapped*. Raises CorruptRecord."""
        ...

    def wrapped_anew(self, session_id: str, wrapped: bytes) -> bytes:
        """The same key, wrapped as it would be today. Raises CorruptRecord."""
        ...

    def anew(self) -> Keyring:
        """The same master keys, for another store, which has a secret of its own."""
        ...


@runtime_checkable
class Encryptable(Protocol):
    """A store that may be encrypted."""

    @property
    def keyring(self) -> Keyring:
        """What it is encrypted with."""
        ...

    async def rotate(self, *, after: int = 0, limit: int = 100) -> int | None:
        """Wrap the keys of the *limit* sessions that arrived next after *after* with the newest master key.

        The answer is where to go on; None after the last. Others go on meanwhile, and it may be stopped at any time
        and begun again. Raises InvalidMessage where nothing is encrypted, CorruptRecord for a session to which none
        of the keys belongs.
        """
        ...


class Open:
    """No encryption: the seal, and the keyring, of stores that hide nothing."""

    secret: bytes = b""
    mark: bytes = b""

    def unlock(self, kept: bytes | None, *, is_new: bool) -> bytes | None:
        if kept is not None:
            raise StoreUnavailable("the store is encrypted: say which key, as ?key=env:NAME or ?key=file:PATH")
        return None

    def seal(self, place: str, plain: bytes) -> bytes:
        return plain

    def unseal(self, place: str, kept: bytes) -> bytes:
        return kept

    def new(self, session_id: str) -> tuple[Seal, bytes | None]:
        return self, None

    def open(self, session_id: str, wrapped: bytes | None) -> Seal:
        return self

    def wrapped_anew(self, session_id: str, wrapped: bytes) -> bytes:
        return wrapped

    def anew(self) -> Keyring:
        return self


def keyring_of(store: object) -> Keyring:
    """What *store* is encrypted with."""
    return store.keyring if isinstance(store, Encryptable) else Open()


def is_encrypted(store: object) -> bool:
    """Whether nothing can be read in it without a key."""
    return bool(keyring_of(store).mark)


def encrypted(store: object) -> Encryptable:
    """*store*, which has keys to rotate. Raises InvalidMessage where it has none."""
    if not isinstance(store, Encryptable) or not store.keyring.mark:
        raise InvalidMessage("the store is not encrypted: there are no keys to rotate", field="store")
    return store
