"""Stands between jidoka and an agent process, so that nothing of it outlives jidoka: a program of its own.

    python -I -S agent_guard.py LIFELINE PROGRAM ARGUMENT …

It starts the program and waits for whichever comes first: the program's end, or the end of the pipe LIFELINE, whose
other end jidoka holds and the system closes even when jidoka is killed. Then it kills whatever descends from the
program, also what has left its process group (Linux: orphans become the guard's), and ends as the program did. It
imports nothing of jidoka, and next to nothing else: it has to start quickly.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_NOT_EXECUTABLE = 126


def main() -> int:
    """Guard the program. What to exit with."""
    lifeline, argv = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(lifeline, False)
    ours = os.getpid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # The whole group gets SIGTERM; the guard goes last.
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    wake = _woken_by_children()
    program = os.fork()
    if not program:
        _become(argv, ours)
    # Only the program and its own children hold its pipes.
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    status = _status_of(program, lifeline, wake)
    _kill_descendants()
    return 128 + signal.SIGKILL if status is None else status


def _woken_by_children() -> int:
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(writing)
    return reading


def _nothing(*_: object) -> None:
    """Python writes to the wake-up pipe for signals that have a handler."""


def _become(argv: list[str], parent: int) -> None:
    try:
        signal.set_wakeup_fd(-1)
        # Python ignores SIGPIPE, and that would be inherited.
        for number in (*_DEAF_TO, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_NOT_EXECUTABLE)


def _status_of(program: int, lifeline: int, wake: int) -> int | None:
    """How the program ended, as a shell would say it; None if the lifeline was cut before."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {end for end, _ in poll.poll()}
        if wake in ready:
            os.read(wake, 4096)
            while (found := _reaped()) is not None:
                if found[0] == program:
                    code = os.waitstatus_to_exitcode(found[1])
                    return code if code >= 0 else 128 - code
        if lifeline in ready:
            return None


def _reaped() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _kill_descendants() -> None:
    """Kill the children; theirs become ours, and so on until there are none."""
    while True:
        for child in _children():
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    ours = os.getpid()
    try:
        with open(f"/proc/{ours}/task/{ours}/children") as listed:
            return [int(child) for child in listed.read().split()]
    except OSError:
        # Not Linux, or without this file: the whole group, the guard with it.
        os.killpg(0, signal.SIGKILL)
        return []


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
