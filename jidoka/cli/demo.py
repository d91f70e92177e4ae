"""`jidoka demo`: a dozen sessions, real breakage, and a count of what was acknowledged and what was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
from rich.console import Console

from jidoka.cli.screen import Screen, count_table, short
from jidoka.client import Client
from jidoka.core.errors import JidokaError

if TYPE_CHECKING:
    from jidoka.actors.ref import ActorRef
    from jidoka.core.events import Event
    from jidoka.core.views import TreeNode
    from jidoka.hub.subscription import Subscription
    from jidoka.session import Session

SESSIONS = 12
QUESTION = "What is a supervision tree?"


class Demo:
    """One run of it. *pace* is how many seconds there are to look at each step."""

    def __init__(self, client: Client, screen: Screen, dice: Random, pace: float) -> None:
        self.client = client
        self.screen = screen
        self.dice = dice
        self.pace = pace
        self.sessions: list[Session] = []
        # Every message that was acknowledged, by session: (seq, content).
        self.acknowledged: dict[str, list[tuple[int, str]]] = {}
        self.broken: list[str] = []
        self.broken_off = 0

    async def run(self) -> dict[str, Any]:
        """From the first session to the count."""
        self.screen.heading(f"{SESSIONS} sessions, each a supervisor with a context manager and an orchestrator")
        await self.start_sessions()
        await self.talk()
        await self.look()
        self.screen.show_still(await self.client.supervision_tree())
        self.screen.heading("Breaking them, while all of them talk")
        first, second, third = self.dice.sample(self.sessions, 3)
        for breaks in (
            lambda: self.break_handler(first),
            lambda: self.kill_orchestrator(second),
            lambda: self.kill_supervisor(third),
            self.kill_manager,
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(self.talk)
                group.start_soon(breaks)
            await self.look()
        self.screen.show_still(await self.client.supervision_tree())
        return await self.count()

    async def look(self) -> None:
        """Show the tree, and leave time to look at it."""
        self.screen.show(await self.client.supervision_tree())
        await self._pause()

    async def _pause(self) -> None:
        world = self.client.house.world
        await world.sleep_until(world.monotonic() + self.pace)

    async def start_sessions(self) -> None:
        """A dozen of them."""
        for number in range(SESSIONS):
            session = await self.client.create_session(metadata={"guest": number + 1})
            self.sessions.append(session)
            self.acknowledged[session.id] = []

    async def talk(self) -> None:
        """A note and a turn in every session, all at once. What comes back has been acknowledged."""
        async with anyio.create_task_group() as everybody:
            for session in self.sessions:
                everybody.start_soon(self._talk_in, session)

    async def _talk_in(self, session: Session) -> None:
        kept = self.acknowledged[session.id]
        sent = await session.send_message("system", f"a note to {session.id}, number {len(kept)}")
        kept.append((sent.seq, sent.content))
        try:
            answer = await session.prompt(QUESTION)
        except JidokaError:
            # Broken in the middle of its turn. Nobody was told that it succeeded.
            self.broken_off += 1
        else:
            kept.append((answer.seq, answer.content))

    # --- breaking things -------------------------------------------------------------------------------------

    async def break_handler(self, session: Session) -> None:
        """Send a context manager something that it cannot handle: the handler raises."""
        child = (await session.which_children())[0]
        await self._break(session, "a handler of its context manager raises", child.ref, lambda: child.ref.tell("?"))

    async def kill_orchestrator(self, session: Session) -> None:
        """Kill the actor that talks to the model."""
        ref = await session.get_llm_agent_ref()
        await self._break(session, "its orchestrator is killed", ref, ref.kill)

    async def kill_supervisor(self, session: Session) -> None:
        """Kill the session's supervisor, and everything under it."""
        ref = await session.get_ref()
        await self._break(session, "its supervisor is killed, with all below it", ref, ref.kill)

    async def _break(self, session: Session, what: str, ref: ActorRef[Any], act: Callable[[], object]) -> None:
        self._say_broken(f"{short(session.id)}: {what}")
        tree, urn = await self.client.supervision_tree(), ref.actor_urn
        clock = self.client.house.world.monotonic
        async with session.subscribe(types=["child_restarted"]) as events:
            began = clock()
            act()
            event = await _first(events)
            took = clock() - began
        # It is over long before anybody can have looked.
        self.screen.show(tree, broken=urn)
        await self._pause()
        self._say_back(f"{event.data['child']} is back after {took * 1000:.1f} ms: entry {event.seq} of the journal")

    async def kill_manager(self) -> None:
        """Kill the session manager. The sessions go on; the next one finds them."""
        self._say_broken("the session manager is killed")
        manager = self.client.house.manager
        assert manager is not None
        tree, urn = await self.client.supervision_tree(), manager.actor_urn
        manager.kill()
        await manager.wait_stopped()
        self.screen.show(tree, broken=urn)
        await self._pause()
        self._say_back(f"the next one has found {len(self.client.house.registry)} sessions, and none of them noticed")

    def _say_broken(self, what: str) -> None:
        self.broken.append(what)
        self.screen.say(f"  ✗ {what}", "red")

    def _say_back(self, what: str) -> None:
        self.screen.say(f"  ✓ {what}", "green")

    # --- counting --------------------------------------------------------------------------------------------

    async def count(self) -> dict[str, Any]:
        """What was acknowledged, and what of it is not there any more."""
        acknowledged = lost = 0
        for session in self.sessions:
            stored = {(message.seq, message.content) for message in await session.get_history()}
            acknowledged += len(self.acknowledged[session.id])
            lost += sum(entry not in stored for entry in self.acknowledged[session.id])
        return {
            "sessions": len(self.sessions),
            "broken": self.broken,
            "restarts": _restarts(await self.client.supervision_tree()),
            "acknowledged": acknowledged,
            "lost": lost,
            "broken_off": self.broken_off,
        }


async def demo(console: Console | None, *, seed: int = 1, pace: float = 0.0) -> dict[str, Any]:
    """Run it. Without a *console* nothing is printed."""
    console = console or Console(quiet=True, force_terminal=False)
    async with Client() as client:
        with Screen(console) as screen, _crashes_in_one_line(screen):
            outcome = await Demo(client, screen, Random(seed), pace).run()
    console.print()
    console.print(count_table(outcome))
    return outcome


def _restarts(node: TreeNode) -> int:
    return node.restarts + sum(map(_restarts, node.children))


async def _first(events: Subscription) -> Event:
    async for event in events:
        return event
    raise RuntimeError("the session ended")


class _OneLine(logging.Handler):
    """Says what raised, without the traceback: here it is on purpose."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.ERROR)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        if error:
            self._screen.say(f"    {type(error).__name__}: {error}", "dim")


@contextmanager
def _crashes_in_one_line(screen: Screen) -> Generator[None]:
    log = logging.getLogger("jidoka.actors")
    handler, propagates = _OneLine(screen), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagates
