"""Small actors that several tests use."""

from typing import Any

import anyio

from jidoka.actors.actor import Actor


class Echo(Actor):
    """Answers what it is told; raises what is an exception."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


class AsyncEcho(Actor):
    """The same, after a turn of the loop."""

    async def on_receive(self, message: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        if isinstance(message, BaseException):
            raise message
        return message


class Recorder(Actor):
    """Keeps what it is told."""

    def __init__(self, heard: list[Any] | None = None) -> None:
        super().__init__()
        self.heard: list[Any] = heard if heard is not None else []

    def on_receive(self, message: Any) -> Any:
        self.heard.append(message)
        return list(self.heard)


class Waiter(Actor):
    """Handles a message until the event in it is set, or for ever."""

    def __init__(self, log: list[str] | None = None) -> None:
        super().__init__()
        self.log: list[str] = log if log is not None else []

    async def on_receive(self, message: Any) -> Any:
        self.log.append("began")
        try:
            if isinstance(message, anyio.Event):
                await message.wait()
            else:
                await anyio.sleep_forever()
        finally:
            self.log.append("left")
        return "done"


class Tidy(Waiter):
    """A waiter that finishes what it is doing before it ends, and cleans up."""

    def on_stop(self) -> None:
        self.log.append(f"on_stop {self.exit_reason}")


class Stubborn(Actor):
    """Swallows its cancellation when it is told to hang, and stays until it is released; then it tells *other*."""

    def __init__(
        self, release: anyio.Event, other: Any = None, outcome: list[BaseException | None] | None = None
    ) -> None:
        super().__init__()
        self.release = release
        self.other = other
        self.outcome: list[BaseException | None] = outcome if outcome is not None else []

    async def on_receive(self, message: Any) -> Any:
        if message != "hang":
            return message
        try:
            await anyio.sleep_forever()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.release.wait()
        if self.other is not None:
            self.tell_the_other()
        return "too late"

    def tell_the_other(self) -> None:
        try:
            self.other.tell("from beyond")
            self.outcome.append(None)
        except BaseException as error:
            self.outcome.append(error)
