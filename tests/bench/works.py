"""The shape of a measurement: rows, and the work that gives their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.contestants import Contestant

Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a work, as a line of the table. Without *aim* it is there for comparison."""

    name: str
    figure: str
    unit: str
    aim: float | None = None
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """What each contestant does once per run. It gives all the figures of its rows."""

    name: str
    rows: tuple[Row, ...]
    contestants: tuple[Contestant, ...]
    full: Sizes
    quick: Sizes
    warm: Sizes
    # For who cannot carry the full size; said in the table.
    carries: Mapping[str, Sizes] = field(default_factory=dict)
    # Contestants that have nothing of the kind, and why.
    absent: Mapping[str, str] = field(default_factory=dict)
    limit: float = 120.0
    """Seconds after which a run is given up."""
    group: str = ""
    """A name that stands for several works."""
    runs: int | None = None
    """How often at most, where once is long enough."""
    on_request: bool = False
    """Only measured when it is asked for by its own name."""

    def sizes(self, contestant: Contestant, *, quick: bool) -> dict[str, int]:
        """At which size *contestant* runs: the smaller of what is asked and what it can carry."""
        asked = dict(self.quick if quick else self.full)
        carries = self.carries.get(contestant.name, {})
        return {name: min(size, carries.get(name, size)) for name, size in asked.items()}
