"""Another process that writes to a store."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tests.doors.commands import PROGRAM, environment

_PROGRAM = """
import sys, anyio, jidoka

async def main():
    async with jidoka.Client(sys.argv[1]) as client:
        for number in range(10**9):
            await client.send_message("session_a", "user", f"message {number}")
            if number == 20:
                print("writing", flush=True)

anyio.run(main)
"""


@contextmanager
def writing_to(url: str) -> Generator["subprocess.Popen[str]"]:
    """It writes to `session_a` all the time, and is killed at the end."""
    process = subprocess.Popen([PROGRAM[0], "-c", _PROGRAM, url], stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
        assert process.poll() is None, "it ended by itself"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
