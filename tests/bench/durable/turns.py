"""Whole turns of a model that says what it was told: by one caller, and by sixteen at once."""

from __future__ import annotations

from itertools import count

from tests.bench.durable.appends import AT_ONCE, Call, Timed
from tests.bench.durable.backend import Backends, new_file, opened, session_ids
from tests.bench.durable.texts import message
from tests.bench.measures import Figures, in_ms


async def echo(backends: Backends, turns: int) -> Figures:
    """Turns of one session, the next when the answer is there; then of sixteen sessions at once."""
    alone, together = Timed(), Timed()
    async with opened(backends(new_file())) as backend:

        async def talker(session_id: str) -> Call:
            session, numbers = await backend.create(session_id), count()

            async def one() -> None:
                _, text = message(next(numbers))
                await backend.turn(session, [("user", text), ("assistant", text)])

            return one

        first, *others = [await talker(session_id) for session_id in session_ids(1 + AT_ONCE, seed=turns)]
        await alone.run([first], turns)
        await together.run(others, max(1, turns // 8))
    one, many = in_ms(alone.took), in_ms(together.took)
    return {"one": alone.rate, "one_p99": one["p99"], "many": together.rate, "many_p99": many["p99"]}
