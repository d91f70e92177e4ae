"""What is said about an actor's failures, in Pykka's words where Pykka has them, and Pykka's own registry."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pykka import ActorRegistry

if TYPE_CHECKING:
    from jidoka.actors.place import Place

# A library says what happens; where it is written, and whether, is the program's to say. Without this, Python would
# print every crash of every session.
logging.getLogger("jidoka").addHandler(logging.NullHandler())

log = logging.getLogger("jidoka.actors")

# The exits of Python itself: the crash of one actor, and nothing more.
_ONE_ACTORS_CRASH = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)


def failure(cell: Place, error: BaseException) -> None:
    """An exception ends an actor."""
    if log.isEnabledFor(logging.ERROR):
        log.error("Unhandled exception in %s:", cell.ref, exc_info=(type(error), error, error.__traceback__))


def returned(cell: Place, error: BaseException) -> None:
    """An exception went to the caller."""
    if log.isEnabledFor(logging.INFO):
        info = (type(error), error, error.__traceback__)
        log.info("Exception returned from %s to caller:", cell.ref, exc_info=info)


def closing(cell: Place) -> None:
    """An actor takes no more messages. One that Pykka knows is unregistered before its hook runs."""
    if cell.registered:
        cell.registered = False
        ActorRegistry.unregister(cell.ref)
        log.debug("Stopped %s", cell.actor)


def is_pykkas_stop_all(cell: Place, error: BaseException) -> bool:
    """Whether Pykka's own rule applies: a bare BaseException stops every actor of Pykka's registry."""
    if isinstance(error, (Exception, *_ONE_ACTORS_CRASH)) or not cell.registered:
        return False
    if cell.actor is None or Exception not in cell.actor.reply_errors:
        return False
    log.debug("%r in %s. Stopping all actors.", error, cell.actor)
    return True


def stop_all() -> None:
    """Stop every actor that Pykka's registry knows, without waiting."""
    ActorRegistry.stop_all(block=False)
