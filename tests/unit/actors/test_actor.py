"""What an actor is: hooks, handlers, one message at a time, the words that end it."""

from typing import Any

import anyio
import anyio.lowlevel
import pykka
import pytest

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ChildStartError
from jidoka.actors.exits import ExitReason, Ignore, Shutdown, Stop
from jidoka.actors.system import ActorSystem
from jidoka.core.errors import JidokaError
from tests.unit.actors.actors_at_hand import AsyncEcho, Echo, Recorder


class Counter(Actor):
    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        super().__init__()
        self.n = start
        self.step = step

    def on_receive(self, message: int) -> int:
        self.n += message * self.step
        return self.n


class Hooked(Actor):
    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def on_start(self) -> None:
        self.log.append("on_start")

    def on_receive(self, message: Any) -> Any:
        self.log.append(message)
        if isinstance(message, BaseException):
            raise message

    def on_stop(self) -> None:
        self.log.append(("on_stop", str(self.exit_reason)))

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.log.append(("on_failure", exception_type, str(exception_value), traceback is not None))


class HookedAsync(Hooked):
    async def on_start(self) -> None:  # type: ignore[override]
        await anyio.lowlevel.checkpoint()
        super().on_start()

    async def on_stop(self) -> None:  # type: ignore[override]
        await anyio.lowlevel.checkpoint()
        super().on_stop()

    async def on_failure(self, *args: Any) -> None:  # type: ignore[override]
        await anyio.lowlevel.checkpoint()
        super().on_failure(*args)


async def test_an_actor_counts_as_in_the_contract(system: ActorSystem) -> None:
    counter = await system.start(Counter, 5)

    counter.tell(1)

    assert await counter.call(1) == 7


async def test_an_actor_is_made_with_the_arguments_of_start(system: ActorSystem) -> None:
    counter = await system.start(Counter, 5, step=10)

    assert await counter.call(1) == 15


async def test_an_actor_is_pykkas(system: ActorSystem) -> None:
    counter = await system.start(Counter)

    assert issubclass(Counter, pykka.Actor)
    assert isinstance(counter, pykka.ActorRef)
    assert counter.actor_class is Counter
    assert counter.actor_urn.startswith("urn:uuid:")


@pytest.mark.parametrize("cls", [Hooked, HookedAsync])
async def test_hooks_run_in_order_around_the_messages(system: ActorSystem, cls: type[Hooked]) -> None:
    log: list[Any] = []
    ref = await system.start(cls, log)
    ref.tell(1)
    ref.tell(2)

    await ref.stop()

    assert log == ["on_start", 1, 2, ("on_stop", "normal")]


@pytest.mark.parametrize("cls", [Hooked, HookedAsync])
async def test_a_crash_runs_on_failure_and_not_on_stop(system: ActorSystem, cls: type[Hooked]) -> None:
    log: list[Any] = []
    ref = await system.start(cls, log)
    error = ValueError("no")

    ref.tell(error)
    reason = await ref.wait_stopped()

    assert log == ["on_start", error, ("on_failure", ValueError, "no", True)]
    assert reason == ExitReason("crash", "ValueError: no")


class FailingHooks(Actor):
    def on_receive(self, message: BaseException) -> None:
        raise message

    def on_stop(self) -> None:
        raise RuntimeError("on_stop")

    def on_failure(self, *_: Any) -> None:
        raise SystemExit("on_failure")


@pytest.mark.parametrize(("word", "kind"), [(Stop(), "normal"), (ValueError("x"), "crash")])
async def test_a_hook_that_fails_changes_nothing_about_the_end(system: ActorSystem, word: Any, kind: str) -> None:
    ref = await system.start(FailingHooks)

    ref.tell(word)

    assert (await ref.wait_stopped()).kind == kind


@pytest.mark.parametrize("cls", [Echo, AsyncEcho])
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (Stop(), ExitReason("normal")),
        (Shutdown(), ExitReason("shutdown")),
        (Shutdown("enough"), ExitReason("shutdown", "enough")),
        (ValueError("bad"), ExitReason("crash", "ValueError: bad")),
    ],
)
async def test_what_a_handler_raises_says_how_it_ends(
    system: ActorSystem, cls: type[Actor], word: Exception, reason: ExitReason
) -> None:
    ref = await system.start(cls)

    ref.tell(word)

    assert await ref.wait_stopped() == reason
    assert not ref.is_alive()


