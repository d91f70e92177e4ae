"""A monitor asks its session's model every so often: never two cycles at once, and what is not known is said so."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from jidoka.actors.restarts import Backoff
from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.chunks import Chunk, Usage
from jidoka.core.errors import (
    InvalidMessage,
    InvalidSessionId,
    ModelNotFound,
    SessionTerminated,
    TurnFailed,
)
from jidoka.cycles import Monitor, Observation, Retry
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import Shared, a_client, journal, said
from tests.stories.monitoring import ID, MODEL, Looks, a_monitor, failing, running

ONE_TRY = Retry(attempts=1)
STEADY = Retry(attempts=3, backoff=Backoff(base=1, factor=2, jitter=0))


BROKEN = RuntimeError("no model today")


# --- the schedule -------------------------------------------------------------------------------------------------


async def test_cycles_run_at_once_and_then_every_interval(world: VirtualWorld) -> None:
    looks = Looks()
    async with a_client(world=world, models={"model": failing("fine")}) as client:
        async with running(a_monitor(client, observe=looks)) as run:
            await world.advance(0)
            assert run.numbers == [1]
            await world.advance(59.9)
            assert run.numbers == [1]
            await world.advance(60.1)

            assert run.numbers == [1, 2, 3]
        assert [cycle.text for cycle in run.cycles] == ["fine"] * 3
        assert [(cycle.due - run.cycles[0].due).total_seconds() for cycle in run.cycles] == [0, 60, 120]
        assert looks.before == [None, {"look": 1}, {"look": 2}]
        history = await said(client.session(ID))
        assert [role for role, _ in history] == ["user", "assistant"] * 3
        assert [content.splitlines()[0] for _, content in history[::2]] == [f"Look, cycle {n}" for n in (1, 2, 3)]
        stats = await client.session(ID).context_stats()
        assert stats.cycle_count == 3


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        # The first cycle takes 150 s of a minute's interval.
        ("skip", [(0, 0), (180, 2), (240, 0)]),
        ("once", [(0, 0), (120, 1), (180, 0), (240, 0)]),
        ("catch_up", [(0, 0), (60, 0), (120, 0), (180, 0), (240, 0)]),
    ],
)
async def test_a_slow_cycle_never_overlaps_the_next(world: VirtualWorld, missed: Any, expected: Any) -> None:
    go_on = anyio.Event()
    model = failing([go_on, "slow"], "quick")
    async with a_client(world=world, models={"model": model}) as client:
        async with running(a_monitor(client, missed=missed)) as run:
            await world.advance(150)
            assert (run.numbers, len(model.seen)) == ([], 1)
            go_on.set()
            await world.advance(90)

            first = run.cycles[0].due
            assert [((c.due - first).total_seconds(), c.missed) for c in run.cycles] == expected
            assert run.numbers == list(range(1, len(expected) + 1))
        if missed != "catch_up":
            assert "did not take place" in (await said(client.session(ID)))[2][1]


async def test_a_wall_clock_that_jumps_moves_no_cycle(world: VirtualWorld) -> None:
    async with (
        a_client(world=world, models={"model": failing("fine")}) as client,
        running(a_monitor(client)) as run,
    ):
        await world.advance(0)
        for days in (400, -800):
            world.set_wall_clock(world.now().replace(year=2030 + days // 200))
            await world.advance(59)
            before = len(run.cycles)
            await world.advance(1)
            assert len(run.cycles) == before + 1


# --- failures -----------------------------------------------------------------------------------------------------


async def test_what_is_not_known_is_said_to_be_unknown_and_the_worst_assumed(world: VirtualWorld) -> None:
    model = failing("fine", BROKEN, BROKEN, BROKEN, "fine again")
    async with a_client(world=world, models={"model": model}) as client:
        async with running(a_monitor(client, retry=ONE_TRY)) as run:
            await world.advance(240)

            assert run.statuses == ["answered", "unknown", "unknown", "unknown", "answered"]
            assert run.numbers == [1, 2, 3, 4, 5]
        unknown = run.cycles[1]
        assert unknown.text.startswith("UNKNOWN: cycle 2 has no answer (turn_failed). Assume the worst")
        assert run.cycles[0].ended_at.isoformat(timespec="seconds") in unknown.text
        assert (unknown.reason, unknown.attempts, unknown.seq, unknown.action_items) == ("turn_failed", 1, None, ())
        assert "no model today" in str(unknown.error)
        assert [cycle.unknown_in_a_row for cycle in run.cycles] == [0, 1, 2, 3, 0]
        assert [cycle.is_degraded for cycle in run.cycles] == [False, False, False, True, False]
        # A failed call leaves nothing in the history, and the next answer is told what it does not know.
        history = await said(client.session(ID))
        assert [role for role, _ in history] == ["user", "assistant"] * 2
        assert "3 cycles before this one had no answer" in history[2][1]


async def test_a_model_that_fails_is_asked_again_with_growing_waits(world: VirtualWorld) -> None:
    model = failing(BROKEN, BROKEN, "fine")
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client, retry=STEADY)) as run,
    ):
        for seconds, asked in ((0, 1), (0.9, 1), (0.1, 2), (1.9, 2), (0.1, 3)):
            await world.advance(seconds)
            assert len(model.seen) == asked

        assert [(cycle.status, cycle.attempts) for cycle in run.cycles] == [("answered", 3)]


async def test_a_provider_that_says_when_is_believed(world: VirtualWorld) -> None:
    busy = TurnFailed("rate_limited", reason="rate_limited", retry_after=20)
    model = failing(busy, "fine")
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client, retry=STEADY)) as run,
    ):
        await world.advance(19)
        assert run.cycles == []
        await world.advance(1)

        assert run.statuses == ["answered"]


async def test_what_will_be_the_same_a_minute_later_is_not_asked_again(world: VirtualWorld) -> None:
    no = TurnFailed("unauthorized: 401", reason="unauthorized")
    async with (
        a_client(world=world, models={"model": failing(no)}) as client,
        running(a_monitor(client, retry=STEADY)) as run,
    ):
        await world.advance(0)

        assert [(cycle.reason, cycle.attempts) for cycle in run.cycles] == [("unauthorized", 1)]


async def test_a_turn_that_takes_too_long_is_unknown(world: VirtualWorld) -> None:
    model = failing([anyio.Event()])
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client, retry=ONE_TRY, timeout=5)) as run,
    ):
        await world.advance(5)

        assert [(cycle.status, cycle.reason) for cycle in run.cycles] == [("unknown", "call_timeout")]


@pytest.mark.parametrize("timeout", [None, 10], ids=["", "in time"])
@pytest.mark.parametrize(
    "bad",
    [
        ValueError("no such host"),
        Observation(facts={1, 2}),
        Observation(facts="x" * 300_000),
        None,
    ],
    ids=["raises", "no JSON", "too large", "nothing"],
)
async def test_who_cannot_look_knows_nothing(world: VirtualWorld, bad: Any, timeout: float | None) -> None:
    looks: list[Any] = [Observation(facts=7), bad, Observation(facts=9)]
    before: list[Any] = []

    async def observe(known: Any) -> Observation:
        before.append(known)
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    model = failing("fine")
    async with a_client(world=world, models={"model": model}) as client:
        async with running(a_monitor(client, observe=observe, timeout=timeout)) as run:
            await world.advance(120)

        assert run.statuses == ["answered", "unknown", "answered"]
        assert (run.cycles[1].reason, run.cycles[1].attempts) == ("observation_failed", 0)
        assert run.cycles[1].error
        assert before == [None, 7, 7]
        assert len(model.seen) == 2


async def test_who_looks_for_too_long_knows_nothing(world: VirtualWorld) -> None:
    async def observe(_: Any) -> str:
        if world.monotonic() < 60:
            await anyio.sleep_forever()
        return "all quiet"

    async with (
        a_client(world=world) as client,
        running(a_monitor(client, observe=observe, llm_config=None, timeout=5)) as run,
    ):
        await world.advance(60)

        assert run.statuses == ["unknown", "answered"]
        assert run.cycles[0].error == "TimeoutError: it took longer than 5 s"


async def test_text_is_an_observation_too(world: VirtualWorld) -> None:
    async def observe(_: Any) -> str:
        return "a\x00ll quiet"

    async with a_client(world=world) as client:
        async with running(a_monitor(client, observe=observe, llm_config=None)) as run:
            await world.advance(0)

        assert [cycle.text for cycle in run.cycles] == ["all quiet"]


# --- stopping the line --------------------------------------------------------------------------------------------


async def test_a_halted_session_has_no_cycles_until_somebody_has_decided(world: VirtualWorld) -> None:
    looks = Looks()
    async with (
        a_client(world=world, models={"model": failing("fine")}) as client,
        running(a_monitor(client, observe=looks, missed="once")) as run,
    ):
        await world.advance(0)
        await client.session(ID).halt(reason="look at this")
        await world.advance(500)
        assert (run.numbers, len(looks.before)) == ([1], 1)

        await client.session(ID).approve(decision="approve")
        await world.advance(0)

        assert run.numbers == [1, 2]
        assert run.cycles[1].missed == 7
        await world.advance(40)
        assert run.numbers == [1, 2, 3]


@pytest.mark.parametrize(
    ("decision", "status", "reason"), [("approve", "answered", None), ("reject", "unknown", "turn_cancelled")]
)
async def test_a_cycle_that_is_halted_waits_for_the_decision(
    world: VirtualWorld, decision: str, status: str, reason: str | None
) -> None:
    go_on = anyio.Event()
    model = failing([go_on, "dangerous"], "fine")
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client)) as run,
    ):
        await world.advance(10)
        await client.session(ID).halt(reason="too dangerous")
        go_on.set()
        await world.advance(100)
        assert run.cycles == []

        await client.session(ID).approve(decision=decision)
        await world.advance(60)

        assert [(cycle.status, cycle.reason) for cycle in run.cycles] == [(status, reason), ("answered", None)]
        assert [cycle.attempts for cycle in run.cycles] == [1, 1]


@pytest.mark.parametrize(("decision", "status"), [("approve", "answered"), ("reject", "unknown")])
async def test_a_halt_that_comes_while_somebody_looks_is_decided_first(
    world: VirtualWorld, decision: str, status: str
) -> None:
    async def observe(_: Any) -> str:
        if not run.cycles:
            await client.session(ID).halt(reason="just now")
        return "all quiet"

    async with (
        a_client(world=world) as client,
        running(a_monitor(client, observe=observe, llm_config=None)) as run,
    ):
        await world.advance(170)
        assert run.cycles == []
        await client.session(ID).approve(decision=decision)
        await world.advance(10)

        assert run.statuses == [status, "answered"]


async def test_a_decision_that_was_made_elsewhere_is_found_within_a_minute(world: VirtualWorld) -> None:
    store = MemoryStore()
    async with (
        Client(Shared(store), world=world) as client,
        Client(Shared(store), world=world) as elsewhere,
        running(a_monitor(client, llm_config=None)) as run,
    ):
        await world.advance(0)
        await client.session(ID).halt(reason="look at this")
        await world.advance(100)
        assert run.numbers == [1]
        await elsewhere.session(ID).approve(decision="approve")
        await world.advance(70)

        assert run.numbers == [1, 2]


async def test_a_turn_of_somebody_else_is_waited_for(world: VirtualWorld) -> None:
    go_on = anyio.Event()
    model = failing([go_on, "a person's"], "the monitor's")
    async with a_client(world=world, models={"model": model}) as client:
        session = await client.create_session(session_id=ID, llm_config=MODEL)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.prompt, "hello")
            await model.started.wait()
            async with running(a_monitor(client)) as run:
                await world.advance(200)
                assert run.cycles == []
                go_on.set()
                await world.advance(0)

                assert [cycle.text for cycle in run.cycles] == ["the monitor's"]


# --- the session --------------------------------------------------------------------------------------------------


async def test_what_a_program_changes_meanwhile_is_kept(world: VirtualWorld) -> None:
    async def observe(_: Any) -> str:
        await client.session(ID).update(metadata={"mine": len(run.cycles)})
        return "all quiet"

    async with a_client(world=world) as client:
        async with running(a_monitor(client, observe=observe, llm_config=None)) as run:
            await world.advance(120)

        info = await client.session(ID).info()
        assert (run.numbers, info.metadata["mine"]) == ([1, 2, 3], 2)


async def test_a_session_of_seed_001_counts_on(world: VirtualWorld) -> None:
    async with a_client(world=world) as client:
        await client.create_session(session_id=ID, metadata={"cycle_count": 5})

        async with running(a_monitor(client)) as run:
            await world.advance(60)

        assert run.numbers == [6, 7]
        assert (await client.session(ID).context_stats()).cycle_count == 7


async def test_two_monitors_of_one_session_run_no_cycle_twice(world: VirtualWorld) -> None:
    model = failing("fine")
    async with a_client(world=world, models={"model": model}) as client:
        async with running(a_monitor(client)) as one, running(a_monitor(client)) as other:
            await world.advance(300)

        assert sorted(one.numbers + other.numbers) == [1, 2, 3, 4, 5, 6]
        assert len(model.seen) == 6


async def test_it_ends_with_its_session(world: VirtualWorld) -> None:
    async with (
        a_client(world=world) as client,
        running(a_monitor(client, llm_config=None)) as run,
    ):
        await world.advance(0)
        await client.terminate_session(ID)
        await world.advance(60)

        assert isinstance(run.error, SessionTerminated)


async def test_a_model_that_does_not_exist_is_said_so_at_once(world: VirtualWorld) -> None:
    async with (
        a_client(world=world) as client,
        running(a_monitor(client, llm_config={"model": "modle"})) as run,
    ):
        await world.advance(0)

        assert isinstance(run.error, ModelNotFound)


async def test_what_is_suspended_between_cycles_wakes_up(world: VirtualWorld) -> None:
    async with (
        a_client(world=world) as client,
        running(a_monitor(client, llm_config=None, every=7200)) as run,
    ):
        await world.advance(7000)
        assert (await client.session(ID).info()).status == "suspended"
        await world.advance(200)

        assert run.numbers == [1, 2]


async def test_a_monitor_runs_once_at_a_time_and_says_how_it_is(world: VirtualWorld) -> None:
    async with a_client(world=world) as client:
        monitor = a_monitor(client, llm_config=None)
        async with running(monitor) as run:
            await world.advance(60)
            with pytest.raises(RuntimeError):
                await anext(monitor.run())
        assert repr(monitor) == "<Monitor of web-monitor: every 60 s, 2 cycles>"
        ledger = await monitor.ledger()
        assert (ledger.number, ledger.due, ledger.open) == (2, run.cycles[-1].due, None)
        assert ledger.known_at == run.cycles[-1].ended_at

        async with running(monitor) as run:
            await world.advance(60)

            assert run.numbers == [3]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        *(({"every": bad}, InvalidMessage) for bad in (0, -1, "60", True, float("nan"), float("inf"), None, 10**9)),
        *(({"missed": bad}, InvalidMessage) for bad in ("never", None, 3)),
        ({"timeout": -1}, InvalidMessage),
    ],
)
async def test_a_monitor_that_cannot_be_is_refused(options: Any, error: type[Exception]) -> None:
    async with a_client() as client:
        with pytest.raises(error):
            a_monitor(client, **options)
        with pytest.raises(InvalidSessionId):
            Monitor(client, "x", every=60, observe=Looks())


async def test_a_session_whose_metadata_says_something_else_is_left_alone(world: VirtualWorld) -> None:
    async with a_client(world=world) as client:
        await client.create_session(session_id=ID, metadata={"cycles": "of a bicycle"})

        async with running(a_monitor(client)) as run:
            await world.advance(60)

        assert isinstance(run.error, InvalidMessage)
        assert (await client.session(ID).info()).metadata == {"cycles": "of a bicycle"}


# --- comparing ----------------------------------------------------------------------------------------------------


def counting(tokens: Callable[[int], int]) -> Any:
    """A model that takes as many tokens as *tokens* says of so many messages, at a price."""

    class Counting:
        async def respond(self, context: Any, _: Any) -> AsyncIterator[Chunk]:
            used = tokens(len(context.conversation))
            yield Chunk(text=f"{used}", usage=Usage(input_tokens=used, output_tokens=1, cost=used / 100))

    return Counting()


async def test_the_same_questions_are_asked_of_sessions_that_know_nothing(world: VirtualWorld) -> None:
    model = counting(lambda messages: 10 * messages)
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client, compare=True)) as run,
    ):
        await world.advance(120)

        assert [cycle.usage.input_tokens for cycle in run.cycles] == [10, 30, 50]
        assert [cycle.stateless and cycle.stateless.usage.input_tokens for cycle in run.cycles] == [10, 10, 10]
        sums = run.cycles[-1].comparison
        assert sums is not None
        assert (sums.cycles, sums.persistent.input_tokens, sums.stateless.input_tokens) == (3, 90, 30)
        assert (sums.persistent.cost, sums.stateless.cost) == (pytest.approx(0.9), pytest.approx(0.3))
        assert sums.tokens_per_cycle == (31, 11)
        assert run.cycles[-1].total_usage == sums.persistent
        # The other sessions are gone.
        assert [info.session_id for info in await client.list_sessions()] == [ID]


async def test_a_stateless_question_that_fails_harms_nothing(world: VirtualWorld) -> None:
    model = failing("fine", BROKEN, "fine", "also")
    async with (
        a_client(world=world, models={"model": model}) as client,
        running(a_monitor(client, compare=True, retry=ONE_TRY)) as run,
    ):
        await world.advance(60)

        assert run.statuses == ["answered", "answered"]
        assert [cycle.stateless and cycle.stateless.status for cycle in run.cycles] == ["unknown", "answered"]
        assert [cycle.comparison and cycle.comparison.cycles for cycle in run.cycles] == [0, 1]


async def test_usage_is_added_up_in_the_session(world: VirtualWorld) -> None:
    model = counting(lambda _: 7)
    async with a_client(world=world, models={"model": model}) as client:
        for _ in range(2):
            async with running(a_monitor(client)) as run:
                await world.advance(60)

        assert run.cycles[-1].total_usage.input_tokens == 7 * run.cycles[-1].number
        assert all(cycle.stateless is None and cycle.comparison is None for cycle in run.cycles)
        ends = [entry for entry in await journal(client, client.session(ID)) if entry.type == "turn_completed"]
        assert len(ends) == run.cycles[-1].number
