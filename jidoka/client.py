"""The client: what embedding programs and doors hold. Checks what comes in, finds the session, asks its actors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from jidoka.actors.errors import InvalidChildSpec
from jidoka.births import give_birth, import_of
from jidoka.core import checks
from jidoka.core.budgets import Limits
from jidoka.core.config import SUPERVISION
from jidoka.core.errors import InvalidMessage, JidokaError, WorkspaceUnavailable
from jidoka.core.frozen import frozen
from jidoka.core.messages import SessionInfo
from jidoka.core.pages import Page
from jidoka.core.policies import ContextPolicy
from jidoka.core.rules import Rules
from jidoka.core.status import SessionStatus
from jidoka.core.views import Health, Stats, TreeNode
from jidoka.session import Session, several
from jidoka.sessions import requests as ask
from jidoka.sessions.door import Door
from jidoka.sessions.listing import page_of
from jidoka.sessions.looks import health_of, stats_of, tree_of
from jidoka.wiring import open_house

if TYPE_CHECKING:
    from jidoka.core.filecache import FileCache
    from jidoka.core.messages import Message
    from jidoka.core.settings import Settings
    from jidoka.hub.subscription import Subscription
    from jidoka.ports.models import Model
    from jidoka.ports.store import Store
    from jidoka.ports.world import World
    from jidoka.sessions.house import House

# What most sessions are created with: one dict for all of them, which nobody can change.
NOTHING_SPECIAL = frozen({"owner": None, "metadata": {}, "llm_config": {}, "config": {}})


class Client:
    """An async context manager, on asyncio and on trio: `async with Client() as client`.

    *store* is a URL or a `Store`; *settings* default to the environment (`JIDOKA_…`); *models* maps names to
    models; *tools* are functions that sessions may choose from (`jidoka.tool` says more about one). *world* is where
    time, chance and ids come from; tests hand in their own.
    """

    def __init__(
        self,
        store: str | Store = "memory://",
        *,
        settings: Settings | None = None,
        models: Mapping[str, Model] | None = None,
        tools: Iterable[Callable[..., Any]] = (),
        world: World | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._models = models
        self._tools = tools
        self._world = world
        self._stack: AsyncExitStack | None = None
        self._door: Door | None = None

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError("this client is open already")
        settings = self._settings
        if settings is None:
            from jidoka.core.settings import Settings

            settings = Settings()
        self._stack = AsyncExitStack()
        opening = open_house(self._store, settings=settings, models=self._models, tools=self._tools, world=self._world)
        try:
            self._door = Door(await self._stack.enter_async_context(opening))
        except BaseException:
            self._stack = None
            raise
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        stack, self._stack, self._door = self._stack, None, None
        if stack is not None:
            await stack.__aexit__(*exc_info)

    def __repr__(self) -> str:
        return f"<Client {self._store}: {len(self.house.registry)} sessions>" if self._door else "<Client, not open>"

    @property
    def door(self) -> Door:
        """The way in. Raises RuntimeError outside `async with`."""
        if self._door is None:
            raise RuntimeError("the client is not open: use `async with Client() as client`")
        return self._door

    @property
    def house(self) -> House:
        """What runs behind it."""
        return self.door.house

    @property
    def files(self) -> FileCache:
        """Contents of files, by session and path. A session's are forgotten when it ends or is suspended."""
        return self.house.files

    # --- sessions --------------------------------------------------------------------------------------------

    async def create_session(
        self,
        *,
        session_id: str | None = None,
        owner: str | None = None,
        metadata: dict[str, Any] | None = None,
        llm_config: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
    ) -> Session:
        """A new session, active when this returns.

        Raises SessionExists, SessionLimitReached, InvalidSessionId, InvalidMessage, ModelNotFound, and
        InvalidChildSpec for a *config* that no supervisor could have.
        """
        door = self.door
        key = None
        if session_id is None:
            session_id = f"session_{door.house.world.new_id()}"
        else:
            checks.session_id(session_id)
            key = door.new_key()
        data = self._checked(owner, metadata, llm_config, config)
        await self._check_workspace(data["config"])
        await give_birth(door, session_id, ask.Born(data, key=key))
        return Session(session_id, door)

    def _checked(
        self,
        owner: str | None,
        metadata: dict[str, Any] | None,
        llm_config: dict[str, Any] | None,
        config: dict[str, Any] | None,
    ) -> dict[str, Any]:
        if owner is None and metadata is None and llm_config is None and config is None:
            return NOTHING_SPECIAL
        if llm_config is not None:
            llm_config = self._checked_llm(llm_config)
        if config is not None:
            config = self._checked_config(config)
        return {
            "owner": checks.owner(owner),
            "metadata": checks.json_object(metadata, field="metadata"),
            "llm_config": llm_config or {},
            "config": config or {},
        }

    def _checked_llm(self, llm_config: dict[str, Any]) -> dict[str, Any]:
        llm_config = checks.json_object(llm_config, field="llm_config")
        self.house.models.check(llm_config)
        self.house.tools.chosen(llm_config)
        ContextPolicy.of(llm_config.get("context"))
        Rules.of(llm_config.get("rules"))
        Limits.of(llm_config.get("budget"))
        if llm_config.get("max_turns") is not None:
            checks.count(llm_config["max_turns"], field="max_turns", least=1)
        return llm_config

    def _checked_config(self, config: dict[str, Any]) -> dict[str, Any]:
        config = checks.json_object(config, field="config")
        try:
            self.house.defaults.with_options(config)
        except InvalidMessage as error:
            if error.field in SUPERVISION:
                raise InvalidChildSpec(str(error)) from error
            raise
        return config

    async def _check_workspace(self, config: Mapping[str, Any]) -> None:
        root = config.get("workspace")
        if root is not None:
            try:
                await self.house.workspaces.check(root)
            except WorkspaceUnavailable as error:
                raise InvalidMessage(str(error), field="workspace") from error

    def session(self, session_id: str) -> Session:
        """A handle; no I/O, no check."""
        return Session(session_id, self.door)

    async def list_sessions(
        self,
        *,
        status: SessionStatus | str | None = None,
        owner: str | None = None,
        metadata: dict[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[SessionInfo]:
        """Sessions in the order they were created. Terminated ones only when *status* asks for them.

        *metadata* must be contained in the session's. Raises InvalidMessage for a bad *limit* or *cursor*.
        """
        store = self.house.store
        return await page_of(store, status=status, owner=owner, metadata=metadata, limit=limit, cursor=cursor)

    async def import_session(self, document: Any) -> Session:
        """A session with what *document* holds: an export, or a JSON file of seed 001 as a dict or text."""
        return Session(await import_of(document, self.door), self.door)

    # --- the whole house -------------------------------------------------------------------------------------

    def subscribe_to_all_sessions(
        self, *, types: Iterable[str] | None = None, max_buffer: int = 1000
    ) -> AbstractAsyncContextManager[Subscription]:
        """Every session's lifecycle events."""
        return self.house.hub.subscribe(None, types=several(types), max_buffer=max_buffer)

    async def supervision_tree(self) -> TreeNode:
        """Every actor, as a tree."""
        return tree_of(self.house)

    async def halt_all(self, *, reason: str) -> int:
        """Stop the line in every session that works; how many were stopped."""
        checks.text(reason, field="reason")
        halted = 0
        for session_id in self.house.registry:
            try:
                halted += await self.door.at_once(session_id, ask.Halt(reason, {}))
            except JidokaError:
                continue
        return halted

    async def resume_all(self) -> int:
        """Approve every halted session; how many there were."""
        resumed = 0
        for session_id in self.house.registry:
            try:
                info = await self.session(session_id).info()
                if info.status is SessionStatus.WAITING_INPUT:
                    await self.session(session_id).resume()
                    resumed += 1
            except JidokaError:
                continue
        return resumed

    async def health(self) -> Health:
        """Whether it works."""
        return await health_of(self.house)

    async def stats(self) -> Stats:
        """How much there is of everything."""
        return await stats_of(self.house)

    # --- the seeds' names ------------------------------------------------------------------------------------

    async def get_session_info(self, session_id: str) -> SessionInfo:
        """`Session.info`, by id."""
        return await self.session(session_id).info()

    async def terminate_session(self, session_id: str, *, reason: str = "requested", purge: bool = False) -> None:
        """`Session.terminate`, by id."""
        await self.session(session_id).terminate(reason=reason, purge=purge)

    async def send_message(
        self,
        session_id: str,
        role: str,
        content: str,
        *,
        metadata: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """`Session.send_message`, by id."""
        return await self.session(session_id).send_message(
            role, content, metadata=metadata, idempotency_key=idempotency_key
        )

    def subscribe_to_session(
        self, session_id: str, *, after: int | None = None, types: Iterable[str] | None = None, max_buffer: int = 1000
    ) -> AbstractAsyncContextManager[Subscription]:
        """`Session.subscribe`, by id."""
        return self.session(session_id).subscribe(after=after, types=types, max_buffer=max_buffer)
