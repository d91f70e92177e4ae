"""What messages take in tokens, counted once each, newest first, and no further back than anybody asks."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from jidoka.core.messages import Message
from jidoka.core.tokens import TokenCounter, tokens_of

# Sums are kept for so many messages at a time: ten thousand are looked through in 156 steps.
BLOCK: Final = 64


class Reach(NamedTuple):
    """How far back room is enough: `start` is the oldest message that fits, with all that come after it."""

    start: int
    spent: int


class Tally:
    """Keeps up with a list of messages that only grows. 0 stands for what was not counted yet."""

    __slots__ = ("_counts", "_messages", "_sums", "counter")

    def __init__(self, messages: Sequence[Message], counter: TokenCounter) -> None:
        self.counter = counter
        self._messages = messages
        self._counts = array("q")
        self._sums = array("q")

    def copy(self, messages: Sequence[Message]) -> Tally:
        """The same for *messages*, which begin with the ones that were counted here."""
        other = Tally(messages, self.counter)
        other._counts = self._counts[:]
        other._sums = self._sums[:]
        return other

    @property
    def size(self) -> int:
        """How many messages it knows of."""
        return len(self._counts)

    def catch_up(self) -> None:
        """There are new messages."""
        self._counts.frombytes(bytes(8 * (len(self._messages) - len(self._counts))))
        self._sums.frombytes(bytes(8 * (len(self._messages) // BLOCK - len(self._sums))))

    def count(self, index: int) -> int:
        """What one message takes."""
        return self._counts[index] or self._counted(index)

    def _counted(self, index: int) -> int:
        self._counts[index] = tokens = tokens_of(self._messages[index], self.counter)
        return tokens

    def block(self, number: int) -> int:
        """What a whole block of messages takes."""
        tokens = self._sums[number]
        if not tokens:
            first = number * BLOCK
            tokens = self._sums[number] = sum(map(self.count, range(first, first + BLOCK)))
        return tokens

    def total(self, instead: Tally | None = None) -> int:
        """What all of them take. Blocks that nobody has counted yet are taken from *instead*, if it is given."""
        whole = len(self._sums)
        rest = sum(map(self.count, range(whole * BLOCK, len(self._counts))))
        if instead is None:
            return rest + sum(map(self.block, range(whole)))
        return rest + sum(self._sums[number] or instead.block(number) for number in range(whole))

    def is_at_most(self, room: int) -> bool:
        """Whether all of them fit in *room*. Stops counting when they do not."""
        return self.reach(len(self._counts), 0, room).start == 0

    def reach(self, start: int, floor: int, room: int, free: Collection[int] = ()) -> Reach:
        """How far back from *start*, but not beyond *floor*, *room* is enough. What is *free* takes nothing."""
        left, free_in, by_blocks = room, self._free_in_blocks(free), True
        while start > floor:
            if by_blocks and start % BLOCK == 0 and start - BLOCK >= floor:
                number, size = start // BLOCK - 1, BLOCK
                cost = self.block(number) - free_in.get(number, 0)
            else:
                cost, size = (0 if start - 1 in free else self.count(start - 1)), 1
            if cost <= left:
                left -= cost
                start -= size
            elif size == 1:
                break
            else:
                # Part of the block may still fit.
                by_blocks = False
        return Reach(start, room - left)

    def _free_in_blocks(self, free: Collection[int]) -> dict[int, int]:
        sums: dict[int, int] = {}
        for index in free:
            number = index // BLOCK
            sums[number] = sums.get(number, 0) + self.count(index)
        return sums
