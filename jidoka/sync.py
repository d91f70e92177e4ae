"""The same client for scripts and threads: every method is the async one, run on a loop in a background thread."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from jidoka.client import Client
from jidoka.session import Session

if TYPE_CHECKING:
    from jidoka.core.settings import Settings
    from jidoka.ports.models import Model
    from jidoka.ports.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Generic[T]):
    """An async thing and the portal to the loop it lives on."""

    def __init__(self, inner: T, portal: BlockingPortal) -> None:
        self.inner = inner
        self.portal = portal

    def __repr__(self) -> str:
        return f"<blocking {self.inner!r}>"


def blocking(method: Callable[Concatenate[Any, P], Awaitable[T]]) -> Callable[Concatenate[Any, P], T]:
    """*method*, waited for. A session it gives is a blocking one."""

    @functools.wraps(method)
    def call(self: Blocking[Any], *args: P.args, **kwargs: P.kwargs) -> T:
        made = self.portal.call(functools.partial(method, self.inner, *args, **kwargs))
        return cast("T", SyncSession(made, self.portal) if isinstance(made, Session) else made)

    return call


def blocking_context(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[Any]],
) -> Callable[Concatenate[Any, P], AbstractContextManager[Any]]:
    """*method*, whose context manager is entered here and whose iterator is a plain one."""

    @functools.wraps(method)
    @contextmanager
    def enter(self: Blocking[Any], *args: P.args, **kwargs: P.kwargs) -> Generator[Any]:
        context = self.portal.call(functools.partial(_made, method, self.inner, *args, **kwargs))
        with self.portal.wrap_async_context_manager(context) as opened:
            yield SyncIterator(opened, self.portal)

    return enter


async def _made(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return method(*args, **kwargs)


class SyncIterator(Blocking[Any]):
    """A subscription or a stream, to be iterated with `for`."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                yield self.portal.call(self.inner.__anext__)
            except StopAsyncIteration:
                return

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


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
    put_context = blocking(Session.put_context)
    get_context = blocking(Session.get_context)
    delete_context = blocking(Session.delete_context)
    context_keys = blocking(Session.context_keys)
    build_context = blocking(Session.build_context)
    context_stats = blocking(Session.context_stats)
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
        **options: Any,
    ) -> None:
        self.inner = Client(store, settings=settings, models=models, **options)
        self.portal: BlockingPortal = cast("BlockingPortal", None)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.portal = self._stack.enter_context(start_blocking_portal())
        self._stack.enter_context(self.portal.wrap_async_context_manager(self.inner))
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._stack.close()

    def session(self, session_id: str) -> SyncSession:
        """A handle; no I/O, no check."""
        return SyncSession(self.inner.session(session_id), self.portal)

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


