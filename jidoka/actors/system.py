"""The actor system: owns every actor in it, the workers that run them, and the clock they go by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from jidoka.actors import current
from jidoka.actors.actor import Actor
from jidoka.actors.backend import Backend, Slot
from jidoka.actors.cell import Cell
from jidoka.actors.dynamic import DynamicSupervisor
from jidoka.actors.errors import ChildStartError
from jidoka.actors.exits import ExitReason, Ignore, text_of
from jidoka.actors.inbound import Inbound
from jidoka.actors.policy import policy_of
from jidoka.actors.ref import ActorRef
from jidoka.actors.scheduler import Scheduler
from jidoka.actors.specs import ChildSpec, check_specs
from jidoka.actors.supervisor import Supervisor
from jidoka.actors.supervisor_ref import SupervisorRef
from jidoka.actors.threads import cell_for
from jidoka.actors.timers import Timers
from jidoka.ports.world import SystemWorld, World

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from jidoka.actors.threaded import ThreadedSystem

A = TypeVar("A", bound=Actor)


class ActorSystem:
    """An async context manager. Leaving it ends every actor, the last started first, each in its own time.

    `world` is where time, chance and ids come from. `patience` is how many seconds an actor that no supervisor owns
    may take to end; `grace` how many its cancelled code may take before it is left behind.
    """

    restarts_children = False

    def __init__(
        self, *, name: str = "jidoka", world: World | None = None, patience: float = 5.0, grace: float = 1.0
    ) -> None:
        if world is None:
            world = SystemWorld()
        self.name = name
        self.world = world
        self.patience = patience
        self.grace = grace
        self.is_running = False
        self.is_leaving = False
        # Cells that are not buried: live actors, and those between two incarnations.
        self.cells = 0
        self.thread = -1
        self.timers = Timers(world)
        self.backend: Backend
        self.scheduler: Scheduler
        self.tasks: TaskGroup
        self._inbound: Inbound
        self._top: dict[Cell, Slot | None] = {}
        self._abandoned: dict[Any, float] = {}
        self._around: Any = None
        self._host: TaskGroup
        # Around the orderly end. Cancelled when nobody is left to carry it out.
        self._leaving: anyio.CancelScope

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name}: {self.cells} actors{'' if self.is_running else ', not running'}>"

    @staticmethod
    def threaded(*, name: str = "jidoka") -> AbstractContextManager[ThreadedSystem]:
        """A system on a thread of its own, for blocking programs: `with ActorSystem.threaded():`."""
        from jidoka.actors.threaded import threaded

        return threaded(name)

    # --- running -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.backend = Backend()
        self.thread = threading.get_ident()
        self._around = current.around.set(self)
        self._leaving = anyio.CancelScope(shield=True)
        self._host = anyio.create_task_group()
        await self._host.__aenter__()
        is_up = anyio.Event()
        self._host.start_soon(self._keep_running, is_up)
        with anyio.CancelScope(shield=True):
            await is_up.wait()
        current.running.append(self)
        return self

    async def _keep_running(self, is_up: anyio.Event) -> None:
        # Shielded: when the program around is cancelled, its block is, and the actors still go down in order.
        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as self.tasks:
                    self.scheduler = Scheduler(self.backend, self.tasks)
                    self._inbound = Inbound(self.backend, self.scheduler)
                    self.tasks.start_soon(self.timers.run)
                    self.tasks.start_soon(self.scheduler.run)
                    self.is_running = True
                    is_up.set()
        finally:
            self.is_running = False
            self._leaving.cancel()

    async def __aexit__(self, *exc_info: Any) -> None:
        try:
            with self._leaving:
                await self.shut_down()
        finally:
            self.is_running = False
            current.running.remove(self)
            current.around.reset(self._around)
            self.tasks.cancel_scope.cancel()
            # Not told of the block's own error, which it would wrap.
            await self._host.__aexit__(None, None, None)

    async def shut_down(self) -> None:
        """End every actor, the last started first. A second call is less patient: it kills what is left."""
        if self.is_leaving:
            for cell in reversed(list(self._top)):
                cell.kill()
        self.is_leaving = True
        while self._top:
            cell = next(reversed(self._top))
            slot = self.backend.new_slot()
            cell.watch(lambda _, slot=slot: None if slot.done() else slot.set_result(None))
            cell.terminate("infinity" if cell.cls.has_children else self.patience)
            await slot

    @property
    def is_here(self) -> bool:
        """Whether the caller is on the thread that the actors live on."""
        return threading.get_ident() == self.thread

    # --- starting ------------------------------------------------------------------------------------

    async def start(self, cls: type[A], *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor and wait until it is up. Nobody restarts it. Raises ChildStartError with the cause.

        One that raises `Ignore` gives a ref that is dead. A caller that is cancelled leaves nothing behind.
        """
        cell = self._new_top(cls, args, kwargs)
        return await self._started(cell)

    async def supervise(self, children: Iterable[ChildSpec | Mapping[str, Any]], **options: Any) -> SupervisorRef:
        """Start a supervisor with its children; back when all of them are up.

        Options: strategy, max_restarts, within, auto_shutdown, backoff, budget, otp_strict (see `Policy`). Raises
        InvalidChildSpec before anything is started; ChildStartError after what was started has ended again.
        """
        policy = policy_of(options)
        specs = check_specs(children, auto_shutdown=policy.auto_shutdown)
        cell = self._new_top(Supervisor, (specs,), {"policy": policy})
        return await self._started(cell)  # pyright: ignore[reportReturnType]

    async def supervise_dynamic(
        self, template: ChildSpec | Mapping[str, Any], *, max_children: int | None = None, **options: Any
    ) -> SupervisorRef:
        """Start a supervisor for any number of children of *template*, added with `start_child(*args)`."""
        options = {"max_children": max_children, "policy": policy_of(options)}
        DynamicSupervisor(template, **options)
        cell = self._new_top(DynamicSupervisor, (template,), options)
        return await self._started(cell)  # pyright: ignore[reportReturnType]

    def adopt(self, actor: A) -> ActorRef[A]:
        """Pykka's way in: take an actor that is made already. Safe from any thread."""
        from pykka import ActorRegistry

        if self.is_leaving or not self.is_running:
            raise ChildStartError(type(actor).__name__, "shutdown")
        cell = actor.jidoka_cell
        cell.system, cell.parent, cell.registered = self, self, True
        ActorRegistry.register(cell.ref)
        if self.is_here:
            self._enter(cell)
        else:
            self.run_soon(self._enter, cell)
        return cell.ref

    def _enter(self, cell: Cell) -> None:
        self.cells += 1
        self._top[cell] = None
        cell.begin_soon()

    def _new_top(self, cls: type[Actor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Cell:
        if self.is_leaving or not self.is_running:
            raise ChildStartError(cls.__name__, "shutdown")
        return cell_for(self, self, cls, args, kwargs)

    async def _started(self, cell: Cell) -> ActorRef[Any]:
        ref = cell.ref
        slot = self._top[cell] = self.backend.new_slot()
        cell.start()
        try:
            error = await slot
        except BaseException:
            cell.kill()
            raise
        if error is not None and not isinstance(error, Ignore):
            if isinstance(error, ChildStartError):
                raise error
            raise ChildStartError(cell.name, text_of(error)) from error
        return ref

    # --- the parent of the actors that no supervisor owns --------------------------------------------

    def child_up(self, cell: Cell) -> None:
        """An actor is up."""
        self._tell(cell, None)

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        """An actor did not come up."""
        self._tell(cell, error)
        self._top.pop(cell, None)
        cell.let_go(ExitReason("crash", text_of(error)))

    def child_down(self, cell: Cell, reason: ExitReason) -> None:
        """An actor has ended. Nobody restarts it."""
        self._tell(cell, ChildStartError(cell.name, reason.detail or str(reason)))
        self._top.pop(cell, None)
        cell.let_go(reason)

    def _tell(self, cell: Cell, error: BaseException | None) -> None:
        slot = self._top.get(cell)
        if slot is not None:
            self._top[cell] = None
            if not slot.done():
                slot.set_result(error)

    # --- other threads -------------------------------------------------------------------------------

    def tell_from_thread(self, cell: Cell, message: Any, slot: Any) -> None:
        """A message from another thread: in order per thread, without waiting for the loop."""
        self._inbound.push(cell, message, slot)

    def run_soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have *call* run on the loop, in order with what the same thread has sent. Safe from any thread."""
        self._inbound.add(call, *args)

    # --- what is left behind -------------------------------------------------------------------------

    def abandoned_began(self, actor: Any) -> None:
        """Code of *actor* goes on although the actor has ended (K2)."""
        self._abandoned[actor] = self.timers.clock()

    def abandoned_ended(self, actor: Any) -> None:
        """It has ended by itself."""
        self._abandoned.pop(actor, None)

    def is_abandoned(self, cell: Cell) -> bool:
        """Whether code that once lived in *cell* is still running."""
        return any(actor.jidoka_cell is cell for actor in self._abandoned)

    @property
    def abandoned(self) -> list[tuple[str, float]]:
        """What is still running behind a fence: name, and since when."""
        return [(type(actor).__name__, since) for actor, since in self._abandoned.items()]
