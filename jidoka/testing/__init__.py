"""Stand-ins for tests of programs that use jidoka, and of jidoka itself.

`jidoka.testing.contracts` (what every store promises) is imported by itself: it needs pytest.
"""

from jidoka.testing.census import Census, nothing_left_behind, take_census
from jidoka.testing.crash_points import Crash, every_crash_point
from jidoka.testing.events import EventLog, listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.models import ScriptedModel
from jidoka.testing.wellformed import all_well_formed, well_formed
from jidoka.testing.world import VirtualWorld

__all__ = [
    "Call",
    "Census",
    "Crash",
    "EventLog",
    "Fault",
    "FaultyStore",
    "ScriptedModel",
    "VirtualWorld",
    "all_well_formed",
    "every_crash_point",
    "kill_child",
    "kill_manager",
    "kill_supervisor",
    "listening_to",
    "nothing_left_behind",
    "take_census",
    "well_formed",
]
