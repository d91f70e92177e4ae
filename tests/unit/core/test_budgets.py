"""What may be spent, and when it is."""

from typing import Any

import pytest

from jidoka.core.budgets import Allowance, Limits
from jidoka.core.chunks import Usage
from jidoka.core.errors import InvalidMessage
from jidoka.core.ledger import Ledger


def used(tokens: int, cost: float | None = None) -> Usage:
    return Usage(input_tokens=tokens, cost=cost)


@pytest.mark.parametrize(
    ("options", "before", "now", "is_too_much"),
    [
        ({"turn_tokens": 10}, (0, 0), used(10), False),
        ({"turn_tokens": 10}, (0, 0), used(11), True),
        ({"turn_tokens": 10}, (5, 5), used(6), True),
        ({"session_tokens": 10}, (0, 8), used(2), False),
        ({"session_tokens": 10}, (0, 8), used(3), True),
        ({"turn_cost": 1.0}, (0, 0), used(5, 0.9), False),
        ({"turn_cost": 1.0}, (0, 0), used(5, 1.1), True),
        ({"turn_cost": 1.0, "input_price": 1e6}, (0, 0), used(1), False),
        ({"turn_cost": 1.0, "input_price": 1e6}, (0, 0), used(2), True),
        ({"turn_tokens": 0}, (0, 0), used(1), True),
        ({}, (0, 0), used(10**9), False),
    ],
)
def test_more_than_there_may_be_is_an_excess(
    options: dict[str, Any], before: tuple[int, int], now: Usage, is_too_much: bool
) -> None:
    limits = Limits.of(options)
    allowance = Allowance(limits, limits.budgets(used(before[0]), used(before[1])))

    assert (allowance.excess(now) is not None) is is_too_much


def test_what_a_provider_says_of_its_cost_counts() -> None:
    limits = Limits.of({"input_price": 2.0, "output_price": 4.0})

    assert limits.priced(Usage(input_tokens=1_000_000, output_tokens=500_000)).cost == 4.0
    assert limits.priced(used(5, 0.25)).cost == 0.25
    assert Limits().priced(used(5)).cost is None


def test_an_option_that_is_none_is_named() -> None:
    with pytest.raises(InvalidMessage) as caught:
        Limits.of({"turn_tokens": "many"})

    assert caught.value.field == "budget.turn_tokens"


def test_a_ledger_adds_up_by_model() -> None:
    ledger = (
        Ledger().with_turn("a", used(5)).with_turn("b", used(7, 0.5)).with_turn("a", used(1)).with_turn("a", Usage())
    )

    assert (ledger.turns, ledger.total.total_tokens, ledger.total.cost) == (4, 13, 0.5)
    assert ledger.by_model["a"].input_tokens == 6


def test_what_a_provider_reports_moves_the_factor() -> None:
    ledger = Ledger().measured({"estimated": 100, "reported": 200})

    assert 1.0 < ledger.factor < 2.0
    assert Ledger().measured(None).factor == 1.0
