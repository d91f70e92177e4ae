"""Token counts as OpenAI's models count, by their own vocabularies. Needs the extra `tokens`."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, Final
from warnings import catch_warnings, simplefilter

from jidoka.core.errors import InvalidMessage

# The library takes less than a million characters, and less than 200,000 tokens, at once. A character has at most
# four bytes, and a byte is at most one token.
PIECE: Final = 50_000
# Counts that are remembered: a session asks for those of its newest messages again and again.
_MEMORY: Final = 20_000

_OLDER: Final = ("gpt-4-", "gpt-3.5", "gpt-35")


def encoding_of(model: str) -> str:
    """The vocabulary of *model*, with or without its provider's name. Whatever is not known counts as the newest."""
    name = model.rpartition(":")[2].lower()
    return "cl100k_base" if name == "gpt-4" or name.startswith(_OLDER) else "o200k_base"


def exact_counter(model: str = "") -> ExactCounter:
    """The counter for *model*; the same one for all models with one vocabulary. Raises InvalidMessage."""
    return _counter(encoding_of(model))


@lru_cache(maxsize=4)
def _counter(encoding: str) -> ExactCounter:
    return ExactCounter(encoding)


class ExactCounter:
    """Counts the tokens of a text. Loading the vocabulary takes a tenth of a second and 150 MB, once per process."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._vocabulary = _load(encoding)
        self._known: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        return f"<ExactCounter {self.encoding}: {len(self._known)} texts remembered>"

    def __call__(self, text: str, /) -> int:
        # Not the text: it may be large, and its session may be gone by now.
        key = (len(text), hash(text))
        tokens = self._known.get(key)
        if tokens is None:
            if len(self._known) >= _MEMORY:
                self._known.clear()
            # Words that are commands to a model are counted as the words they are.
            tokens = self._known[key] = sum(len(self._vocabulary.encode_ordinary(piece)) for piece in pieces(text))
        return tokens


def _load(encoding: str) -> Any:
    with catch_warnings():
        # It reads its files in a way that Python 3.11 warns of and later ones do not.
        simplefilter("ignore", DeprecationWarning)
        try:
            # It comes without types.
            library: Any = import_module("bpe_openai")
        except ImportError as error:
            text = "exact token counts need another package: pip install 'jidoka[tokens]'"
            raise InvalidMessage(text, field="context.counter") from error
        return library.get_encoding(encoding)


def pieces(text: str) -> list[str]:
    """*text* in pieces that can be counted, cut where a word begins, so that the sum is what the whole takes."""
    found: list[str] = []
    start = 0
    while len(text) - start > PIECE:
        end = text.rfind(" ", start + PIECE // 2, start + PIECE)
        end = start + PIECE if end < 0 else end
        found.append(text[start:end])
        start = end
    return [*found, text[start:]]
