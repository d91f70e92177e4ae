"""The files of a session's workspace: one actor keeps the index current, and whoever reads them is cached for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import anyio

from jidoka.actors.actor import Actor
from jidoka.actors.errors import ActorDead, ActorRestarted, CallTimeout
from jidoka.core.errors import STORE_TROUBLE, InvalidMessage, WorkspaceUnavailable
from jidoka.core.events import EventType, live_event
from jidoka.sessions import requests as ask

if TYPE_CHECKING:
    from jidoka.actors.children import Child
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor import Supervisor
    from jidoka.core.workspaces import Look, Refresh
    from jidoka.ports.workspaces import Watch
    from jidoka.sessions.house import House
    from jidoka.sessions.setup import SessionSetup

log = logging.getLogger("jidoka.sessions")

# Seconds between two looks at files that go on changing: they double, up to the longest, until there is quiet.
SHORTEST: Final = 1.0
LONGEST: Final = 60.0
# A workspace that is not there is looked for again after so many seconds.
LOOK_AGAIN: Final = 10.0


class FileWatcher(Actor):
    """Looks at the workspace when it comes up, and whenever something has changed there. It keeps nothing."""

    mailbox_capacity: ClassVar[int] = 100

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__()
        self.setup = setup
        self._warned: set[str] = set()
        self._scope = anyio.CancelScope()
        self._is_over = anyio.Event()

    def on_start(self) -> None:
        """It begins with everything, so that what has changed meanwhile is noticed."""
        if self.restarts:
            self._context().tell(ask.ChildBack("files", self.restarts))
        self.start_soon(self._follow)

    def on_receive(self, message: Any) -> Any:
        raise InvalidMessage(f"a file watcher does not know {type(message).__name__}")

    async def on_stop(self) -> None:
        """Whoever listens to the system takes a moment to end; nothing of it is left when this actor has."""
        self._scope.cancel()
        await self._is_over.wait()

    # --- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        try:
            with self._scope:
                await self._go_on()
        finally:
            self._is_over.set()

    async def _go_on(self) -> None:
        root = cast("str", self.setup.config.workspace)
        while True:
            try:
                async with self.setup.house.workspaces.watching(root) as watch:
                    await self._keep_current(watch)
            except WorkspaceUnavailable as trouble:
                self._warn(str(trouble))
            except (ActorDead, ActorRestarted, CallTimeout, *STORE_TROUBLE) as trouble:
                # The session is going down, or its context manager or store is about to come back.
                log.debug("the file index waits: %s", trouble, extra={"session_id": self.setup.session_id})
            await self._sleep(LOOK_AGAIN)

    async def _keep_current(self, watch: Watch) -> None:
        clock = self.setup.house.world.monotonic
        pause = SHORTEST
        while True:
            look = await watch.look(await self._ask(ask.ReadKnownFiles()))
            self._warn_of(look, await self._ask(ask.RefreshFiles(look)))
            await self._sleep(pause)
            rested = clock()
            await watch.changed()
            is_quiet = clock() - rested >= pause
            pause = SHORTEST if is_quiet else min(2 * pause, LONGEST)

    async def _sleep(self, seconds: float) -> None:
        world = self.setup.house.world
        await world.sleep_until(world.monotonic() + seconds)

    async def _ask(self, request: Any) -> Any:
        return await self._context().call(request, timeout=self.setup.house.call_timeout)

    def _context(self) -> ActorRef[Any]:
        # Not the registry: while the session is coming up, it is not in there.
        supervisor = cast("Supervisor", cast("Child", self.jidoka_cell.parent).owner)
        return supervisor.find("context_manager").cell_in(self.jidoka_cell.system).ref

    # --- warning ---------------------------------------------------------------------------------------------

    def _warn_of(self, look: Look, refresh: Refresh) -> None:
        if look.warning is not None:
            self._warn(look.warning)
        if refresh.left_out:
            self._warn("the workspace has more files than its index takes (max_indexed)")

    def _warn(self, text: str) -> None:
        """Once each."""
        if text in self._warned:
            return
        self._warned.add(text)
        session_id, house = self.setup.session_id, self.setup.house
        log.warning("a session's file index: %s", text, extra={"session_id": session_id})
        if house.hub.is_heard(session_id):
            data = {"resource": "workspace", "reason": text}
            event = live_event(
                session_id, EventType.RESOURCE_WARNING, data, id=house.world.new_id(), at=house.world.now()
            )
            house.hub.publish_live(event)


async def file_text(house: House, session_id: str, root: str, path: str) -> str:
    """The text of a file in *root*, kept for this session as long as the file stays as it is."""
    cache = house.files
    known = cache.stamp_of(path, session_id=session_id)
    read = await house.workspaces.read(root, path, known=known)
    if read.content is None:
        cached = cache.get_file(path, session_id=session_id, stamp=read.stamp)
        if cached is not None:
            return cached.content
        # It had to make room for others meanwhile.
        read = await house.workspaces.read(root, path)
    else:
        # Counted as a miss.
        cache.get_file(path, session_id=session_id, stamp=read.stamp)
    content = read.content or ""
    if read.is_settled and session_id in house.registry:
        cache.cache_file(path, content, session_id=session_id, mtime=read.stamp[-2] / 1e9, stamp=read.stamp)
    elif known is not None:
        cache.invalidate_file(path, session_id=session_id)
    return content
