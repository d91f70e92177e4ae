"""The same client for scripts and threads: every method is the async one, run on a loop in a background thread."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from jidoka.actors.errors import ActorDead
from jidoka.client import Client
from jidoka.session import Session

if TYPE_CHECKING:
    from jidoka.core.settings import Settings
    from jidoka.ports.models import Model
    from jidoka.ports.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class Bridge:
    """The way to the loop, from any number of threads."""

    def __init__(self, portal: BlockingPortal) -> None:
        self.is_closed = False
        self._portal = portal
        self._lock = Lock()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run *function* on the loop, and wait for it here. Raises ActorDead when the client is closed."""
        # Handed over while the loop runs for certain: a call that came too late would never be answered.
        with self._lock:
            if self.is_closed:
                raise ActorDead("the client is closed")
            future = self._portal.start_task_soon(function, *args)
        return future.result()

    def close(self) -> None:
        """Take no more calls. Those that were taken are answered."""
        with self._lock:
            self.is_closed = True


class Blocking(Generic[T]):
    """An async thing and the bridge to the loop it lives on."""

    def __init__(self, inner: T, bridge: Bridge) -> None:
        self.inner = inner
        self.bridge = bridge

    def __repr__(self) -> str:
        return f"<blocking {self.inner!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocking) and self.inner == cast("Blocking[T]", other).inner

    def __hash__(self) -> int:
        return hash(self.inner)


@overload
def blocking(  # pyright: ignore[reportOverlappingOverload]
    method: Callable[Concatenate[Any, P], Awaitable[Session]],
) -> Callable[Concatenate[Any, P], SyncSession]: ...


@overload
def blocking(method: Callable[Concatenate[Any, P], Awaitable[T]]) -> Callable[Concatenate[Any, P], T]: ...


