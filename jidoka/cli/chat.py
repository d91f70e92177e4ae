"""`jidoka chat`: talk to a session on a terminal, or from a script."""

from __future__ import annotations

import re
import shlex
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jidoka.cli.conversation import Conversation
from jidoka.cli.lines import Lines
from jidoka.cli.output import carry_out
from jidoka.cli.places import DEFAULT, StoreOption, for_writing
from jidoka.cli.voice import Voice
from jidoka.client import Client
from jidoka.core import checks
from jidoka.core.errors import InvalidMessage, SessionNotFound, SessionTerminated
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.core.messages import SessionInfo
    from jidoka.session import Session

# Of a session that goes on, so many messages are shown to begin with.
_REMINDER = 4


def chat(
    session_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="The session to go on with. Without it: JIDOKA_SESSION_ID's, or a new one."
        ),
    ] = None,
    store: StoreOption = DEFAULT,
    model: Annotated[str | None, typer.Option(help="A new session's model.", show_default="echo")] = None,
    owner: Annotated[str | None, typer.Option(help="A new session's owner; and who decides, for the journal.")] = None,
    system: Annotated[str | None, typer.Option(help="What a new session's model is told before anything else.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line, instead of text.")] = False,
) -> None:
    """Chat with a session: each line is a turn, /help lists the commands, Ctrl-C cancels a turn and then leaves."""
    wanted = Wanted(session_id, model, owner, system)
    lines = Lines.of_stdin()
    chat = Chat(wanted, store, lines, Voice(as_json=as_json, is_interactive=lines.is_terminal))
    with closing(lines):
        carry_out(chat.run, as_json, on_interrupt=chat.interrupt)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which session."""

    session_id: str | None
    model: str | None = None
    owner: str | None = None
    system: str | None = None

    async def found(self, client: Client, default_id: str | None) -> tuple[Session, bool]:
        """It, and whether it is new. One that is named in a command is there; one that is named in settings is made.

        Raises SessionNotFound, SessionTerminated, and InvalidMessage for a session that is something else.
        """
        session_id = self.session_id or default_id
        if session_id is None:
            return await self._made(client, None), True
        checks.session_id(session_id)
        try:
            info = await client.session(session_id).info()
        except SessionNotFound:
            if self.session_id is not None:
                raise
            return await self._made(client, session_id), True
        if info.status in (SessionStatus.TERMINATED, SessionStatus.TERMINATING):
            raise SessionTerminated(session_id)
        await self._require_same(client.session(session_id), info)
        return client.session(session_id), False

    async def _made(self, client: Client, session_id: str | None) -> Session:
        llm_config = None if self.model is None else {"model": self.model}
        if self.system is not None:
            checks.content(self.system, field="system")
        session = await client.create_session(session_id=session_id, owner=self.owner, llm_config=llm_config)
        if self.system is not None:
            await session.send_message("system", self.system)
        return session

    async def _require_same(self, session: Session, info: SessionInfo) -> None:
        model = info.llm_config.get("model", "echo")
        if self.model not in (None, model):
            raise InvalidMessage(f"session {info.session_id} has the model {model}, and keeps it", field="model")
        if self.owner not in (None, info.owner):
            raise InvalidMessage(f"session {info.session_id} belongs to {info.owner or 'nobody'}", field="owner")
        if self.system is not None and not await _begins_with(session, self.system):
            raise InvalidMessage(f"session {info.session_id} was begun with something else", field="system")


async def _begins_with(session: Session, system: str) -> bool:
    first = next((message for message in await session.get_history() if message.role == "system"), None)
    return first is not None and first.content == system


class Chat:
    """From the opening of the store to its end."""

    def __init__(self, wanted: Wanted, place: str, lines: Lines, voice: Voice) -> None:
        self._wanted = wanted
        self._place = place
        self._lines = lines
        self._voice = voice
        self._conversation: Conversation | None = None

    def interrupt(self) -> bool:
        """Whether a Ctrl-C was for a turn."""
        return self._conversation is not None and self._conversation.interrupt()

    async def run(self) -> None:
        """Find the session, and talk to it."""
        from jidoka.core.settings import Settings

        settings = Settings()
        async with Client(for_writing(self._place, may_be_new=True), settings=settings) as client:
            session, is_new = await self._wanted.found(client, settings.session_id)
            await self._greet(session, is_new)
            by = self._wanted.owner or _person()
            self._conversation = Conversation(client, session, self._lines, self._voice, by=by)
            try:
                await self._conversation.run()
            finally:
                self._say_how_to_go_on(self._conversation.session)

    async def _greet(self, session: Session, is_new: bool) -> None:
        info, voice = await session.info(), self._voice
        model = str(info.llm_config.get("model", "echo"))
        what = "new" if is_new else f"{info.message_count} messages"
        facts: dict[str, Any] = {"session_id": session.id, "is_new": is_new, "model": model, "status": info.status}
        voice.tell("session", f"{session.id}: {what}, model {model}. /help lists the commands.", **facts)
        if not is_new and voice.is_interactive and info.status is not SessionStatus.FAILED:
            await self._remind(session)

    async def _remind(self, session: Session) -> None:
        """The last of what was said, for the eye."""
        from jidoka.cli.session_output import said

        for message in await session.get_history(limit=_REMINDER):
            self._voice.tell("", said(message))

    def _say_how_to_go_on(self, session: Session) -> None:
        if not self._voice.is_interactive or self._place.startswith("memory:"):
            return
        where = [] if self._place == DEFAULT else ["--store", _without_password(self._place)]
        self._voice.tell("left", f"To go on: {shlex.join(['jidoka', 'chat', session.id, *where])}")


def _person() -> str | None:
    """Who is logged in, if the system knows."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _without_password(place: str) -> str:
    return re.sub(r"(?<=password=)[^&]*", "…", re.sub(r"(//[^/@:]*):[^/]*@", r"\1:…@", place))
