"""`jidoka demo`: a dozen sessions, real breakage, and a count of what was acknowledged and what was lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from jidoka.client import Client
from jidoka.core.settings import Settings

if TYPE_CHECKING:
    from jidoka.core.views import TreeNode
    from jidoka.hub.subscription import Subscription
    from jidoka.session import Session

SESSIONS = 12
QUESTIONS = ("What is a supervision tree?", "And when a child crashes?", "Who remembers what I said?")


class Demo:
    """One run of it."""

    def __init__(self, client: Client, console: Console, dice: Random) -> None:
        self.client = client
        self.console = console
        self.dice = dice
        self.sessions: list[Session] = []
        # Every message that was acknowledged, by session: (seq, content).
        self.acknowledged: dict[str, list[tuple[int, str]]] = {}
        self.broken: list[str] = []

    def say(self, text: str) -> None:
        """A heading."""
        self.console.print(f"\n[bold]{text}[/bold]")

    async def start_sessions(self) -> None:
        """A dozen of them."""
        for number in range(SESSIONS):
            session = await self.client.create_session(metadata={"guest": number + 1})
            self.sessions.append(session)
            self.acknowledged[session.id] = []

    async def talk(self, question: str) -> None:
        """One turn in every session. What comes back has been acknowledged."""
        for session in self.sessions:
            sent = await session.send_message("system", f"note to {session.id[-6:]}: {question}")
            answer = await session.prompt(question)
            kept = self.acknowledged[session.id]
            kept.append((sent.seq, sent.content))
            kept.append((answer.seq, answer.content))

    async def show_tree(self, only: str | None = None) -> None:
        """The supervision tree, as it is now."""
        self.console.print(_drawn(await self.client.supervision_tree(), only))

    # --- breaking things -------------------------------------------------------------------------------------

    async def break_handler(self, session: Session) -> None:
        """Send a context manager something that it cannot handle: the handler raises."""
        child = (await session.which_children())[0]
        await self._break(session, f"{session.id[-6:]}: a handler of the context manager raises", child.ref.tell, "?")

    async def kill_actor(self, session: Session) -> None:
        """Kill the orchestrator."""
        ref = await session.get_llm_agent_ref()
        await self._break(session, f"{session.id[-6:]}: the orchestrator is killed", ref.kill)

    async def kill_supervisor(self, session: Session) -> None:
        """Kill the session's supervisor, and everything under it."""
        ref = await session.get_ref()
        await self._break(session, f"{session.id[-6:]}: its supervisor is killed", ref.kill)

    async def _break(self, session: Session, what: str, act: Any, *args: Any) -> None:
        self.broken.append(what)
        self.console.print(f"  [red]✗[/red] {what}")
        async with session.subscribe(types=["child_restarted"]) as events:
            act(*args)
            event = await _first(events)
        self.console.print(f"  [green]✓[/green] {event.data['child']} is back, entry {event.seq} of the journal")

    async def kill_manager(self) -> None:
        """Kill the session manager. The sessions go on; the next one finds them."""
        what = "the session manager is killed"
        self.broken.append(what)
        self.console.print(f"  [red]✗[/red] {what}")
        manager = self.client.house.manager
        assert manager is not None
        manager.kill()
        await manager.wait_stopped()
        found = len(self.client.house.registry)
        self.console.print(f"  [green]✓[/green] the next one has found {found} sessions")

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
            "restarts": self.client.house.restarts,
            "acknowledged": acknowledged,
            "lost": lost,
        }


async def demo(console: Console | None, *, seed: int = 1) -> dict[str, Any]:
    """Run it. Without a *console* nothing is printed."""
    console = console or Console(quiet=True)
    async with Client(settings=Settings()) as client:
        run = Demo(client, console, Random(seed))
        run.say(f"{SESSIONS} sessions, each with a supervisor, a context manager and an orchestrator")
        await run.start_sessions()
        await run.talk(QUESTIONS[0])
        await run.show_tree()

        first, second, third = run.dice.sample(run.sessions, 3)
        run.say("Breaking things")
        await run.break_handler(first)
        await run.kill_actor(second)
        await run.kill_supervisor(third)
        await run.talk(QUESTIONS[1])
        await run.kill_manager()
        await run.talk(QUESTIONS[2])

        run.say("The three that were broken, with what came back")
        for session in (first, second, third):
            await run.show_tree(session.id)
        outcome = await run.count()
    _show(console, outcome)
    return outcome


async def _first(events: Subscription) -> Any:
    async for event in events:
        return event
    raise RuntimeError("the session ended")


def _drawn(node: TreeNode, only: str | None) -> Tree:
    tree = Tree(_label(node))
    _draw(node, tree, only)
    return tree


def _draw(node: TreeNode, tree: Tree, only: str | None) -> None:
    for child in node.children:
        if only is not None and child.session_id not in (None, only):
            continue
        _draw(child, tree.add(_label(child)), only)


def _label(node: TreeNode) -> str:
    restarts = f", restarted {node.restarts}×" if node.restarts else ""
    color = "green" if node.state == "running" else "yellow"
    return f"{node.id} [dim]{node.type}[/dim] [{color}]{node.state}[/{color}]{restarts}"


def _show(console: Console, outcome: dict[str, Any]) -> None:
    table = Table(show_header=False, title="messages")
    table.add_row("acknowledged", str(outcome["acknowledged"]))
    table.add_row("lost", str(outcome["lost"]), style="green" if outcome["lost"] == 0 else "bold red")
    table.add_row("things broken", str(len(outcome["broken"])))
    table.add_row("restarts", str(outcome["restarts"]))
    console.print()
    console.print(table)
