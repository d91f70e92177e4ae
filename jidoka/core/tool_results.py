"""What a tool returned or raised, as the text that the model hears."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, cast

from pydantic_core import from_json, to_json

from jidoka.core.errors import InvalidMessage
from jidoka.core.json_values import sound_text, words_of
from jidoka.core.signatures import BadArguments
from jidoka.core.tools import CallEnd


def ended(result: object, *, most: int) -> CallEnd:
    """*result* as it is, if it is text, else as JSON. What is not JSON, or is longer than *most* bytes, has failed."""
    try:
        data = _as_text(result) if isinstance(result, str) else _as_json(result)
        if len(data) > most:
            return CallEnd("error", f"the result has {len(data)} bytes, and {most} are taken: ask for less")
        if not isinstance(result, str):
            # The serializer writes NaN and infinity, which JSON does not have.
            from_json(data, allow_inf_nan=False)
    except InvalidMessage as error:
        return CallEnd("error", str(error))
    except Exception as error:
        return CallEnd("error", f"the result is not JSON: {words_of(error)}")
    return CallEnd("ok", data.decode())


def failed(error: BaseException) -> CallEnd:
    """The tool raised *error*."""
    said = words_of(error)
    name = type(error).__name__
    return CallEnd("error", f"{name}: {said}" if said else name)


def refused(error: BadArguments) -> CallEnd:
    """The tool was not even run."""
    return CallEnd("error", words_of(error))


def _as_text(result: str) -> bytes:
    return sound_text(str.__str__(result), "the result").encode()


def _as_json(result: Any) -> bytes:
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result) or isinstance(result, Iterator):
        # pydantic would iterate, for ever perhaps.
        raise InvalidMessage(f"the result is not JSON: a {type(cast('Any', result)).__name__}")
    return to_json(result)
