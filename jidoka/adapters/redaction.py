"""Keeps keys out of the logs of libraries that write down what a server says: some servers repeat the key they got."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

_LOGGERS: Final = ("httpcore2", "httpx2", "openai", "anthropic", "pydantic_ai", "stamina")
_INSTEAD: Final = "[key]"
_FORMATTER: Final = logging.Formatter()
# A shorter one is not looked for: it would be found in any text.
_SHORTEST: Final = 6


class Redaction(logging.Filter):
    """Replaces keys in the message of a record, and in the traceback that comes with it."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._keys)} keys>"

    def hide(self, key: str) -> None:
        """From now on, until `forget` has been called as often."""
        if len(key) < _SHORTEST:
            return
        self._keys[key] += 1
        # A filter sees what its own logger is given, not what comes up from those below it.
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if isinstance(logger, logging.Logger) and name.partition(".")[0] in _LOGGERS:
                logger.addFilter(self)

    def forget(self, key: str) -> None:
        """The key is not used any more."""
        self._keys[key] -= 1
        if self._keys[key] <= 0:
            del self._keys[key]

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes."""
        try:
            text = record.getMessage()
        except Exception:
            # A record that cannot be written down: the handler says so, as it would without us.
            return True
        hidden = self.without_keys(text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        if record.exc_info and not record.exc_text:
            trace = _FORMATTER.formatException(record.exc_info)
            hidden = self.without_keys(trace)
            if hidden != trace:
                record.exc_info, record.exc_text = None, hidden
        return True

    def without_keys(self, text: str) -> str:
        """*text* with something else for each key."""
        for key in self._keys:
            text = text.replace(key, _INSTEAD)
        return text


REDACTION: Final = Redaction()
