"""Where a function is found again by a process of its own: at the top of a module, by its name."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from jidoka.adapters.tools import FunctionTool
from jidoka.core.errors import InvalidMessage

MAIN: Final = "__mp_main__"
"""What a script is called in a process that only wants its functions: multiprocessing's name for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """`script` is the file of a program that was started by its path: it is no module that can be imported."""

    module: str
    qualname: str
    script: str | None = None

    def find(self) -> Callable[..., Any]:
        """The function itself, whatever stands for it. Imports its module, or runs its script."""
        if self.script is not None and MAIN not in sys.modules:
            main = type(sys)(MAIN)
            sys.modules[MAIN] = main
            main.__dict__.update(runpy.run_path(self.script, run_name=MAIN))
        module = importlib.import_module(MAIN if self.script is not None else self.module)
        return function_of(reduce(getattr, self.qualname.split("."), module))


def function_of(found: Any) -> Any:
    """A function under a decorator of ours is what it wraps."""
    return found.function if isinstance(found, FunctionTool) else found


def place_of(function: Callable[..., Any], name: str) -> Place:
    """Raises InvalidMessage for a function that nobody could find from outside."""
    module = str(getattr(function, "__module__", ""))
    qualname = str(getattr(function, "__qualname__", ""))
    try:
        found = function_of(reduce(getattr, qualname.split("."), sys.modules[module]))
    except (AttributeError, KeyError):
        found = None
    if found is not function:
        text = f'tool {name!r}: isolation="process" is for functions at the top of a module, under their own name'
        raise InvalidMessage(text, field="tools")
    if module != "__main__":
        return Place(module, qualname)
    main = sys.modules[module]
    spec, script = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return Place(spec.name, qualname)
    if script is not None:
        return Place(module, qualname, script)
    raise InvalidMessage(f'tool {name!r}: isolation="process" needs a module that can be imported', field="tools")
