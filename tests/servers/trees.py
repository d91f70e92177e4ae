"""A process and all that came of it, read from /proc."""

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def tree_of(pid: int) -> list[int]:
    """*pid* and everything below it, parents first. Sessions and groups of their own do not hide it."""
    children: dict[int, list[int]] = {}
    for found in PROC.iterdir():
        if found.name.isdigit() and (parent := _parent(found)) is not None:
            children.setdefault(parent, []).append(int(found.name))
    tree = [pid]
    for member in tree:
        tree.extend(children.get(member, []))
    return tree


def signal_tree(pid: int, number: signal.Signals) -> list[int]:
    """Send it to all of them, and answer who they were."""
    tree = tree_of(pid)
    for member in tree:
        try:
            os.kill(member, number)
        except ProcessLookupError:
            continue
    return tree


def is_alive(pid: int) -> bool:
    """Whether it runs, or could: what is dead and only waits to be noticed does not."""
    state = _stat(PROC / str(pid))
    return state is not None and state[0] not in "ZX"


def _parent(process: Path) -> int | None:
    state = _stat(process)
    return None if state is None else int(state[1])


def _stat(process: Path) -> list[str] | None:
    """The fields after the name, which may have anything in it."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
