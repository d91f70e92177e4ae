"""Keys in the logs of libraries."""

import logging
from collections.abc import Iterator

import pytest

from jidoka.adapters.redaction import Redaction

KEY = "sk-canary-8d1f"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("httpcore2.a_test")
    yield logger
    for filter in list(logger.filters):
        logger.removeFilter(filter)


@pytest.fixture
def redaction(logger: logging.Logger) -> Iterator[Redaction]:
    redaction = Redaction()
    redaction.hide(KEY)
    yield redaction
    for other in logging.root.manager.loggerDict.values():
        if isinstance(other, logging.Logger):
            other.removeFilter(redaction)


def test_a_key_is_replaced_wherever_it_comes_from(
    logger: logging.Logger, redaction: Redaction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logger.debug("headers %s", {"x": KEY})
    logger.info(f"said {KEY} twice: {KEY}")
    try:
        raise ValueError(KEY)
    except ValueError:
        logger.exception("it failed")

    assert KEY not in caplog.text
    assert [record.getMessage() for record in caplog.records] == [
        "headers {'x': '[key]'}",
        "said [key] twice: [key]",
        "it failed",
    ]
    assert "ValueError: [key]" in caplog.text


def test_what_has_no_key_in_it_is_left_alone(
    logger: logging.Logger, redaction: Redaction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logger.debug("headers %s", {"x": 1})

    assert caplog.records[0].args == {"x": 1}


def test_a_record_that_cannot_be_written_down_is_none_of_its_business(redaction: Redaction) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%d", ("no number",), None)

    assert redaction.filter(record)


def test_a_key_is_forgotten_once_nobody_uses_it(redaction: Redaction) -> None:
    redaction.hide(KEY)

    redaction.forget(KEY)
    assert redaction.without_keys(KEY) == "[key]"
    redaction.forget(KEY)
    assert redaction.without_keys(KEY) == KEY


@pytest.mark.parametrize("key", ["", "none"])
def test_what_is_in_every_text_is_no_key(redaction: Redaction, key: str) -> None:
    redaction.hide(key)

    assert redaction.without_keys("none or something") == "none or something"
    redaction.forget(key)
