"""Actors on the event loop, and the supervisors that keep them alive. Usable without sessions."""

from jidoka.actors.actor import Actor
from jidoka.actors.dynamic import DynamicSupervisor
from jidoka.actors.errors import (
    ActorDead,
    ActorRestarted,
    CallTimeout,
    ChildNotFound,
    ChildStartError,
    InvalidChildSpec,
    MailboxFull,
    WouldDeadlock,
)
from jidoka.actors.exits import ExitReason, Ignore, Shutdown, Stop
from jidoka.actors.futures import Future
from jidoka.actors.ref import ActorRef
from jidoka.actors.request import Request
from jidoka.actors.restarts import Backoff
from jidoka.actors.specs import ChildCounts, ChildInfo, ChildSpec
from jidoka.actors.supervisor import Supervisor
from jidoka.actors.supervisor_ref import SupervisorRef
from jidoka.actors.system import ActorSystem
from jidoka.actors.threaded import ThreadedSystem

__all__ = [
    "Actor",
    "ActorDead",
    "ActorRef",
    "ActorRestarted",
    "ActorSystem",
    "Backoff",
    "CallTimeout",
    "ChildCounts",
    "ChildInfo",
    "ChildNotFound",
    "ChildSpec",
    "ChildStartError",
    "DynamicSupervisor",
    "ExitReason",
    "Future",
    "Ignore",
    "InvalidChildSpec",
    "MailboxFull",
    "Request",
    "Shutdown",
    "Stop",
    "Supervisor",
    "SupervisorRef",
    "ThreadedSystem",
    "WouldDeadlock",
]