def blocking(method: Callable[Concatenate[Any, P], Awaitable[Any]]) -> Callable[Concatenate[Any, P], Any]:
    """*method*, waited for. A session it gives is a blocking one."""

    @functools.wraps(method)
    def call(self: Blocking[Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        made = self.bridge.call(functools.partial(method, self.inner, *args, **kwargs))
        return SyncSession(made, self.bridge) if isinstance(made, Session) else made

    return call


def blocking_context(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[AsyncIterator[T]]],
) -> Callable[Concatenate[Any, P], AbstractContextManager[SyncIterator[T]]]:
    """*method*, whose context manager is entered here and whose iterator is a plain one."""

    @functools.wraps(method)
    @contextmanager
    def enter(self: Blocking[Any], *args: P.args, **kwargs: P.kwargs) -> Generator[SyncIterator[T]]:
        async def begin() -> tuple[AbstractAsyncContextManager[Any], AsyncIterator[T]]:
            context = method(self.inner, *args, **kwargs)
            return context, await context.__aenter__()

        bridge = self.bridge
        context, iterator = bridge.call(begin)
        try:
            yield SyncIterator(iterator, bridge)
        except BaseException as error:
            if not _leave(bridge, context, error):
                raise
        else:
            _leave(bridge, context, None)

    return enter


def _leave(bridge: Bridge, context: AbstractAsyncContextManager[Any], error: BaseException | None) -> bool:
    """Leave *context* with *error*; whether it has dealt with it. Nothing is left to do when the client is closed."""
    about = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    try:
        return bool(bridge.call(context.__aexit__, *about))
    except ActorDead:
        if bridge.is_closed:
            return False
        raise


class SyncIterator(Blocking[AsyncIterator[T]]):
    """A subscription or a stream, to be iterated with `for`. What else it can do, it does on its loop."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self.bridge.call(self._next)
        except StopAsyncIteration:
            raise StopIteration from None

    async def _next(self) -> T:
        return await self.inner.__anext__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found: Any = getattr(self.inner, name)
        return functools.partial(self.bridge.call, cast("Callable[..., Any]", found)) if callable(found) else found


class SyncSession(Blocking[Session]):
    """`Session`, blocking."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.inner.id

    info = blocking(Session.info)
    update = blocking(Session.update)
    terminate = blocking(Session.terminate)
    suspend = blocking(Session.suspend)
    resume = blocking(Session.resume)
    fork = blocking(Session.fork)
    export = blocking(Session.export)
    send_message = blocking(Session.send_message)
    get_history = blocking(Session.get_history)
    clear_history = blocking(Session.clear_history)
    prompt = blocking(Session.prompt)
    begin_turn = blocking(Session.begin_turn)
    usage = blocking(Session.usage)
    stream = blocking_context(Session.stream)
    cancel_turn = blocking(Session.cancel_turn)
    send_input = blocking(Session.send_input)
    halt = blocking(Session.halt)
    approve = blocking(Session.approve)
    add_file = blocking(Session.add_file)
    remove_file = blocking(Session.remove_file)
    get_active_files = blocking(Session.get_active_files)
    update_file_index = blocking(Session.update_file_index)
    get_file_index = blocking(Session.get_file_index)
    read_file = blocking(Session.read_file)
    put_context = blocking(Session.put_context)
    get_context = blocking(Session.get_context)
    delete_context = blocking(Session.delete_context)
    context_keys = blocking(Session.context_keys)
    build_context = blocking(Session.build_context)
    context_stats = blocking(Session.context_stats)
    dead_letters = blocking(Session.dead_letters)
    requeue = blocking(Session.requeue)
    discard = blocking(Session.discard)
    subscribe = blocking_context(Session.subscribe)
    which_children = blocking(Session.which_children)
    get_ref = blocking(Session.get_ref)
    get_llm_agent_ref = blocking(Session.get_llm_agent_ref)


class SyncClient:
    """`Client`, blocking: `with SyncClient() as client:`. May be used from any number of threads."""

    def __init__(
        self,
        store: str | Store = "memory://",
        *,
        settings: Settings | None = None,
        models: Mapping[str, Model] | None = None,
        tools: Iterable[Callable[..., Any]] = (),
        **options: Any,
    ) -> None:
        self.inner = Client(store, settings=settings, models=models, tools=tools, **options)
        self._bridge: Bridge | None = None
        self._stack = ExitStack()

    def __repr__(self) -> str:
        return f"<blocking {self.inner!r}>"

    @property
    def bridge(self) -> Bridge:
        """The way to the loop. Raises RuntimeError outside `with`."""
        if self._bridge is None:
            raise RuntimeError("the client is not open: use `with SyncClient() as client`")
        return self._bridge

    def __enter__(self) -> Self:
        if self._bridge is not None:
            raise RuntimeError("this client is open already")
        with ExitStack() as opening:
            portal = opening.enter_context(start_blocking_portal(name="jidoka"))
            bridge = Bridge(portal)
            opening.callback(bridge.close)
            opening.enter_context(portal.wrap_async_context_manager(self.inner))
            self._stack = opening.pop_all()
        self._bridge = bridge
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._bridge = None
        self._stack.close()

    def session(self, session_id: str) -> SyncSession:
        """A handle; no I/O, no check."""
        return SyncSession(self.inner.session(session_id), self.bridge)

    create_session = blocking(Client.create_session)
    list_sessions = blocking(Client.list_sessions)
    import_session = blocking(Client.import_session)
    subscribe_to_all_sessions = blocking_context(Client.subscribe_to_all_sessions)
    supervision_tree = blocking(Client.supervision_tree)
    halt_all = blocking(Client.halt_all)
    resume_all = blocking(Client.resume_all)
    health = blocking(Client.health)
    stats = blocking(Client.stats)
    get_session_info = blocking(Client.get_session_info)
    terminate_session = blocking(Client.terminate_session)
    send_message = blocking(Client.send_message)
    subscribe_to_session = blocking_context(Client.subscribe_to_session)
