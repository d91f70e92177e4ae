"""Tools for tests, at the top of a module, where a process of its own finds them."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from datetime import date
from typing import Any

from pydantic import BaseModel

from jidoka.adapters.tools import tool
from jidoka.core.tools import CallInfo


class Parcel(BaseModel):
    """Something that has a type of its own."""

    weight: float
    labels: set[str] = set()


@tool(isolation="process")
def add(a: int, b: int = 2) -> int:
    return a + b


@tool(isolation="process")
async def add_slowly(a: int, b: int) -> int:
    return a + b


@tool(isolation="process")
def describe(parcel: Parcel, due: date, info: CallInfo) -> dict[str, Any]:
    print("this is for people")
    weekday = due.weekday()
    return {"weight": parcel.weight, "weekday": weekday, "key": info.key, "repeat": info.is_repeat, "pid": os.getpid()}


@tool(isolation="process")
def knows(value: int) -> list[Any]:
    """What it can see of the process that asked."""
    return [value, sys.stdin.read(), os.getpgid(0) == os.getpid()]


def calls_and_hangs(port: int) -> None:
    """Calls its test, starts a process that holds on to the line as well, and never ends."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(90)"]
        with subprocess.Popen(sleeper, pass_fds=[line.fileno()]):
            line.send(b"here")
            time.sleep(90)


def leaves_something_behind(port: int) -> str:
    """Calls its test, starts a process that holds on to the line, and ends."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(90)"]
        process = subprocess.Popen(sleeper, pass_fds=[line.fileno()], stdout=subprocess.DEVNULL)
        line.send(b"here")
        # Python complains of a process that nobody has waited for.
        process.returncode = 0
    return "done"


def ends_by(how: str) -> str:
    """Ends in every way but a good one."""
    match how:
        case "raising":
            raise LookupError("not here")
        case "SystemExit":
            raise SystemExit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "recursion":
            return ends_by(how)
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "large":
            return "x" * 2_000_000
        case "not json":
            return object()  # pyright: ignore[reportReturnType]
        case "closing":
            os.closerange(3, 100)
            os._exit(0)
        case _:
            _say_to_the_house(how)
    time.sleep(90)
    return how


def _say_to_the_house(what: str) -> None:
    """Where the answer goes, wherever that is."""
    for line in range(3, 20):
        try:
            if stat.S_ISFIFO(os.fstat(line).st_mode):
                os.write(line, what.encode())
        except OSError:
            continue
