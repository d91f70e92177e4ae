"""Calls of tools on threads and on the loop: how they end, and what they leave."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from pydantic import AfterValidator

from jidoka.adapters.tools import tool
from jidoka.core.tools import CallEnd, CallInfo
from jidoka.testing.world import VirtualWorld
from tests.unit.adapters.toolkit import INFO, PATIENCE, Outcome, a_box, call


class Held:
    """A function that waits on its thread until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.threads: set[str] = set()

    def wait(self, answer: str = "done") -> str:
        self.threads.add(threading.current_thread().name)
        self.begun.release()
        assert self.may_end.wait(PATIENCE)
        return answer

    async def have_begun(self, count: int = 1) -> None:
        for _ in range(count):
            assert await anyio.to_thread.run_sync(self.begun.acquire, True, PATIENCE)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.may_end.set()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what a thread will post."""
    with anyio.fail_after(PATIENCE):
        while not is_so():
            await anyio.lowlevel.checkpoint()


def ok(content: str) -> CallEnd:
    return CallEnd("ok", content)


# --- what comes back -------------------------------------------------------------------------------------------------


async def test_a_plain_function_is_run_on_a_thread_and_an_async_one_on_the_loop() -> None:
    def here() -> str:
        return threading.current_thread().name

    async def there() -> str:
        await anyio.lowlevel.checkpoint()
        return threading.current_thread().name

    box = a_box(here, there)

    assert await call(box, "here") == ok("jidoka tool here")
    assert await call(box, "there") == ok(threading.current_thread().name)


async def test_a_call_gets_its_arguments_and_what_there_is_to_know() -> None:
    def look(city: str, info: CallInfo, days: int = 2) -> dict[str, Any]:
        return {"city": city, "days": days, "key": info.key, "again": info.is_repeat}

    box = a_box(look)

    assert await call(box, "look", city="Rome") == ok('{"city":"Rome","days":2,"key":"key_1","again":false}')


async def test_bad_arguments_are_told_and_nothing_is_run() -> None:
    ran: list[str] = []

    def look(city: str) -> None:
        ran.append(city)

    end = await call(a_box(look), "look", town="Rome")

    assert end.outcome == "error"
    assert "city: Field required" in end.content
    assert ran == []


async def test_bad_arguments_are_told_in_words_that_every_store_can_keep() -> None:
    def pick(word: Annotated[str, AfterValidator(_picky)], more: int = 1) -> None: ...

    end = await call(a_box(pick), "pick", word="x", **{"nul\0": 1})

    assert end.outcome == "error"
    assert "not this: \ufffd" in end.content
    assert "nul\ufffd" in end.content


def _picky(value: str) -> str:
    raise ValueError("not this: \0")


class _Mine(BaseException):
    """An exception that nobody catches by its family."""


ERRORS: list[BaseException] = [
    *(ValueError("no"), SystemExit(1), TimeoutError("late"), StopIteration(1), StopAsyncIteration(), MemoryError()),
    *(GeneratorExit(), _Mine("x"), asyncio.CancelledError(), ExceptionGroup("several", [ValueError("no")])),
]


@pytest.mark.parametrize("error", [*ERRORS, KeyboardInterrupt()], ids=lambda error: type(error).__name__)
async def test_whatever_is_raised_on_a_thread_is_a_failed_call(error: BaseException) -> None:
    def fail() -> None:
        raise error

    end = await call(a_box(fail), "fail")

    assert end.outcome == "error"
    assert end.content.startswith(type(error).__name__)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_whatever_is_raised_on_the_loop_is_a_failed_call(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    end = await call(a_box(fail), "fail")

    assert end.outcome == "error"
    # Python itself does not let a coroutine end like an iterator.
    assert end.content.startswith(type(error).__name__) or isinstance(error, StopIteration | StopAsyncIteration)


async def test_endless_recursion_is_a_failed_call() -> None:
    def again(depth: int = 0) -> int:
        return again(depth + 1)

    async def again_there() -> int:
        return again()

    box = a_box(again, again_there)

    assert (await call(box, "again")).content.startswith("RecursionError")
    assert (await call(box, "again_there")).content.startswith("RecursionError")


async def test_a_result_that_is_no_json_or_too_long_is_a_failed_call() -> None:
    def odd() -> object:
        return object()

    @tool(max_output=10)
    def long() -> str:
        return "x" * 11

    async def longer() -> str:
        return "x" * 101

    box = a_box(odd, long, longer, output=100)

    assert "not JSON" in (await call(box, "odd")).content
    assert "10 are taken" in (await call(box, "long")).content
    assert "100 are taken" in (await call(box, "longer")).content


async def test_a_plain_function_that_returns_a_coroutine_has_failed() -> None:
    async def inner() -> None: ...

    def outer() -> Any:
        return inner()

    assert "coroutine" in (await call(a_box(outer), "outer")).content


async def test_why_a_call_failed_is_logged_with_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jidoka.tools")

    def fail(password: str) -> None:
        raise LookupError("gone")

    await call(a_box(fail), "fail", password="canary")

    [record] = caplog.records
    assert record.exc_info is not None
    assert (record.__dict__["tool"], record.__dict__["session_id"]) == ("fail", INFO.session_id)
    assert "canary" not in f"{record.getMessage()}{record.__dict__}"


# --- time ------------------------------------------------------------------------------------------------------------


async def test_a_call_on_the_loop_is_called_off_at_its_time() -> None:
    world, seen = VirtualWorld(), list[str]()

    @tool(timeout=5)
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("called off")

    box, outcome = a_box(wait, world=world), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "wait", {})
        await world.advance(4.9)
        assert outcome.end is None
        await world.advance(0.2)

    assert outcome.end == CallEnd("error", "no result within 5 s: it was called off")
    assert seen == ["called off"]


async def test_a_thread_that_is_late_is_abandoned_and_counted_until_it_ends(held: Held) -> None:
    world = VirtualWorld()
    box, outcome = a_box(held.wait, world=world, timeout=7), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "wait", {})
        await held.have_begun()
        assert box.abandoned == ()
        await world.advance(7)

    assert outcome.end == CallEnd("error", "no result within 7 s: it may still be at work")
    assert box.abandoned == ("wait",)
    held.may_end.set()
    await until(lambda: box.abandoned == ())
    assert box.threads.abandoned == {}


@pytest.mark.parametrize("is_async", [False, True], ids=["thread", "loop"])
async def test_cancellation_passes_through(held: Held, is_async: bool) -> None:
    begun = anyio.Event()

    async def wait() -> None:
        begun.set()
        await anyio.sleep_forever()

    box, outcome = a_box(wait if is_async else held.wait), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "wait", {})
        await (begun.wait() if is_async else held.have_begun())
        outcome.scope.cancel()

    assert outcome.end is None
    assert outcome.scope.cancelled_caught
    assert box.abandoned == (() if is_async else ("wait",))


async def test_a_cleanup_that_fails_does_not_stand_in_the_way_of_a_cancellation() -> None:
    begun = anyio.Event()

    async def wait() -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            raise SystemExit("in the middle of it")

    box, outcome = a_box(wait), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "wait", {})
        await begun.wait()
        outcome.scope.cancel()


# --- room ------------------------------------------------------------------------------------------------------------


async def test_so_many_run_at_once_and_those_who_wait_take_nothing_of_anyios(held: Held) -> None:
    box, outcomes = a_box(held.wait, threads=3), [Outcome() for _ in range(5)]
    default = anyio.to_thread.current_default_thread_limiter()
    async with anyio.create_task_group() as tasks:
        for outcome in outcomes:
            tasks.start_soon(outcome.of, box, "wait", {})
        await held.have_begun(3)
        await anyio.wait_all_tasks_blocked()
        assert not held.begun.acquire(blocking=False)
        assert default.borrowed_tokens == 0
        held.may_end.set()

    assert [outcome.end for outcome in outcomes] == [ok("done")] * 5


async def test_the_time_of_a_call_begins_when_it_has_room(held: Held) -> None:
    world = VirtualWorld()

    @tool(timeout=100)
    def first() -> str:
        return held.wait()

    @tool(timeout=10)
    def second() -> str:
        return "quick"

    box, long, quick = a_box(first, second, world=world, threads=1), Outcome(), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(long.of, box, "first", {})
        await held.have_begun()
        tasks.start_soon(quick.of, box, "second", {})
        await world.advance(50)
        assert quick.end is None
        held.may_end.set()

    assert (long.end, quick.end) == (ok("done"), ok("quick"))


async def test_a_tool_that_hangs_takes_no_room_from_others_and_is_refused_itself(held: Held) -> None:
    world = VirtualWorld()

    def quick() -> str:
        return "quick"

    box = a_box(held.wait, quick, world=world, threads=1, hung=2, timeout=5)
    for _ in range(2):
        outcome = Outcome()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome.of, box, "wait", {})
            await held.have_begun()
            await world.advance(5)

    refused = await call(box, "wait")

    assert refused.outcome == "error"
    assert "2 earlier calls of this tool are still at work" in refused.content
    assert await call(box, "quick") == ok("quick")
    held.may_end.set()
    await until(lambda: box.abandoned == ())
    assert await call(box, "wait") == ok("done")


async def test_a_machine_without_room_for_a_thread_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick() -> str:
        return "quick"

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    box = a_box(quick)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        end = await call(box, "quick")

    assert end == CallEnd("error", "RuntimeError: can't start new thread")
    assert await call(box, "quick") == ok("quick")


async def test_the_loop_goes_on_while_a_tool_is_busy() -> None:
    may_stop = threading.Event()

    def busy() -> int:
        while not may_stop.is_set():
            pass
        return 7

    box, outcome = a_box(busy), Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "busy", {})
        await until(lambda: "1 at work" in repr(box.threads))
        may_stop.set()

    assert outcome.end == ok("7")
