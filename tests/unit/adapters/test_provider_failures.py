"""What a provider's failure means."""

import pytest
from pydantic_ai import exceptions as theirs

from jidoka.adapters.provider_failures import BLAMED, RETRIED, SENTENCES, failure_of, turn_failed
from jidoka.adapters.provider_http import Unacceptable
from jidoka.core.errors import TurnFailed

KEY = "sk_canary_8d1f"


def http(status: int, category: type[theirs.ModelAPIError] | None = None, **facts: object) -> theirs.ModelHTTPError:
    return theirs.ModelHTTPError.for_category(category, status_code=status, model_name="m", **facts)  # pyright: ignore


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (http(429, theirs.ModelRateLimitError), "rate_limited"),
        (http(429, theirs.ModelQuotaExceededError), "quota_exceeded"),
        (http(400, theirs.ModelContextWindowExceededError), "context_too_long"),
        (http(418), "garbled"),
        (theirs.ModelTimeoutError("m", "x", phase="read"), "timed_out"),
        (theirs.ModelTimeoutError("m", "x", phase="connect"), "unreachable"),
        (theirs.ModelTimeoutError("m", "x", phase="pool"), "unreachable"),
        (theirs.ModelConnectionError("m", "x"), "unreachable"),
        (theirs.UserError("x"), "rejected"),
        (theirs.UnexpectedModelBehavior("x", "body"), "garbled"),
        (Unacceptable("too_large"), "too_large"),
        (AttributeError("x"), "garbled"),
    ],
)
def test_each_has_one_word(error: Exception, reason: str) -> None:
    failure = failure_of(error, has_begun=False)

    assert failure.reason == reason
    assert failure.error.startswith(f"{reason}: {SENTENCES[reason]}")


def test_what_breaks_off_after_its_beginning_is_cut_off() -> None:
    broken = theirs.ModelConnectionError("m", "x", phase="read")

    assert failure_of(broken, has_begun=True).reason == "cut_off"
    assert failure_of(theirs.ModelAPIError("m", "no end"), has_begun=True).reason == "cut_off"


def test_a_refusal_of_ours_is_found_below_the_sdks_error() -> None:
    error = theirs.ModelConnectionError("m", "x")
    error.__cause__ = RuntimeError("x")
    error.__cause__.__context__ = Unacceptable("redirected")

    assert failure_of(error, has_begun=False).reason == "redirected"


def test_the_providers_word_is_taken_over_unless_it_could_be_the_key() -> None:
    said = [
        failure_of(http(400, provider_error_code=code), has_begun=False, key=KEY).error
        for code in ("context_length_exceeded", KEY, f"x{KEY}", KEY[:8], "two words", "x" * 65, f"bearer.{KEY}")
    ]

    assert "context_length_exceeded" in said[0]
    assert [KEY[:8] in text or "two" in text or "xxx" in text for text in said[1:]] == [False] * 6


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), -1.0, None])
def test_a_time_that_is_none_is_not_waited_for(wait: float | None) -> None:
    error = theirs.ModelRateLimitError("m", "x", retry_after=wait)

    assert failure_of(error, has_begun=False).retry_after is None


def test_every_word_has_its_sentence() -> None:
    assert SENTENCES.keys() >= RETRIED | BLAMED
    assert isinstance(turn_failed("cut_off"), TurnFailed)
