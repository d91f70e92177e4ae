"""The tools of a house: each knows how it is run, and whatever goes wrong in one is its result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from anyio import get_cancelled_exc_class

from jidoka.actors.backend import Backend
from jidoka.adapters.tool_places import place_of
from jidoka.adapters.tool_processes import ToolProcesses
from jidoka.adapters.tool_threads import ToolThreads
from jidoka.adapters.tools import FunctionTool, declared
from jidoka.adapters.waiting import in_time
from jidoka.core.errors import InvalidMessage
from jidoka.core.signatures import BadArguments, Signature
from jidoka.core.tool_results import ended, failed, refused
from jidoka.core.tools import CallEnd, CallInfo, ToolLimits, ToolSpec, chosen_of

if TYPE_CHECKING:
    from jidoka.ports.tools import Tool
    from jidoka.ports.world import World

log: Final = logging.getLogger("jidoka.tools")

_ITS_EFFECT: Final = {
    "loop": "it was called off",
    "thread": "it may still be at work",
    "process": "its process was killed",
}


class Toolbox:
    """A `Tools`. Made on the loop."""

    def __init__(self, tools: Iterable[Any], *, limits: ToolLimits, world: World) -> None:
        """Raises InvalidMessage for what cannot be a tool."""
        self.backend = Backend()
        self.world = world
        self.limits = limits
        self.threads = ToolThreads(self.backend, world, most=limits.threads, most_hung=limits.hung)
        self.processes = ToolProcesses(world, most=limits.processes)
        self._tools: dict[str, Tool] = {}
        for item in _several(tools):
            self._add(HouseTool(declared(item), self))

    def __repr__(self) -> str:
        return f"<Toolbox: {', '.join(self._tools) or 'empty'}>"

    def __len__(self) -> int:
        return len(self._tools)

    def _add(self, tool: Tool) -> None:
        name = tool.spec.name
        if name in self._tools:
            raise InvalidMessage(f"two tools are called {name!r}", field="tools")
        self._tools[name] = tool

    @property
    def abandoned(self) -> tuple[str, ...]:
        """The tools of calls that were given up and go on nevertheless; a name for each."""
        return tuple(self.threads.abandoned.elements())

    def chosen(self, llm_config: Mapping[str, Any]) -> Mapping[str, Tool]:
        """Those that *llm_config* lists. Raises InvalidMessage."""
        return chosen_of(self._tools, llm_config)


class HouseTool:
    """A function that a model may have called."""

    def __init__(self, tool: FunctionTool[..., Any], box: Toolbox) -> None:
        self._tool = tool
        self._box = box
        self._signature = Signature(tool.function, tool.name)
        self._place = place_of(tool.function, tool.name) if tool.isolation == "process" else None
        self._timeout = box.limits.timeout if tool.timeout is None else float(tool.timeout)
        self._most = box.limits.output if tool.max_output is None else tool.max_output
        self.spec = ToolSpec(name=tool.name, description=tool.description, parameters=self._signature.schema)

    def __repr__(self) -> str:
        return f"<HouseTool {self.spec.name}: {self._way}>"

    @property
    def needs_approval(self) -> bool:
        """Whether a person is asked before each call."""
        return self._tool.needs_approval

    @property
    def _way(self) -> str:
        if self._place is not None:
            return "process"
        return "loop" if self._tool.is_async else "thread"

    async def run(self, arguments: Mapping[str, Any], info: CallInfo) -> CallEnd:
        """Raises nothing but cancellation."""
        try:
            values = self._signature.bind(arguments, info)
            return await self._run(arguments, values, info)
        except BadArguments as error:
            return refused(error)
        except TimeoutError:
            return CallEnd("error", f"no result within {self._timeout:g} s: {_ITS_EFFECT[self._way]}")
        except Exception as error:
            # Not the tool: no process could be started, for instance.
            return self._failed(error, info)

    async def _run(self, arguments: Mapping[str, Any], values: dict[str, Any], info: CallInfo) -> CallEnd:
        name, box = self.spec.name, self._box
        if self._place is not None:
            limits = (self._timeout, self._most)
            return await box.processes.run(name, self._place, arguments, info, *limits)
        if not self._tool.is_async:
            return await box.threads.run(name, lambda: self._on_a_thread(values, info), self._timeout)
        return await in_time(box.world, box.world.monotonic() + self._timeout, lambda: self._on_the_loop(values, info))

    def _on_a_thread(self, values: dict[str, Any], info: CallInfo) -> CallEnd:
        try:
            return ended(self._function(**values), most=self._most)
        except BaseException as error:
            return self._failed(error, info)

    async def _on_the_loop(self, values: dict[str, Any], info: CallInfo) -> CallEnd:
        try:
            return ended(await self._function(**values), most=self._most)
        except get_cancelled_exc_class() as error:
            # A tool may raise one by itself.
            if self._box.backend.is_being_cancelled():
                raise
            return self._failed(error, info)
        except KeyboardInterrupt:
            # Somebody at the keyboard, for this is their thread.
            raise
        except BaseException as error:
            return self._failed(error, info)

    @property
    def _function(self) -> Callable[..., Any]:
        return self._tool.function

    def _failed(self, error: BaseException, info: CallInfo) -> CallEnd:
        facts = {"tool": self.spec.name, "session_id": info.session_id, "call_id": info.call_id}
        log.info("tool failed", exc_info=error, extra=facts)
        return failed(error)


def _several(tools: Any) -> list[Any]:
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise InvalidMessage(f"tools is a list of functions, not {type(cast('Any', tools)).__name__}", field="tools")
    return list(cast("Iterable[Any]", tools))
