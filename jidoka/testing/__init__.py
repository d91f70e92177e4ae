"""Stand-ins for tests of programs that use jidoka, and of jidoka itself.

`jidoka.testing.contracts` (what every store promises) is imported by itself: it needs pytest.
"""

from jidoka.testing.census import Census, nothing_left_behind, take_census
from jidoka.testing.events import EventLog, listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld

__all__ = [
    "Census",
    "EventLog",
    "ScriptedModel",
    "VirtualWorld",
    "kill_child",
    "kill_manager",
    "kill_supervisor",
    "listening_to",
    "nothing_left_behind",
    "take_census",
]
