"""Raw blinker: one signal, and functions that are called in place."""

from __future__ import annotations

from typing import Any

from blinker import Signal

from tests.bench.measures import Figures, Pace


class Listener:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, _sender: Any, event: Any) -> None:
        self.heard += 1


async def deliveries(subscribers: int, events: int) -> Figures:
    signal = Signal()
    listeners = [Listener() for _ in range(subscribers)]
    for listener in listeners:
        signal.connect(listener.hear)
    pace = Pace(events)
    for size in pace:
        for number in range(size):
            signal.send(None, event=number)
    if sum(listener.heard for listener in listeners) != pace.done * subscribers:
        raise RuntimeError("not everything was heard")
    return {"rate": pace.rate * subscribers}


WORKS = {"deliveries": deliveries}
