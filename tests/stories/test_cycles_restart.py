"""A monitor whose process ends goes on where it was: it counts on, and no cycle is run twice."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from jidoka.actors.restarts import NO_BACKOFF, Backoff
from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import StoreUnavailable, TurnFailed
from jidoka.core.heads import Head
from jidoka.core.messages import Message
from jidoka.core.status import SessionStatus
from jidoka.cycles import Monitor, Retry
from jidoka.cycles.asking import Asker
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for
from tests.stories.kit import a_client, journal, said
from tests.stories.monitoring import ID, Looks, a_monitor, failing, running
from tests.stories.processes import Machine, both_ends
from tests.stories.stores import StoreAround

TWICE = Retry(attempts=2, backoff=Backoff(base=1, jitter=0))


class Doomed(StoreAround):
    """Its process is gone once so many entries, or one of that type, have been committed: nobody hears of that one."""

    def __init__(self, inner: Any, *, appends: int = 1_000, type: str = "") -> None:
        super().__init__(inner)
        self._appends = appends
        self._type = type

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        self._check()
        head = await super().append(session_id, entries, expected_seq=expected_seq)
        self._appends -= 1
        if any(entry.type == self._type for entry in entries):
            self._appends = 0
        self._check()
        return head

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        self._check()
        return await self.inner.claim(session_id, expected_epoch=expected_epoch)

    def _check(self) -> None:
        if self._appends <= 0:
            raise StoreUnavailable("this process is gone")


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Makes a store that a second process finds as the first has left it."""
    kept = MemoryStore()
    url = f"sqlite:///{request.getfixturevalue('tmp_path')}/x.db"
    return (lambda: kept) if request.param == "memory" else lambda: store_for(url)


async def completed(client: Client) -> list[int]:
    """The numbers of the cycles whose turns were completed, in order."""
    entries = await journal(client, client.session(ID))
    turns = [entry.data["turn_id"] for entry in entries if entry.type == "turn_completed"]
    return [int(turn.split(":")[2]) for turn in turns]


@both_ends
async def test_a_cycle_that_was_interrupted_is_finished_by_the_next_process(machine: Machine, crashes: bool) -> None:
    model = ScriptedModel(["fine"], ["half ", anyio.Event()])
    async with (
        machine.process(crashes=crashes, models={"model": model}) as client,
        running(a_monitor(client)) as first,
    ):
        await machine.wait(0, 60)
        assert first.numbers == [1]
        await model.started.wait()

    looks = Looks()
    async with machine.process(models={"model": failing("again")}) as client:
        async with running(a_monitor(client, observe=looks)) as second:
            await machine.wait(0, 1)
            assert [(cycle.number, cycle.resumed, cycle.text) for cycle in second.cycles] == [(2, True, "again")]
            # It was asked what the first process had written down.
            assert looks.before == []
            assert [content.splitlines()[0] for role, content in await said(client.session(ID)) if role == "user"] == [
                "Look, cycle 1",
                "Look, cycle 2",
            ]
            await machine.wait(59)

            assert [(cycle.number, cycle.resumed) for cycle in second.cycles[1:]] == [(3, False)]
            assert looks.before == [{"look": 2}]
            assert (second.cycles[-1].due - first.cycles[0].due).total_seconds() == 120
        assert await completed(client) == [1, 2, 3]


@pytest.mark.parametrize(
    ("missed", "numbers", "passed"),
    [("skip", [2], [4]), ("once", [2, 3], [3, 0]), ("catch_up", [2, 3, 4, 5, 6], [0] * 5)],
)
async def test_slots_that_passed_while_nobody_was_there(
    machine: Machine, missed: Any, numbers: list[int], passed: list[int]
) -> None:
    async with (
        machine.process(models={"model": failing("fine")}) as client,
        running(a_monitor(client, missed=missed)) as first,
    ):
        await machine.wait(0)
        assert first.numbers == [1]
    await machine.world.advance(250)

    async with (
        machine.process(models={"model": failing("fine")}) as client,
        running(a_monitor(client, missed=missed)) as second,
    ):
        await machine.wait(0, 50)

        assert (second.numbers, [cycle.missed for cycle in second.cycles]) == (numbers, passed)
        assert (second.cycles[-1].due - first.cycles[0].due).total_seconds() == 300


