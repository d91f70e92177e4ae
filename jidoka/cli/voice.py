"""What a chat shows: text for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from jidoka.cli.output import complain, out, print_table
from jidoka.cli.screen import many_lines, plain
from jidoka.cli.session_output import short_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from jidoka.cli.halts import Halt
    from jidoka.core.errors import JidokaError
    from jidoka.core.messages import Message

# Characters of a call's arguments, or of its result, that a line has room for.
_SHORT: Final = 200


class Voice:
    """Where a chat says things. What a model says is text and never more: a terminal obeys nothing in it.

    What the chat itself says is styled, which no answer can be.
    """

    def __init__(self, *, as_json: bool, is_interactive: bool) -> None:
        self.as_json = as_json
        self.is_interactive = is_interactive and out.is_terminal and not as_json
        """Whether a person sits there and looks."""
        self._is_in_line = False
        # A carriage return that may yet be the first half of a line's end.
        self._return = ""

    def prompt(self, question: str = "") -> None:
        """Ask for a line, where somebody sits."""
        if self.is_interactive:
            self.end_line()
            out.print(Text(f"{question}> ", "bold cyan"), end="", soft_wrap=True)
            out.file.flush()
            self._is_in_line = True

    def entered(self) -> None:
        """A line has been typed: its end was shown by the terminal."""
        self._is_in_line = False

    def piece(self, text: str) -> None:
        """A piece of an answer, at once."""
        if self.as_json:
            self._write({"type": "text", "text": text})
            return
        text = f"{self._return}{text}"
        self._return = "\r" if text.endswith("\r") else ""
        shown = many_lines(text.removesuffix("\r").replace("\r\n", "\n"))
        if shown:
            self._is_in_line = not shown.endswith("\n")
            out.file.write(shown)
            out.file.flush()

    def answered(self, message: Message | None, *, is_heard: bool = True) -> None:
        """The answer is complete. Where not all of its pieces were heard, it is said again as a whole."""
        if self.as_json:
            self._write({"type": "message", "message": message and message.model_dump(mode="json")})
            return
        self.end_line()
        if not is_heard and message is not None:
            self.piece(message.content)
            self.end_line()
        out.file.flush()

    def end_line(self) -> None:
        """What comes next begins a line."""
        self._return = ""
        if self._is_in_line:
            self._is_in_line = False
            out.file.write("\n")

    def tell(self, type: str, text: Text | Table | str | None = None, /, **facts: Any) -> None:
        """*text* for people, *facts* for programs. A plain string is the chat's own, and styled."""
        if self.as_json:
            self._write({**facts, "type": type})
            return
        self.end_line()
        if text is None:
            return
        if isinstance(text, str):
            text = plain(text)
            text.stylize("dim")
        if isinstance(text, Text):
            out.print(text, soft_wrap=True)
        else:
            print_table(text)
        out.file.flush()

    def after_interrupt(self) -> None:
        """A terminal has just shown ^C in the line where it was."""
        self._is_in_line = self._is_in_line or self.is_interactive

    def fail(self, error: JidokaError) -> None:
        """Something could not be done, and the chat goes on."""
        if self.as_json:
            self._write({"type": "error", "code": error.code, "error": str(error)})
            return
        self.end_line()
        out.file.flush()
        complain(plain(str(error)).plain)

    def call(self, data: Mapping[str, Any]) -> None:
        """The model has a tool used."""
        name, arguments = str(data.get("name", "")), data.get("arguments", {})
        shown = Text.assemble("· ", plain(name), " ", plain(short_json(arguments), most=_SHORT), style="dim")
        self.tell("tool_call", shown, **{**data})

    def result(self, data: Mapping[str, Any]) -> None:
        """What came of it."""
        what = data.get("content", data.get("error"))
        said = what if isinstance(what, str) else short_json(what)
        shown = Text.assemble("· ", plain(str(data.get("outcome", ""))), " ", plain(said, most=_SHORT), style="dim")
        self.tell("tool_result", shown, **{**data})

    def halted(self, halt: Halt) -> None:
        """The line has stopped, and why."""
        if self.as_json:
            facts = {"reason": halt.reason, "evidence": halt.evidence, "text": halt.text}
            self._write({"type": "session_halted", **facts, "is_question": halt.is_question})
            return
        self.tell("", Text.assemble(("halted: ", "bold yellow"), plain(halt.reason)))
        for name, value in halt.evidence.items():
            if halt.is_question and value == halt.text:
                continue
            shown = value if isinstance(value, str) else short_json(value)
            self.tell("", Text.assemble((f"  {plain(name).plain}: ", "bold"), plain(shown, most=1_000)))
        if halt.is_question:
            if halt.text:
                self.piece(f"{halt.text}\n")
            self.tell("", "Say something to answer; or /approve, /reject, with a note if you like.")
        else:
            self.tell("", "y or n? Or /approve, /reject, with a note; /answer TEXT tells the model something.")

    def _write(self, value: dict[str, Any]) -> None:
        print(json.dumps(value), flush=True)
