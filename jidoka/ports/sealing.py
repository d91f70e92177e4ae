"""What stands between a journal and the bytes that a store keeps: nothing, or encryption."""

from __future__ import annotations

from typing import Protocol


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

    def new(self, session_id: str) -> tuple[Seal, bytes | None]:
        """The seal of a new session, and what the store keeps of it, wrapped."""
        ...

    def open(self, session_id: str, wrapped: bytes | None) -> Seal:
        """The seal of which the store has kept *wrapped*. Raises CorruptRecord."""
        ...


class Open:
    """No encryption: the seal, and the keyring, of stores that hide nothing."""

    secret: bytes = b""

    def seal(self, place: str, plain: bytes) -> bytes:
        return plain

    def unseal(self, place: str, kept: bytes) -> bytes:
        return kept

    def new(self, session_id: str) -> tuple[Seal, bytes | None]:
        return self, None

    def open(self, session_id: str, wrapped: bytes | None) -> Seal:
        return self
