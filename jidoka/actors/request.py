"""Messages that know the type of their answer."""

from typing import ClassVar, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Request(Generic[T_co]):
    """Base of a message whose answer is a `T_co`, so that `await ref.call(message)` has a static type.

    `durable` calls that wait in the mailbox when their actor crashes are kept for its next incarnation; the
    others are answered `ActorRestarted` at once. The one being handled is never repeated.
    """

    __slots__ = ()
    durable: ClassVar[bool] = False
