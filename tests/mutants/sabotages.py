"""What is broken, and which tests must notice."""

from __future__ import annotations

from typing import NamedTuple

SUPERVISION = "tests/unit/actors/supervision"
ACTORS = "tests/unit/actors"
STORE = "tests/contract/test_store.py"
HUB = "tests/unit/hub"
SESSIONS = "tests/unit/sessions"
STORIES = "tests/stories"


class Sabotage(NamedTuple):
    """*text* in *file* is replaced by *broken*; one of *tests* must fail."""

    name: str
    file: str
    text: str
    broken: str
    tests: tuple[str, ...]
