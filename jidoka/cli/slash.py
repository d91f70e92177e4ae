"""What begins with a slash in a chat."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from jidoka.cli.files import write_whole
from jidoka.cli.screen import plain
from jidoka.cli.session_output import fields_of, in_a_line, said
from jidoka.core import checks
from jidoka.core.errors import InvalidMessage

if TYPE_CHECKING:
    from jidoka.cli.conversation import Conversation

# Messages and entries that are shown when nobody says how many.
_LAST: Final = 20
AT_ONCE: Final = (["/halt"], ["/quit"], ["/exit"])
"""These are for the turn that is under way, not for after it."""


async def carry_out(chat: Conversation, text: str) -> bool:
    """Do what *text* says. True when it has decided about a halt. Raises InvalidMessage for what there is not."""
    word, _, rest = text.removeprefix("/").partition(" ")
    name = _ALIASES.get(word, word)
    if name not in COMMANDS:
        near = get_close_matches(word, COMMANDS, n=1)
        hint = f"; do you mean /{near[0]}?" if near else ""
        raise InvalidMessage(
            f"there is no /{word:.40}{hint} /help lists the commands, // begins a message with a slash"
        )
    return await COMMANDS[name].work(chat, rest.strip()) is True


async def _help(chat: Conversation, rest: str) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, command in COMMANDS.items():
        table.add_row(Text(f"/{name} {command.usage}", "bold"), command.what)
    chat.voice.tell("help", table, commands={f"/{name}": command.what for name, command in COMMANDS.items()})
    chat.voice.tell(
        "", "Anything else is for the model. Ctrl-C cancels a turn; at the prompt, or a second time, it leaves."
    )


async def _history(chat: Conversation, rest: str) -> None:
    messages = await chat.session.get_history(limit=_count(rest, _LAST))
    found = Text("\n").join(map(said, messages)) if messages else "Nothing has been said."
    chat.voice.tell("history", found, messages=[message.model_dump(mode="json") for message in messages])


async def _context(chat: Conversation, rest: str) -> None:
    stats, context = await chat.session.context_stats(), await chat.session.build_context()
    keys = await chat.session.context_keys()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in {
        "messages": f"{stats.message_count}, of which the model sees {len(context.conversation)}",
        "tokens": f"about {stats.estimated_tokens:,} of {stats.max_context_tokens:,}: {stats.context_percentage:.1f} %",
        "turns": f"{stats.cycle_count}",
        "files": f"{stats.active_file_count}",
        "working context": ", ".join(keys) or "empty",
    }.items():
        table.add_row(Text(name, "bold"), plain(value, most=1_000))
    chat.voice.tell("context", table, stats=stats.model_dump(mode="json"), seen=len(context.conversation), keys=keys)


async def _files(chat: Conversation, rest: str) -> None:
    what, _, path = rest.partition(" ")
    match what, path.strip():
        case "", "":
            files = await chat.session.get_active_files()
        case "add", path if path:
            files = await chat.session.add_file(path)
        case "remove", path if path:
            files = await chat.session.remove_file(path)
        case _:
            raise InvalidMessage("/files, /files add PATH or /files remove PATH", field="files")
    found = Text("\n").join(plain(file.path) for file in files) if files else "No files."
    chat.voice.tell("files", found, files=[file.model_dump(mode="json") for file in files])


async def _fork(chat: Conversation, rest: str) -> None:
    if chat.is_in_turn:
        raise InvalidMessage("a turn is open: decide about it first, or cancel it with Ctrl-C")
    origin = chat.session
    at = _count(rest, 0) or (await origin.info()).last_seq
    chat.session, chat.halt = await origin.fork(at=at), None
    told = f"Now in {chat.session.id}, a fork of {origin.id} at entry {at}, which stays as it was."
    chat.voice.tell("forked", told, session_id=chat.session.id, forked_from={"session_id": origin.id, "seq": at})


async def _events(chat: Conversation, rest: str) -> None:
    count = _count(rest, _LAST)
    last = (await chat.session.info()).last_seq
    first = max(last - count, 0)
    entries = await chat.store.read(chat.session.id, after=first, limit=last - first)
    chat.voice.tell("events", Text("\n").join(map(in_a_line, entries)), events=[fields_of(entry) for entry in entries])


async def _export(chat: Conversation, rest: str) -> None:
    import json

    path = _path(rest or f"{chat.session.id}.json")
    document = await chat.session.export()
    try:
        write_whole(path, f"{json.dumps(document)}\n".encode())
    except OSError as error:
        raise InvalidMessage(f"{path}: {error.strerror or error}", field="export") from error
    count = len(document["entries"])
    chat.voice.tell("exported", f"{path}: {count} entries.", session_id=chat.session.id, file=str(path), entries=count)


def _path(text: str) -> Path:
    # Not Path.expanduser, which raises where there is no such home.
    return Path(os.path.expanduser(text))


async def _halt(chat: Conversation, rest: str) -> None:
    await chat.session.halt(reason=rest or "a person has asked for it")


async def _approve(chat: Conversation, rest: str) -> bool:
    return await chat.decide("approve", rest)


async def _reject(chat: Conversation, rest: str) -> bool:
    return await chat.decide("reject", rest)


async def _answer(chat: Conversation, rest: str) -> bool:
    return await chat.send_input(rest)


async def _resume(chat: Conversation, rest: str) -> bool:
    return await chat.resume()


async def _model(chat: Conversation, rest: str) -> None:
    if rest:
        raise InvalidMessage(
            "a session keeps the model that it was made with: `jidoka chat --model NAME` makes another"
        )
    config = (await chat.session.info()).llm_config
    name = str(config.get("model", "echo"))
    chat.voice.tell("model", plain(name), model=name, llm_config=config)


async def _quit(chat: Conversation, rest: str) -> None:
    chat.leave()


def _count(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise InvalidMessage(f"{text!r:.40} is not a number from 1 on")
    return checks.count(int(text), field="number", least=1)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a chat can be told to do."""

    usage: str
    what: str
    work: Callable[[Conversation, str], Awaitable[bool | None]]


COMMANDS: Final = {
    "help": Command("", "this list", _help),
    "history": Command("[N]", f"the last N messages, or {_LAST}", _history),
    "context": Command("", "how much there is, and what of it the model sees", _context),
    "files": Command("[add|remove PATH]", "the active files", _files),
    "events": Command("[N]", f"the last N entries of the journal, or {_LAST}", _events),
    "fork": Command("[SEQ]", "go on in a copy of this session as it was at entry SEQ, or is now", _fork),
    "export": Command("[FILE]", "write the session as a document, which `jidoka sessions import` takes", _export),
    "halt": Command("[REASON]", "stop the line: nothing takes effect until somebody has decided", _halt),
    "approve": Command("[NOTE]", "let what was stopped go on", _approve),
    "reject": Command("[NOTE]", "do not", _reject),
    "answer": Command("TEXT", "tell the turn that waits something; it goes on", _answer),
    "resume": Command("", "go on after a halt, or after a failure of the session", _resume),
    "model": Command("", "the session's model", _model),
    "quit": Command("", "leave; so does Ctrl-D", _quit),
}
_ALIASES: Final = {"exit": "quit", "?": "help"}
