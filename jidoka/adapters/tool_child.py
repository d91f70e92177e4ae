"""The other side of `tool_processes`: a process that makes one call of one tool, and is killed.

It reads what to do from its standard input, which stays open as long as somebody waits: when that ends, so does it,
with every process that the tool has started. The answer goes out where standard output was; what the tool prints goes
to standard error.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import threading
from typing import Any, BinaryIO

from jidoka.adapters.tool_places import Place
from jidoka.core.signatures import BadArguments, Signature
from jidoka.core.tool_results import ended, failed, refused
from jidoka.core.tools import CallEnd, CallInfo


def main() -> None:
    """Does not return."""
    asked = os.fdopen(os.dup(0), "rb")
    told = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    request = json.loads(asked.readline())
    threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
    _tell(told, _call(request))
    while True:
        # Whoever asked kills this process, and what the tool has left running.
        signal.pause()


def _end_with(asked: BinaryIO) -> None:
    asked.read()
    os.killpg(0, signal.SIGKILL)


def _tell(told: int, end: CallEnd) -> None:
    content = end.content.encode()
    rest = memoryview(b"%s %d\n%s" % (end.outcome.encode(), len(content), content))
    while rest:
        rest = rest[os.write(told, rest) :]


def _call(request: dict[str, Any]) -> CallEnd:
    try:
        function = Place(**request["place"]).find()
        signature = Signature(function, request["name"])
        values = signature.bind(request["arguments"], CallInfo(**request["info"]))
        result = function(**values)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        return ended(result, most=request["most"])
    except BadArguments as error:
        return refused(error)
    except BaseException as error:
        return failed(error)
