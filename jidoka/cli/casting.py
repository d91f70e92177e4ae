"""Which session plays which dialogue: by its id alone, so that another process can go on where one was killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from jidoka.core.errors import InvalidMessage

if TYPE_CHECKING:
    from jidoka.cli.dialogues import Dialogue, Turn
    from jidoka.ports.store import Store

# No session of a replay may fail because it was killed too often.
PATIENT: Final = {"max_restarts": 1_000_000, "within": 60.0}
_PAGE: Final = 1_000


@dataclass(slots=True)
class Part:
    """One dialogue, and the session that plays it."""

    number: int
    dialogue: Dialogue
    session_id: str
    replay: str
    said: int = 0
    """How many of its messages are in the store."""
    is_there: bool = False

    @property
    def turns(self) -> Sequence[Turn]:
        """All of it."""
        return self.dialogue.turns

    def birth(self) -> dict[str, Any]:
        """What its session is created with."""
        return {
            "session_id": self.session_id,
            "metadata": {"dialogue": self.dialogue.id, "replay": self.replay},
            "config": PATIENT,
        }

    def key(self, turn: int) -> str:
        """The idempotency key of a message: whoever sends it again sends the same one."""
        return f"{self.number}/{turn}"


def cast(dialogues: Sequence[Dialogue]) -> list[Part]:
    """A part for each. Other dialogues have other ids, and the same ones always the same."""
    replay = _name_of(dialogues)
    return [
        Part(number, dialogue, f"replay_{replay}_{number}", replay)
        for number, dialogue in enumerate(dialogues, start=1)
    ]


def _name_of(dialogues: Sequence[Dialogue]) -> str:
    digest = blake2b(digest_size=6)
    for dialogue in dialogues:
        digest.update(repr((dialogue.id, dialogue.turns)).encode())
    return digest.hexdigest()


async def look_up(store: Store, parts: Sequence[Part], *, resume: bool) -> int:
    """Mark the parts whose sessions are there, and how far they are; how many.

    Raises InvalidMessage where there are some and nobody wants to *resume*.
    """
    by_id = {part.session_id: part for part in parts}
    wanted, after, count = {"replay": parts[0].replay}, 0, 0
    while found := await store.heads(metadata=wanted, after=after, limit=_PAGE):
        if not resume:
            raise InvalidMessage("these dialogues are in the store already: --resume goes on with them")
        for arrival, head in found:
            after = arrival
            part = by_id.get(head.session_id)
            if part is not None:
                part.is_there, part.said = True, head.message_count
                count += 1
    return count
