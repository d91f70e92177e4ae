"""A command and the signals that end it, on every loop."""

import os
import signal

import anyio
import pytest

from jidoka.cli.running import Command, Interrupted


async def test_an_interrupt_that_the_command_takes_does_not_end_it() -> None:
    taken = anyio.Event()

    def on_interrupt() -> bool:
        taken.set()
        return True

    async def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        await taken.wait()
        return "done"

    with anyio.fail_after(10):
        assert await Command(work, on_interrupt).run() == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_any_other_signal_ends_it_in_order(number: signal.Signals) -> None:
    closed: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        finally:
            closed.append("in order")

    with anyio.fail_after(10), pytest.raises(Interrupted) as ended:
        # Only a SIGINT may be taken.
        await Command(work, lambda: number is not signal.SIGINT).run()

    assert ended.value.exit_status == 128 + number
    assert closed == ["in order"]
