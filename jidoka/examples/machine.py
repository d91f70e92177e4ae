"""How this machine is: its processes and disks, read from /proc and the file systems themselves."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from jidoka.cycles import Observation

FULL: Final = 90
"""Per cent of a disk, or of the memory, above which somebody should know."""
MOST_NAMES: Final = 500
# File systems that hold nothing, or what somebody else looks after.
_NOT_DISKS: Final = frozenset({"squashfs", "iso9660", "overlay"})
QUESTIONS: Final = ("What has changed since the last cycle?", "What should somebody look at first, and why?")


class Process(NamedTuple):
    """One row of the process table."""

    pid: int
    name: str
    state: str
    pages: int


class Machine(NamedTuple):
    """Everything that was read, at about one time."""

    processes: Sequence[Process]
    disks: Mapping[str, int]
    """Per cent in use, by mount point."""
    memory: int | None
    """Per cent in use."""
    load: str | None


def read_machine(proc: Path = Path("/proc")) -> Machine:
    """Look at everything. What cannot be read, or has gone meanwhile, is left out."""
    load = _text(proc / "loadavg").split()[:3]
    return Machine(list(_processes(proc)), dict(_disks(proc)), _memory(proc), " ".join(load) or None)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _processes(proc: Path) -> Iterator[Process]:
    for place in sorted(proc.glob("[0-9]*"), key=lambda place: place.name.zfill(10)):
        # The name may have spaces and brackets in it: the last bracket ends it.
        head, _, tail = _text(place / "stat").rpartition(")")
        fields = tail.split()
        if len(fields) > 21:
            yield Process(int(place.name), head.partition("(")[2], fields[0], int(fields[21]))


def _disks(proc: Path) -> Iterator[tuple[str, int]]:
    for line in _text(proc / "mounts").splitlines():
        device, mount, kind, *_ = [*line.split(), "", "", ""]
        if not device.startswith("/dev/") or kind in _NOT_DISKS:
            continue
        mount = mount.replace("\\040", " ")
        used = _used(mount)
        if used is not None:
            yield mount, used


def _used(mount: str) -> int | None:
    try:
        found = os.statvfs(mount)
    except OSError:
        return None
    room = found.f_blocks - found.f_bfree + found.f_bavail
    # Bind mounts of single files are not disks.
    return round(100 * (1 - found.f_bavail / room)) if room and Path(mount).is_dir() else None


def _memory(proc: Path) -> int | None:
    rows = (line.split() for line in _text(proc / "meminfo").splitlines())
    known = {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
    total, free = known.get("MemTotal:"), known.get("MemAvailable:")
    return round(100 * (1 - free / total)) if total and free is not None else None


def observation_of(machine: Machine, before: Any) -> Observation:
    """What to tell the model: how it is, and what is different from *before*, the facts of the last cycle."""
    names = dict(sorted(Counter(process.name for process in machine.processes).items())[:MOST_NAMES])
    facts = {"processes": names, "disks": dict(machine.disks)}
    return Observation(
        title="This machine",
        figures=_figures(machine),
        findings=(*_trouble(machine), *_changes(before, facts)),
        questions=QUESTIONS,
        facts=facts,
    )


def _figures(machine: Machine) -> dict[str, Any]:
    largest = max(machine.processes, key=lambda process: process.pages, default=None)
    known = {
        "Processes": len(machine.processes),
        "Largest process": None if largest is None else f"{largest.name} ({largest.pid})",
        "Load": machine.load,
        "Memory in use": None if machine.memory is None else f"{machine.memory} %",
        **{f"Disk {mount}": f"{used} % in use" for mount, used in machine.disks.items()},
    }
    return {name: value for name, value in known.items() if value is not None}


def _trouble(machine: Machine) -> Iterator[str]:
    for mount, used in machine.disks.items():
        if used >= FULL:
            yield f"disk {mount} is {used} % full"
    if machine.memory is not None and machine.memory >= FULL:
        yield f"memory is {machine.memory} % full"
    zombies = sum(process.state == "Z" for process in machine.processes)
    if zombies:
        yield f"zombie processes: {zombies}"


def _changes(before: Any, now: Mapping[str, Any]) -> Iterator[str]:
    if before is None:
        yield "first look: there is nothing to compare with"
        return
    old, new = Counter[str](before["processes"]), Counter[str](now["processes"])
    yield from (f"started: {count} x {name}" for name, count in sorted((new - old).items()))
    yield from (f"ended: {count} x {name}" for name, count in sorted((old - new).items()))
    for mount, used in now["disks"].items():
        was = before["disks"].get(mount, used)
        if used != was:
            yield f"disk {mount} went from {was} % to {used} %"
