"""The other side of a comparison: each cycle's question once more, in a session that knows nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from jidoka.core.chunks import Usage
from jidoka.core.errors import JidokaError, SessionExists
from jidoka.cycles.asking import Answer, Asker, Failure
from jidoka.cycles.outcome import said
from jidoka.cycles.records import Stateless

if TYPE_CHECKING:
    from jidoka.client import Client
    from jidoka.session import Session


class Aside:
    """Asks in a new session each time, which is purged afterwards. Whatever happens there, no cycle is harmed."""

    def __init__(self, client: Client, session: Session, asker: Callable[[Session], Asker]) -> None:
        self._client = client
        self._session = session
        self._asker = asker

    async def ask(self, number: int, prompt: str) -> Stateless:
        """The question of cycle *number*. Asked again after a crash, it is answered with what was answered then."""
        try:
            answer = await self._asker(await self._opened(number)).ask(prompt, "aside", after=0, resumed=True)
        except JidokaError as error:
            answer = Answer(None, Failure(error.code, str(error)), 1, Usage())
        status, text = said(number, answer, None)
        return Stateless(status=status, text=text, usage=answer.usage)

    async def _opened(self, number: int) -> Session:
        info, session_id = await self._session.info(), await self._id(number)
        # What tools do must not be done twice.
        llm_config = {name: value for name, value in info.llm_config.items() if name != "tools"}
        with suppress(SessionExists):
            metadata = {"stateless_of": info.session_id, "cycle": number}
            await self._client.create_session(session_id=session_id, llm_config=llm_config, metadata=metadata)
        return self._client.session(session_id)

    async def forget(self, number: int) -> None:
        """Purge the session of cycle *number*, if there is one."""
        with suppress(JidokaError):
            await self._client.terminate_session(await self._id(number), purge=True)

    async def _id(self, number: int) -> str:
        # The same after a crash, so that it is found; another one when a session of that name was purged before.
        info = await self._session.info()
        of = sha256(f"{info.session_id} {info.created_at.isoformat()}".encode()).hexdigest()
        return f"stateless_{of[:16]}_{number}"
