"""Tools, as a session's orchestrator sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jidoka.core.tools import CallEnd, CallInfo, ToolSpec


class Tool(Protocol):
    """Something that a model may have done."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told of it."""
        ...

    @property
    def needs_approval(self) -> bool:
        """Whether a person is asked before each call."""
        ...

    async def run(self, arguments: Mapping[str, Any], info: CallInfo) -> CallEnd:
        """Do it. Whatever goes wrong is an `error`: nothing is raised but cancellation, which ends the work as well."""
        ...


class Tools(Protocol):
    """The tools that a house has."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    @property
    def abandoned(self) -> Sequence[str]:
        """The tools of calls that were given up and go on nevertheless; a name for each."""
        ...

    def chosen(self, llm_config: Mapping[str, Any]) -> Mapping[str, Tool]:
        """Those that a session with *llm_config* may use, by name: the ones it lists under `tools`, else none.

        Raises InvalidMessage for one that there is not.
        """
        ...
