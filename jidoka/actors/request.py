"""Messages that know the type of their answer."""

from typing import Any, ClassVar, Generic, TypeVar, cast

T_co = TypeVar("T_co", covariant=True)


class Request(Generic[T_co]):
    """Base of a message whose answer is a `T_co`, so that `await ref.call(message)` has a static type.

    `durable` calls that wait in the mailbox when their actor crashes are kept for its next incarnation; the
    others are answered `ActorRestarted` at once. The one being handled is never repeated.
    """

    __slots__ = ()
    durable: ClassVar[bool] = False


def is_durable(message: object) -> bool:
    """Whether a call with *message* outlives a crash of the actor that has not come to it yet."""
    return isinstance(message, Request) and cast("Request[Any]", message).durable
