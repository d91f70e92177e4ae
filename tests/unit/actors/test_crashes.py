"""Whatever a handler raises is the crash of one actor, and nothing more."""

import asyncio
import gc
import logging
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorRestarted
from jidoka.actors.exits import ExitReason, exit_of, text_of
from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from tests.unit.actors.actors_at_hand import Echo

BARE = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, BaseException, StopIteration]
ERRORS = [*BARE, StopAsyncIteration, MemoryError, RecursionError, Exception]


class Thrower(Actor):
    """Lives as long as nobody asks it to raise."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, type):
            raise message
        return self.restarts


class AsyncThrower(Thrower):
    async def on_receive(self, message: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return super().on_receive(message)


@pytest.mark.parametrize("cls", [Thrower, AsyncThrower])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("is_call", [False, True], ids=["told", "called"])
async def test_what_a_handler_raises_crashes_one_child_and_nothing_more(
    system: ActorSystem, cls: type[Actor], error: type[BaseException], is_call: bool
) -> None:
    tree = await system.supervise([ChildSpec("a", cls), ChildSpec("b", cls)])
    bystander = await system.start(Echo)
    a, b = await tree.child("a"), await tree.child("b")

    if is_call:
        # What is not an Exception is not raised at the caller; nor are the words about control flow.
        heard = ActorRestarted if error in BARE or error is StopAsyncIteration else error
        if cls is AsyncThrower and error in {StopIteration, StopAsyncIteration}:
            heard = (ActorRestarted, RuntimeError)
        with pytest.raises(heard):
            await a.call(error)
    else:
        a.tell(error)
    await anyio.wait_all_tasks_blocked()

    assert await a.call("how often?") == 1
    assert await b.call("how often?") == 0
    assert await bystander.call("well?") == "well?"
    assert tree.is_alive()


@pytest.mark.parametrize("cls", [Thrower, AsyncThrower])
async def test_endless_recursion_crashes_one_child_and_nothing_more(system: ActorSystem, cls: type[Thrower]) -> None:
    class Deep(cls):  # type: ignore[valid-type, misc]
        def on_receive(self, message: Any) -> Any:
            return self.on_receive(message) if message == "dive" else super().on_receive(message)

    tree = await system.supervise([ChildSpec("a", Deep)])
    ref = await tree.child("a")

    with pytest.raises(RecursionError):
        await ref.call("dive")

    assert await ref.call("how often?") == 1


class Breaks(Actor):
    """Raises in the hook that it is told to, the first time."""

    def __init__(self, hook: str, error: type[BaseException], broken: list[str]) -> None:
        super().__init__()
        self.hook, self.error, self.broken = hook, error, broken
        self.break_in("__init__")

    def break_in(self, hook: str) -> None:
        if hook == self.hook and self.restarts and hook not in self.broken:
            self.broken.append(hook)
            raise self.error

    def on_start(self) -> None:
        self.break_in("on_start")

    def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError
        return self.restarts

    def on_failure(self, *_: Any) -> None:
        if self.hook == "on_failure":
            raise self.error


@pytest.mark.parametrize("hook", ["__init__", "on_start", "on_failure"])
@pytest.mark.parametrize("error", ERRORS)
async def test_what_a_hook_raises_crashes_one_child_and_nothing_more(
    system: ActorSystem, world: Any, hook: str, error: type[BaseException]
) -> None:
    tree = await system.supervise([ChildSpec("a", Breaks, (hook, error, []))], max_restarts=5)
    ref = await tree.child("a")

    ref.tell("crash")
    await world.advance(1.0)

    assert await ref.call("how often?") == (1 if hook == "on_failure" else 2)
    assert tree.is_alive()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")

    __repr__ = __str__


async def test_an_error_that_cannot_be_printed_is_a_crash_like_any_other(system: ActorSystem) -> None:
    ref = await system.start(Echo)

    ref.tell(Unspeakable())

    assert await ref.wait_stopped() == ExitReason("crash", "Unspeakable: unprintable")


class Unyielding(BaseException):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_reasons_are_text() -> None:
    assert exit_of(ValueError("x")) == ExitReason("crash", "ValueError: x")
    assert exit_of(ValueError()) == ExitReason("crash", "ValueError")
    assert str(ExitReason("crash", "ValueError: x")) == "crash: ValueError: x"
    assert str(ExitReason("normal")) == "normal"
    assert text_of(Unyielding()) == "Unyielding: unprintable"


@pytest.fixture
def unlogged(caplog: pytest.LogCaptureFixture) -> None:
    """What pytest keeps of the log would keep the frames alive."""
    caplog.set_level(logging.CRITICAL + 1, "jidoka.actors")


@pytest.mark.usefixtures("unlogged")
async def test_a_crash_keeps_no_frame_of_the_handler_alive(system: ActorSystem) -> None:
    class Big:
        pass

    kept: list[weakref.ref[Big]] = []

    class Holder(Actor):
        def on_receive(self, message: Any) -> Any:
            big = Big()
            kept.append(weakref.ref(big))
            raise ValueError

    tree = await system.supervise([ChildSpec("a", Holder)])
    ref = await tree.child("a")

    ref.tell("x")
    await anyio.wait_all_tasks_blocked()
    gc.collect()

    assert kept[0]() is None


@pytest.mark.usefixtures("unlogged")
async def test_ten_thousand_crashes_leave_no_trace(system: ActorSystem) -> None:
    tree = await system.supervise([ChildSpec("a", Thrower)], max_restarts=10**6)
    ref = await tree.child("a")
    cells, timers = system.cells, len(system.timers)

    for _ in range(10_000):
        with pytest.raises(ValueError):
            await ref.call(ValueError)

    assert await ref.call("how often?") == 10_000
    assert (system.cells, len(system.timers)) == (cells, timers)
    assert ref.cell.ref is not ref


@pytest.mark.parametrize("how", ["exits", "killed"])
async def test_a_call_that_was_in_hand_is_told_apart_from_those_behind_it(system: ActorSystem, how: str) -> None:
    tree = await system.supervise([ChildSpec("a", Held)])
    ref = await tree.child("a")
    fuse = anyio.Event()
    heard: dict[int, ActorRestarted] = {}

    async def call(number: int) -> None:
        try:
            await ref.call(fuse)
        except ActorRestarted as error:
            heard[number] = error

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
        fuse.set() if how == "exits" else ref.kill()

    assert [heard[number].was_handled for number in range(3)] == [True, False, False]
    kinds = {error.reason.kind for error in heard.values() if error.reason is not None}
    assert kinds == {"crash" if how == "exits" else "killed"}


class Held(Actor):
    """Exits, once it is let go."""

    async def on_receive(self, message: anyio.Event) -> None:
        await message.wait()
        raise SystemExit(3)
