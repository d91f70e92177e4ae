"""Scheduled turns: a monitor that asks its session's model every so often, for months, over restarts."""

from jidoka.cycles.formatter import Observation, action_items, clean, format_observation
from jidoka.cycles.monitor import Monitor
from jidoka.cycles.records import Comparison, Cycle, Ledger, Stateless
from jidoka.cycles.retry import Retry
from jidoka.cycles.slots import Missed

__all__ = [
    "Comparison",
    "Cycle",
    "Ledger",
    "Missed",
    "Monitor",
    "Observation",
    "Retry",
    "Stateless",
    "action_items",
    "clean",
    "format_observation",
]