@pytest.mark.parametrize("compare", [False, True], ids=["alone", "compared"])
@pytest.mark.parametrize("appends", range(1, 16))
async def test_wherever_a_process_dies_no_cycle_is_run_twice_or_lost(
    place: Callable[[], Any], world: VirtualWorld, appends: int, compare: bool
) -> None:
    doomed = Machine(lambda: Doomed(place(), appends=appends), world)
    async with (
        doomed.process(crashes=True, models={"model": failing("fine")}) as client,
        running(a_monitor(client, compare=compare)) as first,
    ):
        await doomed.wait(0, 60, 60)

    machine = Machine(place, world)
    async with machine.process(models={"model": failing("fine")}) as client:
        monitor = a_monitor(client, compare=compare)
        async with running(monitor) as second:
            await machine.wait(0, 2, 58)

        told, run = first.numbers + second.numbers, await completed(client)
        assert run == list(range(1, len(run) + 1))
        assert len(run) >= 2
        assert sorted(set(told)) == told
        assert {cycle.status for cycle in second.cycles} == {"answered"}
        ledger = await monitor.ledger()
        assert (ledger.number, ledger.open) == (len(run), None)
        assert ledger.comparison.cycles == (len(run) if compare else 0)
        everyone = await client.list_sessions(status=list(SessionStatus))
        assert [info.session_id for info in everyone] == [ID]


@pytest.mark.parametrize("how", ["reject", "cancel_turn"])
async def test_what_a_person_has_called_off_is_not_asked_again(
    place: Callable[[], Any], world: VirtualWorld, how: str
) -> None:
    go_on = anyio.Event()
    doomed = Machine(lambda: Doomed(place(), type="turn_cancelled"), world)
    async with (
        doomed.process(crashes=True, models={"model": ScriptedModel([go_on, "dangerous"])}) as client,
        running(a_monitor(client)) as first,
    ):
        await doomed.wait(0)
        session = client.session(ID)
        if how == "reject":
            await session.halt(reason="too dangerous")
            go_on.set()
            await doomed.wait(0)
            await session.approve(decision="reject")
        else:
            await session.cancel_turn()
        await doomed.wait(0)
        assert first.cycles == []

    model = failing("fine")
    machine = Machine(place, world)
    async with (
        machine.process(models={"model": model}) as client,
        running(a_monitor(client)) as second,
    ):
        await machine.wait(0, 1)

        assert [(c.number, c.status, c.reason) for c in second.cycles] == [(1, "unknown", "turn_cancelled")]
        assert model.seen == []


@pytest.mark.parametrize(
    ("decision", "expected"), [("approve", ("answered", None)), ("reject", ("unknown", "turn_cancelled"))]
)
async def test_what_was_decided_while_no_monitor_was_there_counts(
    machine: Machine, decision: str, expected: tuple[str, str | None]
) -> None:
    go_on = anyio.Event()
    model = ScriptedModel([go_on, "dangerous"])
    async with (
        machine.process(crashes=True, models={"model": model}) as client,
        running(a_monitor(client, retry=TWICE)),
    ):
        await machine.wait(0)
        await client.session(ID).halt(reason="too dangerous")
        go_on.set()
        await machine.wait(0)

    async with machine.process(models={"model": failing("fine")}) as client:
        await client.session(ID).approve(decision=decision)
        async with running(a_monitor(client, retry=TWICE)) as second:
            await machine.wait(0, 1)

            assert [(cycle.status, cycle.reason) for cycle in second.cycles] == [expected]


async def test_attempts_are_counted_over_a_restart(place: Callable[[], Any], world: VirtualWorld) -> None:
    doomed = Machine(lambda: Doomed(place(), type="turn_failed"), world)
    async with (
        doomed.process(crashes=True, models={"model": failing(RuntimeError("no"))}) as client,
        running(a_monitor(client, retry=TWICE)),
    ):
        await doomed.wait(0)

    model = failing(RuntimeError("still no"))
    machine = Machine(place, world)
    async with (
        machine.process(models={"model": model}) as client,
        running(a_monitor(client, retry=TWICE)) as second,
    ):
        # What was waited for before is not waited for again.
        await machine.wait(0)

        assert [(c.status, c.attempts, c.reason) for c in second.cycles] == [("unknown", 2, "turn_failed")]
        assert len(model.seen) == 1


