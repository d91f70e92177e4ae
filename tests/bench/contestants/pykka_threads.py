"""Pykka's ThreadingActor: a thread per actor."""

from __future__ import annotations

import threading
from time import perf_counter, sleep
from typing import Any, ClassVar

import pykka

from tests.bench.measures import Figures, Pace, kib_each, resident

BATCH = 50_000


class Echo(pykka.ThreadingActor):
    """Answers what it is told."""

    def on_receive(self, message: Any) -> Any:
        return message


class Listener(pykka.ThreadingActor):
    """Counts what it hears."""

    heard: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.mine = 0

    def on_receive(self, message: Any) -> Any:
        self.mine += 1
        return self.mine


def calls_one(count: int) -> Figures:
    ref = Echo.start()
    try:
        pace = Pace(count)
        for size in pace:
            for number in range(size):
                ref.ask(number)
        return {"rate": pace.rate}
    finally:
        pykka.ActorRegistry.stop_all()


def calls_many(actors: int, each: int) -> Figures:
    """A thread per caller as well: a caller waits for its answer."""
    refs = [Echo.start() for _ in range(actors)]
    gate = threading.Event()

    def caller(ref: Any) -> None:
        gate.wait()
        for number in range(each):
            ref.ask(number)

    try:
        callers = [threading.Thread(target=caller, args=(ref,), daemon=True) for ref in refs]
        for thread in callers:
            thread.start()
        began = perf_counter()
        gate.set()
        for thread in callers:
            thread.join(60)
        return {"rate": actors * each / (perf_counter() - began)}
    finally:
        pykka.ActorRegistry.stop_all()


def tells(count: int) -> Figures:
    ref = Echo.start()
    try:
        pace = Pace(count, slices=max(1, count // BATCH))
        for size in pace:
            for number in range(size):
                ref.tell(number)
            ref.ask(None)
        return {"rate": pace.rate}
    finally:
        pykka.ActorRegistry.stop_all()


def sessions(sessions: int) -> Figures:
    """Three threads each."""
    before = resident()
    pace = Pace(sessions, seconds=30)
    for size in pace:
        for _ in range(size):
            Echo.start()
            Echo.start()
            Echo.start()
    memory = kib_each(before, pace.done)
    began = perf_counter()
    pykka.ActorRegistry.stop_all()
    seconds = perf_counter() - began
    while threading.active_count() > 1 and perf_counter() - began < 10:
        sleep(0.001)
    return {"started": pace.rate, "kib": memory, "stop": seconds * 100_000 / pace.done}


def deliveries(subscribers: int, events: int) -> Figures:
    """An actor per subscriber, told one by one."""
    refs = [Listener.start() for _ in range(subscribers)]
    try:
        pace = Pace(events, slices=max(1, events // 100))
        for size in pace:
            for number in range(size):
                for ref in refs:
                    ref.tell(number)
            for ref in refs:
                ref.ask(None)
        return {"rate": pace.rate * subscribers}
    finally:
        pykka.ActorRegistry.stop_all()


WORKS = {
    "calls_one": calls_one,
    "calls_many": calls_many,
    "tells": tells,
    "sessions": sessions,
    "deliveries": deliveries,
}