@pytest.mark.parametrize("word", [Stop(), Shutdown("enough")])
async def test_the_caller_of_a_handler_that_ends_normally_hears_actor_dead(
    system: ActorSystem, word: Exception
) -> None:
    ref = await system.start(Echo)

    with pytest.raises(ActorDead) as caught:
        await ref.call(word)

    assert caught.value.reason is not None
    assert caught.value.reason.is_clean


class Careful(Echo):
    reply_errors = (JidokaError, KeyError)


@pytest.mark.parametrize("error", [KeyError("k"), JidokaError("j")])
async def test_reply_errors_reach_the_caller_and_leave_the_actor_running(system: ActorSystem, error: Exception) -> None:
    ref = await system.start(Careful)

    with pytest.raises(type(error)) as caught:
        await ref.call(error)

    assert caught.value is error
    assert await ref.call("still here") == "still here"


async def test_any_other_error_reaches_the_caller_and_is_a_crash(system: ActorSystem) -> None:
    ref = await system.start(Careful)
    error = ValueError("not one of them")

    with pytest.raises(ValueError, match="not one of them") as caught:
        await ref.call(error)

    assert caught.value is error
    assert (await ref.wait_stopped()).kind == "crash"


async def test_a_reply_error_without_a_caller_is_a_crash(system: ActorSystem) -> None:
    ref = await system.start(Careful)

    ref.tell(KeyError("k"))

    assert (await ref.wait_stopped()).kind == "crash"


class Starting(Actor):
    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    def on_start(self) -> None:
        if self.error is not None:
            raise self.error


class StartingAsync(Starting):
    async def on_start(self) -> None:  # type: ignore[override]
        await anyio.lowlevel.checkpoint()
        super().on_start()


class NotEvenMade(Actor):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        raise error


@pytest.mark.parametrize("cls", [Starting, StartingAsync, NotEvenMade])
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), StopIteration()])
async def test_a_start_that_fails_is_told_with_its_cause(
    system: ActorSystem, cls: type[Actor], error: BaseException
) -> None:
    with pytest.raises(ChildStartError) as caught:
        await system.start(cls, error)

    assert caught.value.child_id == cls.__name__
    assert system.cells == 0
    assert type(error).__name__ in str(caught.value) or isinstance(error, StopIteration)


@pytest.mark.parametrize("cls", [Starting, StartingAsync])
async def test_an_actor_that_ignores_its_start_is_no_error_and_no_actor(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls, Ignore())

    assert not ref.is_alive()
    assert await ref.wait_stopped() == ExitReason("normal")
    assert system.cells == 0


@pytest.mark.parametrize("cls", [Starting, StartingAsync])
async def test_an_actor_may_stop_while_it_starts(system: ActorSystem, cls: type[Actor]) -> None:
    ref = await system.start(cls, Stop())

    assert await ref.wait_stopped() == ExitReason("normal")


class StopsItself(Recorder):
    def on_receive(self, message: Any) -> Any:
        if message == "stop":
            self.stop()
        return super().on_receive(message)


async def test_stop_from_inside_comes_after_what_waits(system: ActorSystem) -> None:
    heard: list[Any] = []
    ref = await system.start(StopsItself, heard)

    for message in ("a", "stop", "b"):
        ref.tell(message)
    reason = await ref.wait_stopped()

    assert reason.kind == "normal"
    assert heard == ["a", "stop", "b"]


class Overlap(Actor):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: int) -> None:
        self.log.append(f"+{message}")
        for _ in range(3 - message % 3):
            await anyio.lowlevel.checkpoint()
        self.log.append(f"-{message}")


async def test_async_handlers_run_one_at_a_time_and_in_order(system: ActorSystem) -> None:
    log: list[str] = []
    ref = await system.start(Overlap, log)

    for number in range(20):
        ref.tell(number)
    await ref.stop()

    assert log == [f"{sign}{number}" for number in range(20) for sign in "+-"]


