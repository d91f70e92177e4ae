"""Coroutines that promise not to wait."""

import anyio.lowlevel
import pytest

from jidoka.sessions.immediate import finish_now


async def test_what_does_not_wait_is_finished_on_the_spot() -> None:
    async def answer() -> int:
        return 7

    assert finish_now(answer()) == 7


async def test_what_it_raises_is_raised() -> None:
    async def refuse() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        finish_now(refuse())


async def test_a_broken_promise_is_named_and_the_coroutine_closed() -> None:
    closed: list[bool] = []

    async def wait() -> None:
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="never_waits"):
        finish_now(wait())
    assert closed == [True]
