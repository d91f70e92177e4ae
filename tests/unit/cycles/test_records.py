"""What a session keeps of its cycles, and how often a cycle asks again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jidoka.actors.restarts import Backoff
from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.merge import merged
from jidoka.core.messages import SessionInfo
from jidoka.core.status import SessionStatus
from jidoka.cycles.records import Comparison, Ledger, Opened, ledger_of, patch_of
from jidoka.cycles.retry import Retry

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def info_with(metadata: dict[str, Any]) -> SessionInfo:
    return SessionInfo(
        session_id="session_a",
        status=SessionStatus.ACTIVE,
        version=1,
        incarnation=1,
        owner=None,
        metadata=metadata,
        llm_config={},
        config={},
        created_at=NOON,
        updated_at=NOON,
        last_activity_at=NOON,
        message_count=0,
        last_seq=1,
    )


def test_a_ledger_takes_the_place_of_the_one_before_it() -> None:
    opened = Opened(number=3, due=NOON, began_at=NOON, prompt="look", facts={"a": None}, after=7)
    before = Ledger(number=2, due=NOON, facts={"old": 1, "both": 1}, open=opened)
    after = Ledger(number=3, due=NOON, facts={"both": 2}, usage=Usage(input_tokens=1, cost=0.1))

    metadata = merged(merged({"mine": 1}, patch_of(before)), patch_of(after))

    assert ledger_of(info_with(metadata)) == after
    assert metadata["mine"] == 1
    assert ledger_of(info_with(merged({}, patch_of(before)))) == before


def test_a_session_without_cycles_has_no_ledger() -> None:
    assert ledger_of(info_with({})) is None


@pytest.mark.parametrize("bad", ["x", [], [1, 2], [{"number": -1}], {"number": 1}, 3, [{"open": {}}]])
def test_what_is_no_ledger_is_refused_rather_than_overwritten(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        ledger_of(info_with({"cycles": bad}))

    assert caught.value.field == "metadata.cycles"


def test_a_comparison_adds_up() -> None:
    one, other = Usage(input_tokens=10, output_tokens=5, cost=0.5), Usage(input_tokens=4, output_tokens=1)

    sums = Comparison().plus(one, other).plus(one, other)

    assert (sums.cycles, sums.persistent.total_tokens, sums.stateless.total_tokens) == (2, 30, 10)
    assert (sums.persistent.cost, sums.stateless.cost) == (1.0, None)
    assert sums.tokens_per_cycle == (15, 5)
    assert Comparison().tokens_per_cycle == (0, 0)


def test_waits_grow_and_a_provider_is_believed_within_bounds() -> None:
    retry = Retry(5, Backoff(base=1, factor=2, maximum=10, jitter=0))

    assert [retry.delay(failures, 0.5) for failures in (1, 2, 3, 9)] == [1, 2, 4, 10]
    assert retry.delay(1, 0.5, retry_after=7) == 7
    assert retry.delay(1, 0.5, retry_after=3_600) == 10


@pytest.mark.parametrize("bad", [0, -1, 101, True, "3", 1.5])
def test_attempts_that_cannot_be_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidMessage):
        Retry(attempts=bad)