async def test_each_senders_messages_arrive_in_order(system: ActorSystem) -> None:
    heard: list[tuple[int, int]] = []
    ref = await system.start(Recorder, heard)

    async def send(sender: int) -> None:
        for number in range(100):
            ref.tell((sender, number))
            if number % 7 == sender % 7:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for sender in range(50):
            tasks.start_soon(send, sender)
    await ref.stop()

    for sender in range(50):
        assert [number for who, number in heard if who == sender] == list(range(100))


async def test_calls_and_tells_of_one_sender_are_in_order(system: ActorSystem) -> None:
    ref = await system.start(Recorder)

    for number in range(0, 300, 3):
        ref.tell(number)
        ref.tell(number + 1)
        heard = await ref.call(number + 2)

    assert heard == list(range(300))


class Later(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.slots: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "answer":
            for number, slot in enumerate(self.slots):
                slot.set_result(number)
            return len(self.slots)
        if message == "taken":
            return self.slots
        self.slots.append(self.answer_later())
        return "not this"


async def test_a_handler_may_answer_later(system: ActorSystem) -> None:
    ref = await system.start(Later)
    answers: dict[str, Any] = {}

    async def ask(name: str) -> None:
        answers[name] = await ref.call(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "a")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, "b")
        await anyio.wait_all_tasks_blocked()
        assert answers == {}
        assert await ref.call("answer") == 2

    assert answers == {"a": 0, "b": 1}


async def test_nobody_waits_for_the_later_answer_to_what_was_told(system: ActorSystem) -> None:
    ref = await system.start(Later)

    ref.tell("no answer wanted")

    assert await ref.call("taken") == [None]


class Working(Actor):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            self.start_soon(message, self)
        return "handled"


async def test_work_beside_the_messages_does_not_hold_them_up(system: ActorSystem) -> None:
    log: list[str] = []
    ref = await system.start(Working, log)
    event = anyio.Event()

    async def work(actor: Working) -> None:
        await event.wait()
        actor.log.append("worked")
        log.append(str(await actor.actor_ref.call("itself")))

    ref.tell(work)

    assert await ref.call("x") == "handled"
    event.set()
    await anyio.wait_all_tasks_blocked()
    assert log == ["worked", "handled"]


@pytest.mark.parametrize("end", ["stop", "kill", "crash"])
async def test_work_beside_the_messages_ends_with_the_actor(system: ActorSystem, end: str) -> None:
    log: list[str] = []
    ref = await system.start(Working, log)

    async def work(_: Working) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("ended")

    ref.tell(work)
    await anyio.wait_all_tasks_blocked()
    if end == "stop":
        await ref.stop()
    elif end == "kill":
        ref.kill()
    else:
        ref.tell(work)

        async def fail(_: Working) -> None:
            raise ValueError

        ref.tell(fail)
    await ref.wait_stopped()
    await anyio.wait_all_tasks_blocked()

    assert set(log) == {"ended"}


@pytest.mark.parametrize(
    "error", [ValueError("work failed"), SystemExit("work failed"), KeyboardInterrupt("work failed")]
)
async def test_work_that_fails_is_a_crash(system: ActorSystem, error: BaseException) -> None:
    ref = await system.start(Working, [])

    async def work(_: Working) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    ref.tell(work)

    assert await ref.wait_stopped() == ExitReason("crash", f"{type(error).__name__}: work failed")


async def test_an_actor_on_its_own_knows_no_supervisor_and_no_restarts(system: ActorSystem) -> None:
    class Curious(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.restarts, self.supervisor

    ref = await system.start(Curious)

    assert await ref.call(None) == (0, None)


async def test_exit_reason_is_known_in_on_failure_and_after_a_kill_nothing_runs(system: ActorSystem) -> None:
    log: list[Any] = []

    class Last(Actor):
        def on_receive(self, message: Any) -> Any:
            raise ValueError(message)

        def on_stop(self) -> None:
            log.append("on_stop")

        def on_failure(self, *_: Any) -> None:
            log.append(str(self.exit_reason))

    crashed = await system.start(Last)
    killed = await system.start(Last)

    crashed.tell("why")
    killed.kill()
    await crashed.wait_stopped()

    assert (await killed.wait_stopped()).kind == "killed"
    assert log == ["crash: ValueError: why"]
