"""What a provider's failure means: one stable word, a sentence of ours, and how long to wait.

Nothing that a provider or an SDK says goes into the error: it may quote the key. Needs the extra `llm`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Final

from pydantic_ai import exceptions as theirs

from jidoka.adapters.provider_http import Unacceptable
from jidoka.core.errors import TurnFailed

SENTENCES: Final = {
    "rate_limited": "the provider takes no more requests for now",
    "overloaded": "the provider has too much to do",
    "unavailable": "the provider is not available",
    "server_error": "the provider failed",
    "unreachable": "the provider cannot be reached",
    "cut_off": "the answer broke off",
    "timed_out": "the provider was silent for too long, or not done in time",
    "garbled": "what the provider sent cannot be read",
    "too_large": "the provider sent more than is taken",
    "redirected": "the provider sent us somewhere else, and nobody goes there with its key",
    "circuit_open": "the provider failed too often, and is left alone for now",
    "unauthorized": "the provider does not accept the key",
    "no_api_key": "there is no key for the provider",
    "not_configured": "the provider's own settings are not complete",
    "not_installed": "the provider's package is not installed",
    "quota_exceeded": "the account at the provider is used up",
    "model_not_found": "the provider does not have the model",
    "context_too_long": "the conversation is longer than the model can take",
    "filtered": "the provider does not let this be said",
    "rejected": "the provider does not accept the request",
}
"""Why a turn fails at a provider's model."""

RETRIED: Final = frozenset({"rate_limited", "overloaded", "unavailable", "server_error", "unreachable", "cut_off"})
"""Worth another try, as long as nothing has been said."""

BLAMED: Final = frozenset(
    {"overloaded", "unavailable", "server_error", "unreachable", "cut_off", "timed_out", "garbled", "too_large"}
    | {"redirected"}
)
"""These count for the circuit breaker. After any other the endpoint has shown that it works."""

# The first that fits.
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (theirs.ModelQuotaExceededError, "quota_exceeded"),
    (theirs.ModelRateLimitError, "rate_limited"),
    (theirs.ModelOverloadedError, "overloaded"),
    (theirs.ModelUnavailableError, "unavailable"),
    (theirs.ModelServerError, "server_error"),
    (theirs.ModelTimeoutError, "timed_out"),
    (theirs.ModelRequestTimeout, "timed_out"),
    (theirs.ModelConnectionError, "unreachable"),
    (theirs.ModelAuthenticationError, "unauthorized"),
    (theirs.ModelNotFoundError, "model_not_found"),
    (theirs.ModelContextWindowExceededError, "context_too_long"),
    (theirs.ContentFilterError, "filtered"),
    (theirs.ModelRequestRejectedError, "rejected"),
    (theirs.UserError, "rejected"),
)

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


def turn_failed(reason: str, detail: str = "", *, retry_after: float | None = None) -> TurnFailed:
    """The error for *reason*. *detail* has to be a text of ours."""
    text = f"{reason}: {SENTENCES[reason]}{detail and f' ({detail})'}"
    return TurnFailed(text, reason=reason, retry_after=retry_after)


def failure_of(error: Exception, *, has_begun: bool, key: str = "") -> TurnFailed:
    """What *error* means. *has_begun*: the response had been opened. *key* is looked for in what is taken over."""
    reason = next((cause.reason for cause in _causes(error) if isinstance(cause, Unacceptable)), None)
    if reason is None:
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "garbled")
    if isinstance(error, theirs.ModelTimeoutError) and error.phase in {"connect", "pool"}:
        reason = "unreachable"
    if has_begun and (reason == "unreachable" or _says_that_it_broke_off(error)):
        reason = "cut_off"
    retry_after = getattr(error, "retry_after", None)
    if not (isinstance(retry_after, float) and isfinite(retry_after) and retry_after >= 0):
        retry_after = None
    return turn_failed(reason, ", ".join(_facts(error, retry_after, key)), retry_after=retry_after)


def _says_that_it_broke_off(error: Exception) -> bool:
    """pydantic-ai finds a stream without its end; nothing else has no cause."""
    return type(error) is theirs.ModelAPIError and error.__cause__ is None


def _facts(error: Exception, retry_after: float | None, key: str) -> Iterator[str]:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        yield f"HTTP {status}"
    code = getattr(error, "provider_error_code", None) or getattr(error, "provider_error_type", None)
    # Providers have words for what is wrong; one that has the key in it is none.
    if isinstance(code, str) and _CODE.fullmatch(code) and not (key and (key in code or code in key)):
        yield code
    if not isinstance(error, theirs.ModelAPIError | Unacceptable):
        yield type(error).__name__
    if retry_after is not None:
        yield f"try again in {retry_after:g} s"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
