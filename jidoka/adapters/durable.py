"""What the stores that keep journals on disks have in common: requests, filters, and how a row is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from jidoka.core.chains import Unseal
from jidoka.core.coding import broken, hashed, micros
from jidoka.core.entries import Entry
from jidoka.core.headrows import Row, head_of
from jidoka.core.heads import Head
from jidoka.core.merge import has_members
from jidoka.core.status import SessionStatus
from jidoka.ports.sealing import Keyring, Open, Seal
from jidoka.ports.store import Statuses

# --- what a writer is asked to do -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    session_id: str
    entries: Sequence[Entry]
    expected_seq: int


@dataclass(frozen=True, slots=True)
class Adopt:
    session_id: str
    entries: Sequence[Entry]
    epoch: int


@dataclass(frozen=True, slots=True)
class Claim:
    session_id: str
    expected_epoch: int | None


@dataclass(frozen=True, slots=True)
class Purge:
    session_id: str


# --- what is found --------------------------------------------------------------------------------


class Found(NamedTuple):
    """A session's head, and what its row says besides."""

    head: Head
    last_sum: int
    profile_sum: int
    seal: Seal

    @property
    def unseal(self) -> Unseal | None:
        """What makes its entries readable; None where they are."""
        return None if isinstance(self.seal, Open) else self.seal.unseal


def found_in(columns: Sequence[Any], keyring: Keyring) -> Found:
    """The head in the columns of a `Row`, a profile and a wrapped key. Raises CorruptRecord."""
    *numbers, profile, wrapped = columns
    row = Row(*numbers)
    if profile is None:
        raise broken(row.session_id, None, None, "its metadata are missing")
    seal = keyring.open(row.session_id, wrapped)
    return Found(head_of(row, profile, unseal=seal.unseal), row.last_sum, row.profile_sum, seal)


# --- what a listing is to have in it --------------------------------------------------------------


class Wanted(NamedTuple):
    """The filters, as a database knows what it is asked for."""

    statuses: Collection[SessionStatus] | None
    owner: str | None
    metadata: Mapping[str, Any] | None
    quiet_before: int | None
    expired_before: int | None

    def matches(self, head: Head) -> bool:
        """What no index has said for certain."""
        return not self.metadata or has_members(head.metadata, self.metadata)


def wanted(
    status: Statuses | None,
    owner: str | None,
    metadata: Mapping[str, Any] | None,
    quiet_before: datetime | None,
    expired_before: datetime | None,
) -> Wanted:
    """The filters of `Store.heads`."""
    return Wanted(_several(status), owner, metadata, _bound(quiet_before), _bound(expired_before))


def _several(status: Statuses | None) -> Collection[SessionStatus] | None:
    if status is None:
        return None
    return {SessionStatus(status)} if isinstance(status, str) else {SessionStatus(one) for one in status}


def _bound(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def owner_key(owner: str | None, secret: bytes) -> str | None:
    """What stands for *owner* in the index."""
    return owner if owner is None or not secret else f"{hashed(owner, secret):x}"
