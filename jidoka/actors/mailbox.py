"""A mailbox that costs nothing while it is empty: nothing, then one message, then a deque."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]  # what `ref.stop()` sends

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot

Envelope = tuple[Any, "Slot | None"]
Mail = Envelope | deque[Envelope] | None

# Stands for a message that is not in the mailbox any more: the actor had it in hand.
HANDLED = object()

# Messages that Pykka's refs and proxies send.
PYKKA = frozenset((ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr))


def count(mail: Mail) -> int:
    """How many messages wait."""
    return 0 if mail is None else len(mail) if isinstance(mail, deque) else 1


def listed(mail: Mail) -> list[Envelope]:
    """The messages that wait, first one first."""
    if mail is None:
        return []
    return list(mail) if isinstance(mail, deque) else [mail]


def packed(envelopes: list[Envelope]) -> Mail:
    """A mailbox that holds *envelopes*."""
    if len(envelopes) > 1:
        return deque(envelopes)
    return envelopes[0] if envelopes else None


def with_one_before(mail: Mail, envelope: Envelope) -> Mail:
    """*mail* with *envelope* as the next, whatever the bound."""
    if isinstance(mail, deque):
        mail.appendleft(envelope)
        return mail
    return packed([envelope, *listed(mail)])


def with_one_more(mail: Mail, envelope: Envelope) -> Mail:
    """*mail* with *envelope* at its end, whatever the bound."""
    if isinstance(mail, deque):
        mail.append(envelope)
        return mail
    return packed([*listed(mail), envelope])
