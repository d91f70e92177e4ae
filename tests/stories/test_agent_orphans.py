"""Our own process is killed with SIGKILL, and can do nothing any more: what it had started ends all the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.settings import Settings
from tests.stories.agent_house import TURNS
from tests.stories.agents import gone, processes_of
from tests.stories.kit import PATIENCE, journal

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loop", "number"),
    [
        pytest.param(["asyncio"], signal.SIGKILL, id="asyncio"),
        pytest.param(["asyncio", "uvloop"], signal.SIGKILL, id="uvloop"),
        pytest.param(["trio"], signal.SIGKILL, id="trio"),
        pytest.param(["asyncio"], signal.SIGABRT, id="abort"),
    ],
)
def test_no_process_outlives_ours(tmp_path: Path, loop: list[str], number: signal.Signals) -> None:
    store = f"sqlite:///{tmp_path}/x.db"
    command = [sys.executable, "-m", "tests.stories.agent_house", store, *loop]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as house:
        assert house.stdout is not None
        sessions = [house.stdout.readline().strip() for _ in TURNS]
        before = {session: processes_of(session) for session in sessions}
        os.kill(house.pid, number)
        house.wait()

    anyio.run(gone, *(pid for pids in before.values() for pid in pids))
    # The program with its guard; and one of them has two children.
    assert [len(before[session]) for session in sessions] == [4, 2, 2, 2]
    assert not any(processes_of(session) for session in sessions)
    anyio.run(no_turn_is_open, store, sessions)


async def no_turn_is_open(store: str, sessions: list[str]) -> None:
    """The next process finds them, and closes what was interrupted."""
    async with Client(store, settings=Settings()) as client:
        with anyio.fail_after(PATIENCE):
            for session_id in sessions:
                assert await client.session(session_id).get_history() == []
                types = [entry.type for entry in await journal(client, client.session(session_id))]
                assert "turn_failed" in types
