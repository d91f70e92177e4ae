"""Programs that stand in for agents, and how to name them."""

import sys
from pathlib import Path
from typing import Any

from jidoka.core.agents import AgentCommand

HERE = Path(__file__).parent


def command(program: str, *arguments: str, **options: Any) -> AgentCommand:
    """The agent of the file *program*, with *arguments*."""
    return AgentCommand(argv=(sys.executable, "-S", str(HERE / f"{program}.py"), *arguments), **options)


def official(program: str, *arguments: str, **options: Any) -> AgentCommand:
    """The same for one that needs packages."""
    return AgentCommand(argv=(sys.executable, str(HERE / f"{program}.py"), *arguments), **options)
