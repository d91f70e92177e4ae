"""Encryption at rest: each session has a key of its own, wrapped by a master key that never touches the store.

Records are sealed with AES-256-GCM. Session and place are associated data, so that a record is only ever read where it
was written. Only here cryptography.
"""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jidoka.core.coding import broken
from jidoka.core.errors import InvalidMessage, StoreUnavailable
from jidoka.ports.sealing import Seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE: Final = 12
KEY_BYTES: Final = 32
_ID = 4
# Seals of sessions that are kept at hand.
_MOST: Final = 10_000


class SessionSeal:
    """One session's key at work."""

    __slots__ = ("_cipher", "_session_id")

    def __init__(self, session_id: str, cipher: AESGCM) -> None:
        self._session_id = session_id
        self._cipher = cipher

    def seal(self, place: str, plain: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, self._about(place))

    def unseal(self, place: str, kept: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(kept[:NONCE], kept[NONCE:], self._about(place))
        except (InvalidTag, ValueError) as error:
            seq = int(place) if place.isdecimal() else None
            raise broken(self._session_id, seq, seq, "cannot be decrypted") from error

    def _about(self, place: str) -> bytes:
        return f"{self._session_id}/{place}".encode()


class MasterKeys:
    """A `Keyring`. The first of *keys* wraps what is new; the others open what they have wrapped before."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise InvalidMessage(f"a master key has {KEY_BYTES} bytes, in base64", field="key")
        self._keys: Mapping[bytes, bytes] = {_id_of(key): key for key in keys}
        self._current = _id_of(keys[0])
        self._secret = b""
        self._seals: dict[tuple[str, bytes], SessionSeal] = {}
        # What is missing is said here, and not at the first message.
        _cipher(keys[0])

    def __repr__(self) -> str:
        return f"<MasterKeys: {len(self._keys)}>"

    @property
    def secret(self) -> bytes:
        return self._secret

    @property
    def mark(self) -> bytes:
        return self._current

    def unlock(self, kept: bytes | None, *, is_new: bool) -> bytes | None:
        if kept is None:
            if not is_new:
                raise StoreUnavailable("the store is not encrypted, and has sessions: restore a backup into a new one")
            self._secret = os.urandom(KEY_BYTES)
            return self._wrapped(self._secret)
        secret = self._unwrapped(kept)
        if secret is None:
            raise StoreUnavailable("the store is encrypted with another key")
        self._secret = secret
        return None if kept.startswith(self.mark) else self._wrapped(secret)

    def new(self, session_id: str) -> tuple[Seal, bytes | None]:
        key = os.urandom(KEY_BYTES)
        return SessionSeal(session_id, _cipher(key)), self._wrapped(key)

    def open(self, session_id: str, wrapped: bytes | None) -> Seal:
        seal = self._seals.get((session_id, wrapped or b""))
        if seal is None:
            key = None if wrapped is None else self._unwrapped(wrapped)
            if key is None:
                raise broken(session_id, None, None, "there is no key for it")
            if len(self._seals) >= _MOST:
                self._seals.clear()
            seal = self._seals[session_id, wrapped or b""] = SessionSeal(session_id, _cipher(key))
        return seal

    def wrapped_anew(self, session_id: str, wrapped: bytes) -> bytes:
        key = self._unwrapped(wrapped)
        if key is None:
            raise broken(session_id, None, None, "there is no key for it")
        return self._wrapped(key)

    def anew(self) -> MasterKeys:
        return MasterKeys(list(self._keys.values()))

    def _wrapped(self, key: bytes) -> bytes:
        from cryptography.hazmat.primitives.keywrap import aes_key_wrap

        return self._current + aes_key_wrap(self._keys[self._current], key)

    def _unwrapped(self, wrapped: bytes) -> bytes | None:
        from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

        master = self._keys.get(wrapped[:_ID])
        try:
            return None if master is None else aes_key_unwrap(master, wrapped[_ID:])
        except (InvalidUnwrap, ValueError):
            return None


def _id_of(key: bytes) -> bytes:
    return blake2b(key, digest_size=_ID, person=b"jidoka key id").digest()


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise InvalidMessage("encryption needs: pip install 'jidoka[encryption]'", field="key") from error
    return AESGCM(key)


def keys_from(source: str, environment: Mapping[str, str] = os.environ) -> MasterKeys:
    """The keys that *source* names: `env:NAME` or `file:PATH`.

    A line each, base64 of 32 bytes; the first is the newest. Raises InvalidMessage, which never says what it was given.
    """
    kind, _, name = source.partition(":")
    if kind == "env" and name:
        if name not in environment:
            raise InvalidMessage(f"there is no environment variable {name}", field="key")
        text = environment[name]
    elif kind == "file" and name:
        text = _read(Path(name))
    else:
        raise InvalidMessage("a key is named, as env:NAME or file:PATH; it never stands in a URL", field="key")
    try:
        return MasterKeys([b64decode(line, altchars=b"-_", validate=True) for line in text.split()])
    except Base64Error as error:
        raise InvalidMessage(f"{kind}:{name} has a line that is not base64", field="key") from error


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise InvalidMessage(f"{path} can be read by others: chmod 600 {path}", field="key")
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMessage(f"{path} cannot be read: {type(error).__name__}", field="key") from error
