"""Calls in processes of their own: what they come to, and that nothing is left of them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from jidoka.adapters.tools import tool
from jidoka.core.tools import CallEnd
from jidoka.testing.world import VirtualWorld
from tests.unit.adapters import tools_at_hand as at_hand
from tests.unit.adapters.toolkit import PATIENCE, Outcome, a_box, a_line, call

hangs = tool(at_hand.calls_and_hangs, isolation="process", name="hangs", timeout=60)
leaves = tool(at_hand.leaves_something_behind, isolation="process", name="leaves")
ends = tool(at_hand.ends_by, isolation="process", name="ends", max_output=1_000)


async def test_a_call_is_made_in_another_process() -> None:
    box = a_box(at_hand.add, at_hand.add_slowly, at_hand.describe)

    assert await call(box, "add", a=40) == CallEnd("ok", "42")
    assert await call(box, "add_slowly", a=1, b=2) == CallEnd("ok", "3")
    end = await call(box, "describe", parcel={"weight": 1, "labels": ["a"]}, due="2030-01-01")
    said = json.loads(end.content)
    assert said.pop("pid") != os.getpid()
    assert said == {"weight": 1.0, "weekday": 1, "key": "key_1", "repeat": False}


async def test_a_process_knows_nothing_of_the_line_to_its_house() -> None:
    assert json.loads((await call(a_box(at_hand.knows), "knows", value=1)).content) == [1, "", True]


async def test_bad_arguments_start_no_process() -> None:
    end = await call(a_box(at_hand.add), "add", a="x")

    assert end.outcome == "error"
    assert "a: Input should be a valid integer" in end.content


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raising", "LookupError: not here"),
        ("SystemExit", "SystemExit: 3"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("recursion", "RecursionError: "),
        ("exit", "ended with exit status 3"),
        ("kill", "ended by signal 9"),
        ("large", "2000000 bytes, and 1000 are taken"),
        ("not json", "not JSON"),
        ("closing", "ended with exit status 0"),
    ],
)
async def test_however_a_process_ends_it_is_a_failed_call(how: str, words: str) -> None:
    end = await call(a_box(ends), "ends", how=how)

    assert end.outcome == "error"
    assert words in end.content


@pytest.mark.parametrize("said", ["x" * 100, "well 2\nxx", "ok -5\nxx", "ok 99999999999\nxx", "ok 1\nÿ"])
async def test_an_answer_that_is_none_is_a_failed_call(said: str) -> None:
    end = await call(a_box(ends), "ends", how=said)

    assert end == CallEnd("error", "the tool's process said nothing that can be understood")


async def test_a_call_that_hangs_is_killed_at_its_time_with_all_that_it_has_started() -> None:
    world, outcome = VirtualWorld(), Outcome()
    box = a_box(hangs, world=world)
    async with a_line() as line, anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "hangs", {"port": line.port})
        stream = await line.begun()
        await world.advance(59)
        assert outcome.end is None
        await world.advance(1)
        await line.gone(stream)

    assert outcome.end == CallEnd("error", "no result within 60 s: its process was killed")


async def test_a_call_that_is_cancelled_is_killed_with_all_that_it_has_started() -> None:
    outcome, box = Outcome(), a_box(hangs)
    async with a_line() as line, anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "hangs", {"port": line.port})
        stream = await line.begun()
        outcome.scope.cancel()
        await line.gone(stream)

    assert outcome.end is None
    assert outcome.scope.cancelled_caught


async def test_a_call_that_is_cancelled_at_once_leaves_nothing() -> None:
    outcome, box = Outcome(), a_box(at_hand.add)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, box, "add", {"a": 1})
        await anyio.lowlevel.checkpoint()
        outcome.scope.cancel()

    assert outcome.end is None
    assert "0 at work" in repr(box.processes)


def children() -> set[str]:
    """The processes that this one has started, dead ones that nobody has waited for among them."""
    return {pid for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()}


async def test_a_call_that_is_cancelled_at_any_moment_leaves_no_process() -> None:
    before, box = children(), a_box(at_hand.add)
    for patience in range(0, 40, 5):
        outcome = Outcome()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome.of, box, "add", {"a": 1})
            for _ in range(patience):
                await anyio.lowlevel.checkpoint()
            outcome.scope.cancel()

        assert children() == before
        assert "0 at work" in repr(box.processes)


async def test_what_a_call_leaves_running_is_killed_when_it_ends() -> None:
    async with a_line() as line, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.of, a_box(leaves), "leaves", {"port": line.port})
        await line.gone(await line.begun())

    assert outcome.end == CallEnd("ok", "done")


async def test_so_many_processes_run_at_once() -> None:
    box, outcomes = a_box(hangs, processes=1), [Outcome(), Outcome()]
    async with a_line() as line, anyio.create_task_group() as tasks:
        for outcome in outcomes:
            tasks.start_soon(outcome.of, box, "hangs", {"port": line.port})
        first = await line.begun()
        assert "1 at work" in repr(box.processes)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await line.gone(first)

    assert [outcome.end for outcome in outcomes] == [None, None]


async def test_a_process_that_cannot_be_started_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    end = await call(a_box(at_hand.add), "add", a=1)

    assert end.outcome == "error"
    assert end.content.startswith("FileNotFoundError")


# --- whole programs --------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import anyio
import anyio.lowlevel
from jidoka.adapters.toolbox import Toolbox
from jidoka.adapters.tools import tool
from jidoka.core.tools import CallInfo, ToolLimits
from jidoka.ports.world import SystemWorld
{more}
@tool(isolation="process")
def twice(a: int) -> int:
    return 2 * a

async def main():
    box = Toolbox([twice{names}], limits=ToolLimits(), world=SystemWorld())
    async def call(name, **arguments):
        return await box.chosen({{"tools": [name]}})[name].run(arguments, CallInfo("s", "t", "c", "k"))
{body}

if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1])
"""


def program(path: Path, body: str, *, more: str = "", names: str = "") -> Path:
    script = path / "program.py"
    script.write_text(SCRIPT.format(body=body, more=more, names=names))
    return script


def started(script: Path, **options: Any) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    return subprocess.Popen(
        [sys.executable, str(script), asyncio_or_trio()], env=environment, text=True, stdout=subprocess.PIPE, **options
    )


def asyncio_or_trio() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "trio"
    return "asyncio"


async def test_a_tool_of_a_script_is_found(tmp_path: Path) -> None:
    script = program(tmp_path, "    print((await call('twice', a=21)).content)")

    with started(script) as process:
        out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=PATIENCE))

    assert out == "42\n"


async def test_when_its_house_is_killed_a_call_ends_too(tmp_path: Path) -> None:
    more = "from tests.unit.adapters.tools_at_hand import calls_and_hangs"
    async with a_line() as line:
        body = f"    await call('calls_and_hangs', port={line.port})"
        names = ", tool(calls_and_hangs, isolation='process')"
        with started(program(tmp_path, body, more=more, names=names)) as process:
            stream = await line.begun()
            process.kill()
        await line.gone(stream)


async def test_a_thread_that_hangs_does_not_keep_a_program_from_ending(tmp_path: Path) -> None:
    more = "import time\n@tool(timeout=0.1)\ndef hang() -> None:\n    time.sleep(600)\n"
    script = program(tmp_path, "    print((await call('hang')).content)", more=more, names=", hang")

    with started(script) as process:
        out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=PATIENCE))

    assert out == "no result within 0.1 s: it may still be at work\n"
