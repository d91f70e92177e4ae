"""jidoka: every conversation is a session, and every session a small tree of supervised actors.

The names below are imported when they are first used, so that `import jidoka` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jidoka.actors.errors import ActorDead as ActorDead
    from jidoka.actors.errors import ActorRestarted as ActorRestarted
    from jidoka.actors.errors import CallTimeout as CallTimeout
    from jidoka.actors.errors import ChildStartError as ChildStartError
    from jidoka.actors.errors import InvalidChildSpec as InvalidChildSpec
    from jidoka.actors.errors import MailboxFull as MailboxFull
    from jidoka.adapters.echo import EchoModel as EchoModel
    from jidoka.adapters.memory import MemoryStore as MemoryStore
    from jidoka.adapters.pydantic_ai import PydanticAIModel as PydanticAIModel
    from jidoka.adapters.tools import FunctionTool as FunctionTool
    from jidoka.adapters.tools import tool as tool
    from jidoka.client import Client as Client
    from jidoka.core.chunks import Chunk as Chunk
    from jidoka.core.chunks import LLMConfig as LLMConfig
    from jidoka.core.chunks import Question as Question
    from jidoka.core.chunks import Reply as Reply
    from jidoka.core.chunks import ToolCall as ToolCall
    from jidoka.core.chunks import ToolResult as ToolResult
    from jidoka.core.chunks import Usage as Usage
    from jidoka.core.errors import CorruptRecord as CorruptRecord
    from jidoka.core.errors import FileUnreadable as FileUnreadable
    from jidoka.core.errors import IdempotencyConflict as IdempotencyConflict
    from jidoka.core.errors import InvalidMessage as InvalidMessage
    from jidoka.core.errors import InvalidPath as InvalidPath
    from jidoka.core.errors import InvalidRole as InvalidRole
    from jidoka.core.errors import InvalidSessionId as InvalidSessionId
    from jidoka.core.errors import InvalidTransition as InvalidTransition
    from jidoka.core.errors import JidokaError as JidokaError
    from jidoka.core.errors import ModelNotFound as ModelNotFound
    from jidoka.core.errors import SessionExists as SessionExists
    from jidoka.core.errors import SessionFailed as SessionFailed
    from jidoka.core.errors import SessionLimitReached as SessionLimitReached
    from jidoka.core.errors import SessionNotFound as SessionNotFound
    from jidoka.core.errors import SessionTerminated as SessionTerminated
    from jidoka.core.errors import StorageFull as StorageFull
    from jidoka.core.errors import StoreUnavailable as StoreUnavailable
    from jidoka.core.errors import TurnCancelled as TurnCancelled
    from jidoka.core.errors import TurnFailed as TurnFailed
    from jidoka.core.errors import TurnInProgress as TurnInProgress
    from jidoka.core.errors import VersionConflict as VersionConflict
    from jidoka.core.errors import WorkspaceUnavailable as WorkspaceUnavailable
    from jidoka.core.events import Event as Event
    from jidoka.core.events import EventType as EventType
    from jidoka.core.ledger import SessionUsage as SessionUsage
    from jidoka.core.letters import DeadLetter as DeadLetter
    from jidoka.core.messages import ActiveFile as ActiveFile
    from jidoka.core.messages import Context as Context
    from jidoka.core.messages import ContextStats as ContextStats
    from jidoka.core.messages import Message as Message
    from jidoka.core.messages import SessionInfo as SessionInfo
    from jidoka.core.pages import Page as Page
    from jidoka.core.settings import Settings as Settings
    from jidoka.core.status import SessionStatus as SessionStatus
    from jidoka.core.tools import CallInfo as CallInfo
    from jidoka.core.views import Health as Health
    from jidoka.core.views import Stats as Stats
    from jidoka.core.views import TreeNode as TreeNode
    from jidoka.hub.subscription import Subscription as Subscription
    from jidoka.ports.models import Model as Model
    from jidoka.ports.store import Store as Store
    from jidoka.session import Session as Session
    from jidoka.sessions.stream import TurnStream as TurnStream
    from jidoka.sync import SyncClient as SyncClient
    from jidoka.sync import SyncSession as SyncSession

_NAMES = {
    "jidoka.actors.errors": "ActorDead ActorRestarted CallTimeout ChildStartError InvalidChildSpec MailboxFull",
    "jidoka.adapters.echo": "EchoModel",
    "jidoka.adapters.memory": "MemoryStore",
    "jidoka.adapters.pydantic_ai": "PydanticAIModel",
    "jidoka.adapters.tools": "FunctionTool tool",
    "jidoka.client": "Client",
    "jidoka.core.chunks": "Chunk LLMConfig Question Reply ToolCall ToolResult Usage",
    "jidoka.core.errors": (
        "CorruptRecord FileUnreadable IdempotencyConflict InvalidMessage InvalidPath InvalidRole InvalidSessionId "
        "InvalidTransition JidokaError ModelNotFound SessionExists SessionFailed SessionLimitReached "
        "SessionNotFound SessionTerminated StorageFull StoreUnavailable TurnCancelled TurnFailed TurnInProgress "
        "VersionConflict WorkspaceUnavailable"
    ),
    "jidoka.core.events": "Event EventType",
    "jidoka.core.ledger": "SessionUsage",
    "jidoka.core.letters": "DeadLetter",
    "jidoka.core.messages": "ActiveFile Context ContextStats Message SessionInfo",
    "jidoka.core.pages": "Page",
    "jidoka.core.settings": "Settings",
    "jidoka.core.status": "SessionStatus",
    "jidoka.core.tools": "CallInfo",
    "jidoka.core.views": "Health Stats TreeNode",
    "jidoka.hub.subscription": "Subscription",
    "jidoka.ports.models": "Model",
    "jidoka.ports.store": "Store",
    "jidoka.session": "Session",
    "jidoka.sessions.stream": "TurnStream",
    "jidoka.sync": "SyncClient SyncSession",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jidoka' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
