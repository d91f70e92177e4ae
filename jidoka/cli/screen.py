"""How the demo looks: on a terminal a supervision tree that lives below what is said, elsewhere plain lines."""

from __future__ import annotations

import unicodedata
from errno import EPIPE
from typing import TYPE_CHECKING, Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from jidoka.core.views import TreeNode

MARKS = {"running": ("●", "green"), "restarting": ("○", "yellow"), "stopped": ("✗", "red"), "abandoned": ("?", "red")}
# Nothing but where a line ends, and what joins and parts the letters of some languages.
_HARMLESS: Final = frozenset("\n\t\u200c\u200d")
LEGEND = "● running   ○ restarting   ✗ broken a moment ago   ↻ how often it was started again"


class Output(Console):
    """A console that leaves it to the command what to do when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(EPIPE, "nobody reads this")


class Screen:
    """Where a demo is shown."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """One more line. On a terminal, above the tree."""
        self._console.print(Text(text, style))

    def heading(self, text: str) -> None:
        """The title of what follows."""
        self._console.print(Text(f"\n{text}", "bold"))

    def show(self, node: TreeNode, *, broken: str | None = None) -> None:
        """The tree, with the actor of the URN *broken* and all below it marked. Only a terminal sees every one."""
        if self._live is not None:
            self._live.update(drawn(node if broken is None else _marked(node, broken)), refresh=True)

    def show_still(self, node: TreeNode) -> None:
        """A tree for those who have no terminal: before, and after."""
        if self._live is None:
            self._console.print(drawn(node))


def drawn(node: TreeNode) -> Group:
    """A tree in which a supervisor of workers and its workers share a line, so that it fits on a screen."""
    tree = Tree(_label(node))
    _draw(node, tree)
    return Group(Text(), tree, Text(LEGEND, "dim"))


def _marked(node: TreeNode, urn: str, *, is_below: bool = False) -> TreeNode:
    is_broken = is_below or node.ref == urn
    children = tuple(_marked(child, urn, is_below=is_broken) for child in node.children)
    return node.model_copy(update={"state": "stopped" if is_broken else node.state, "children": children})


def _draw(node: TreeNode, tree: Tree) -> None:
    for child in node.children:
        if child.children and not any(grandchild.children for grandchild in child.children) and child.session_id:
            tree.add(Text("   ").join([_label(child), *map(_label, child.children)]))
        else:
            _draw(child, tree.add(_label(child)))


def _label(node: TreeNode) -> Text:
    mark, color = MARKS[node.state]
    again = f" ↻{node.restarts}" if node.restarts else ""
    return Text.assemble(short(node.id), " ", (mark, color), (again, "bold yellow"))


def short(name: str) -> str:
    """A session's id as people can tell it from others; any other name as it is."""
    return f"session …{name[-6:]}" if name.startswith("session_") else name


def count_table(outcome: dict[str, Any]) -> Table:
    """What came of it."""
    table = Table(show_header=False, title="messages", title_justify="left")
    table.add_row("acknowledged", str(outcome["acknowledged"]))
    table.add_row("lost", str(outcome["lost"]), style="green" if outcome["lost"] == 0 else "bold red")
    table.add_row("things broken", str(len(outcome["broken"])))
    table.add_row("restarts", str(outcome["restarts"]))
    table.add_row("turns that broke off", str(outcome["broken_off"]))
    return table


def plain(text: str, *, most: int = 10_000) -> Text:
    """What somebody else has written: on one line, without anything that a terminal would obey."""
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return Text("".join(char if char.isprintable() else _escaped(char) for char in shown))


def many_lines(text: str) -> str:
    """What somebody else has written, with its lines, tabs and spaces, and without anything else that a terminal obeys.

    Nor with what turns the direction of letters round.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _HARMLESS or unicodedata.category(char) == "Zs" else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
