"""`python -m jidoka.examples.monitor`: it watches this machine, and is killed while it does."""

import json
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.chunks import Usage
from jidoka.cycles import Cycle
from jidoka.examples.machine import Machine, Process, observation_of, read_machine
from jidoka.examples.monitor import main, shown
from tests.doors.commands import environment

PROGRAM = [sys.executable, "-W", "error", "-m", "jidoka.examples.monitor"]


def cycles_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_three_cycles_over_a_kill(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/monitor.db"
    # Killed when it has looked: the second cycle is open, or about to be.
    command = [*PROGRAM, "--store", store, "--every", "0.3", "--json", "--verbose"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("looked") and len(cycles_of("".join(lines))) == 1:
            process.kill()
            break
    lines += process.stdout.readlines()
    assert process.wait(20) == -signal.SIGKILL
    process.stdout.close()
    before = cycles_of("".join(lines))

    command = [*PROGRAM, "--store", store, "--every", "0.3", "--json", "--cycles", str(3 - len(before))]
    again = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=40, check=False)

    assert (again.returncode, again.stderr) == (0, "")
    after = cycles_of(again.stdout)
    assert [cycle["number"] for cycle in before + after] == [1, 2, 3]
    assert {cycle["status"] for cycle in after} == {"answered"}
    turns, count = anyio.run(looked_at, store)
    assert turns == Counter({1: 1, 2: 1, 3: 1})
    assert count == 3


async def looked_at(store: str) -> tuple[Counter[int], int]:
    """How often each cycle's turn was completed, and how many turns the session counts."""
    async with Client(store) as client:
        session = client.session("machine-monitor")
        asked = [m for m in await session.get_history() if m.role == "user"]
        turns = Counter(int(str(m.metadata["turn_id"]).split(":")[2]) for m in asked)
        return turns, (await session.context_stats()).cycle_count


def test_people_are_shown_each_cycle_and_what_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--store", f"sqlite:///{tmp_path}/monitor.db", "--every", "0.1", "--cycles", "2", "--compare"])

    shown = capsys.readouterr()
    assert (status, shown.err) == (0, "")
    assert "cycle 1 · " in shown.out
    assert "This machine, cycle 2" in shown.out
    assert "first look: there is nothing to compare with" in shown.out
    assert "  2 cycles: persistent " in shown.out


def test_what_is_unknown_is_shown_as_such() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    cycle = Cycle(
        session_id="web-monitor",
        number=7,
        status="unknown",
        text="UNKNOWN: assume the worst",
        reason="cut_off",
        due=at,
        began_at=at,
        ended_at=at,
        attempts=3,
        missed=2,
        unknown_in_a_row=4,
        usage=Usage(input_tokens=5, cost=0.25),
    )

    assert shown(cycle).splitlines() == [
        "cycle 7 · 2030-01-01 00:00:00 · unknown (cut_off) · 5 tokens in, 0 out, cost 0.2500",
        "  2 cycles before it did not take place",
        "  4 cycles in a row without an answer: look at the monitor",
        "  UNKNOWN: assume the worst",
    ]
    told = cycle.model_copy(update={"status": "answered", "text": "You must sweep the floor."})
    assert shown(told).splitlines()[-1] == "  to do (high): You must sweep the floor."


@pytest.mark.slow
def test_it_ends_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    command = [*PROGRAM, "--store", f"sqlite:///{tmp_path}/monitor.db", "--every", "100"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("cycle 1")
    process.send_signal(signal.SIGTERM)

    _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (128 + signal.SIGTERM, "")


@pytest.mark.parametrize(
    ("args", "word"),
    [(("--every", "0"), "every"), (("--session", "x"), "session id"), (("--model", "ekko"), "ekko")],
)
def test_what_cannot_be_is_said_in_a_line(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], word: str) -> None:
    status = main(["--store", "memory://", "--cycles", "1", *args])

    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert word in said.err
    assert said.err.count("\n") == 1


def test_no_cycles_are_no_cycles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", "memory://", "--cycles", "0"]) == 0
    assert capsys.readouterr().out == ""


# --- what it looks at ---------------------------------------------------------------------------------------------


def test_this_machine_can_be_read() -> None:
    machine = read_machine()

    assert len(machine.processes) > 0
    assert all(0 <= used <= 100 for used in machine.disks.values())
    observation = observation_of(machine, None)
    assert observation.figures["Processes"] == len(machine.processes)
    assert observation.findings[-1] == "first look: there is nothing to compare with"


def a_proc(place: Path, names: dict[int, str], *, available: int = 50) -> Path:
    place.mkdir()
    for pid, name in names.items():
        (place / str(pid)).mkdir()
        state = "Z" if "zombie" in name else "S"
        (place / str(pid) / "stat").write_text(f"{pid} ({name}) {state} " + " ".join(map(str, range(40))))
    (place / "meminfo").write_text(f"MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
    (place / "loadavg").write_text("0.10 0.20 0.30 1/200 12345\n")
    mounts = f"/dev/a {place.parent} ext4 rw 0 0\n/dev/b /no/such/place ext4 rw 0 0\nproc /proc proc rw 0 0\n"
    (place / "mounts").write_text(mounts)
    return place


def test_processes_with_strange_names_are_read(tmp_path: Path) -> None:
    machine = read_machine(a_proc(tmp_path / "proc", {7: "a) b (c", 12: "x"}))

    assert machine.processes == [Process(7, "a) b (c", "S", 20), Process(12, "x", "S", 20)]
    assert (machine.memory, machine.load) == (50, "0.10 0.20 0.30")
    assert list(machine.disks) == [str(tmp_path)]


def test_what_changed_since_the_last_look_is_found(tmp_path: Path) -> None:
    old = read_machine(a_proc(tmp_path / "old", {1: "init", 2: "web", 3: "web"}))
    new = read_machine(a_proc(tmp_path / "new", {1: "init", 4: "web", 5: "db", 6: "zombie"}, available=5))

    observation = observation_of(new, observation_of(old, None).facts)

    assert set(observation.findings) >= {
        "memory is 95 % full",
        "zombie processes: 1",
        "started: 1 x db",
        "started: 1 x zombie",
        "ended: 1 x web",
    }


def test_disks_that_fill_up_are_found() -> None:
    before = observation_of(Machine([], {"/": 50, "/data": 80}, None, None), None).facts

    observation = observation_of(Machine([], {"/": 50, "/data": 95, "/new": 10}, None, None), before)

    assert observation.findings == ("disk /data is 95 % full", "disk /data went from 80 % to 95 %")


def test_a_machine_without_proc_is_not_an_error(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "nothing")

    assert observation_of(machine, None).figures == {"Processes": 0}