async def test_a_session_that_resumes_its_turns_answers_the_cycle_itself(machine: Machine) -> None:
    config = {"interrupted_turn": "resume"}
    model = ScriptedModel(["half ", anyio.Event()])
    async with (
        machine.process(crashes=True, models={"model": model}) as client,
        running(a_monitor(client, config=config)),
    ):
        await machine.wait(0)
        await model.started.wait()

    model = failing("whole")
    async with (
        machine.process(models={"model": model}) as client,
        running(a_monitor(client, config=config)) as second,
    ):
        await machine.wait(0, 1)

        assert [(cycle.number, cycle.text, cycle.attempts) for cycle in second.cycles] == [(1, "whole", 1)]
        assert len(model.seen) == 1


async def test_a_store_that_is_away_for_a_moment_is_waited_for(machine: Machine) -> None:
    async with machine.process(models={"model": failing("fine")}) as client:
        async with running(a_monitor(client, retry=TWICE)) as run:
            await machine.wait(0, 59.5)
            machine.line.is_away = True
            await machine.wait(0.6)
            assert run.numbers == [1]
            machine.line.is_away = False
            await machine.wait(1)

            assert (run.numbers, run.error) == ([1, 2], None)
            machine.line.is_away = True
            await machine.wait(62)
            assert isinstance(run.error, StoreUnavailable)
            machine.line.is_away = False
        async with running(a_monitor(client, retry=TWICE)) as run:
            await machine.wait(0, 60)

            assert run.numbers[0] == 3
        assert await completed(client) == list(range(1, run.numbers[-1] + 1))


async def test_a_fork_counts_on_and_asks_for_itself(machine: Machine) -> None:
    model = ScriptedModel(["fine"], ["half ", anyio.Event()], ["of the fork"])
    async with machine.process(models={"model": model}) as client:
        async with running(a_monitor(client)):
            await machine.wait(0, 60)
            await model.started.wait()
            # In the middle of cycle 2.
            other = await client.session(ID).fork()

        looks = Looks()
        fork = Monitor(client, other.id, every=60, observe=looks)
        async with running(fork) as run:
            await machine.wait(0, 60)

        assert [(cycle.number, cycle.text) for cycle in run.cycles] == [(2, "of the fork"), (3, "of the fork")]
        entries = await journal(client, other)
        turns = [entry.data["turn_id"] for entry in entries if entry.type == "turn_completed"]
        assert turns == [f"turn_{other.id}:cycle:{number}:1" for number in (2, 3)]


class Unheard:
    """A session whose first turn is completed, and whoever asked is told that it failed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def prompt(self, content: str, *, idempotency_key: str, timeout: float | None) -> Message:
        self.keys.append(idempotency_key)
        message = await self._session.prompt(content, idempotency_key=idempotency_key, timeout=timeout)
        if len(self.keys) == 1:
            raise TurnFailed("nobody knows")
        return message


async def test_a_turn_that_was_completed_unheard_is_not_run_again(world: VirtualWorld) -> None:
    async with a_client(world=world) as client:
        session = Unheard(await client.create_session())
        asker = Asker(session, world, Retry(backoff=NO_BACKOFF), None)  # pyright: ignore[reportArgumentType]

        answer = await asker.ask("look", "key", after=0, resumed=False)

        assert answer.message is not None
        assert (session.keys, answer.attempts) == (["key:1", "key:1"], 1)
        assert await said(client.session(answer.message.session_id)) == [("user", "look"), ("assistant", "look")]


@pytest.mark.parametrize("child", ["context_manager", "orchestrator"])
async def test_killed_actors_cost_an_attempt_at_most(machine: Machine, child: str) -> None:
    go_on = anyio.Event()
    model = ScriptedModel(["half ", go_on], ["whole"])
    async with machine.process(models={"model": model}) as client:
        async with running(a_monitor(client, retry=TWICE)) as run:
            await machine.wait(0)
            await model.started.wait()
            await kill_child(client.session(ID), child)
            go_on.set()
            await machine.wait(0, 1, 59)

            assert run.statuses == ["answered", "answered"]
        assert await completed(client) == [1, 2]
