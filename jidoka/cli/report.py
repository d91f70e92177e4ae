"""What comes of a replay."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from jidoka.cli.dialogues import Differences
from jidoka.cli.killing import VICTIMS

DIFFERENCES: Final = ("lost", "duplicated", "out_of_order", "mixed")
# What can be wrong with turns besides.
FAULTS: Final = ("repeated", "unfounded", "malformed", "astray")
# Of thousands that fail for one reason, a few say it.
ERRORS_SHOWN: Final = 20


@dataclass(slots=True)
class Report:
    """What `--json` prints."""

    sessions: int = 0
    messages: int = 0
    resumed: int = 0
    """Sessions that were there already, …"""
    sent: int = 0
    """… and messages that were not."""
    kills: int = 0
    restarts: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    mixed: int = 0
    messages_per_second: float = 0.0
    seconds: float = 0.0
    seconds_by_phase: dict[str, float] = field(default_factory=dict[str, float])
    kills_by_victim: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    turns: int = 0
    """Where dialogues are played as turns: questions that had an answer; …"""
    asked: int = 0
    """… how often they were asked; what was to go wrong, and how turns ended that had no answer."""
    trouble: dict[str, int] = field(default_factory=dict[str, int])
    ends: dict[str, int] = field(default_factory=dict[str, int])
    tool_calls: int = 0
    """In the journals."""
    tool_runs: int = 0
    """Of the tool that has an effect, …"""
    repeats_told: int = 0
    """… and how often it was told that it may have had it already."""
    repeated: int = 0
    """Effects that would have been had twice, nobody having said so; …"""
    unfounded: int = 0
    """… results of what was never done; …"""
    malformed: int = 0
    """… journals that are not well formed, or have an open turn; …"""
    astray: int = 0
    """… and questions that a model was not asked in their place."""
    errors: list[str] = field(default_factory=list[str])
    """Why dialogues broke off. What they did not say counts as lost."""

    @property
    def is_clean(self) -> bool:
        """Whether every message came out where it belongs, and every tool did what it was to do."""
        return not (self.errors or any(getattr(self, name) for name in (*DIFFERENCES, *FAULTS)))

    def count(self, found: Differences) -> None:
        """Add one session's differences."""
        self.lost += found.lost
        self.duplicated += found.duplicated
        self.out_of_order += found.out_of_order
        self.mixed += found.mixed

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {**asdict(self), "errors": self.errors[:ERRORS_SHOWN]}
