"""What ends the command line from outside: the first signal in order, the next one in a hurry (S94)."""

import signal
import sys

import pytest

from tests.doors.commands import PROGRAM, on_a_terminal

STUBBORN = """
import sys
import anyio
from jidoka.actors import Actor, ActorSystem
from jidoka.cli.running import Interrupted, on_the_loop

class Stubborn(Actor):
    async def on_receive(self, message):
        pass
    async def on_stop(self):
        print("on_stop", flush=True)
        await anyio.sleep_forever()

async def work():
    async with ActorSystem(patience=3600) as system:
        await system.start(Stubborn)
        print("started", flush=True)
        await anyio.sleep_forever()

try:
    on_the_loop(work)
except Interrupted as error:
    print(error)
    sys.exit(error.exit_status)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_demo_without_a_traceback(number: signal.Signals, status: int) -> None:
    with on_a_terminal(*PROGRAM, "demo", "--pace", "60") as terminal:
        terminal.wait_for("└── housekeeper")
        terminal.process.send_signal(number)

        assert terminal.wait_ended() == status

    assert f"jidoka: ended by {number.name}" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert "\x1b[?25h" in terminal.shown.rpartition("\x1b[?25l")[2], "the cursor is shown again"


def test_ctrl_c_is_such_a_signal() -> None:
    with on_a_terminal(*PROGRAM, "demo", "--pace", "60") as terminal:
        terminal.wait_for("└── housekeeper")
        terminal.press_ctrl_c()

        assert terminal.wait_ended() == 130


def test_the_second_signal_ends_what_does_not_want_to() -> None:
    with on_a_terminal(sys.executable, "-W", "error", "-c", STUBBORN) as terminal:
        terminal.wait_for("started")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.wait_for("on_stop")
        terminal.process.send_signal(signal.SIGTERM)

        assert terminal.wait_ended() == 143

    assert "ended by SIGTERM" in terminal.shown
    assert "Traceback" not in terminal.shown


def test_what_a_command_raises_comes_out_as_it_is() -> None:
    program = STUBBORN.replace("await anyio.sleep_forever()\n\ntry", "raise LookupError('mine')\n\ntry").replace(
        "Interrupted as error:\n    print(error)\n    sys.exit(error.exit_status)",
        "LookupError as error:\n    print(error)",
    )
    program = program.replace("await system.start(Stubborn)", "pass")

    with on_a_terminal(sys.executable, "-W", "error", "-c", program) as terminal:
        assert terminal.wait_ended() == 0

    assert terminal.shown.split() == ["started", "mine"]
