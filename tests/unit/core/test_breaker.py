"""A circuit breaker: who keeps failing is left alone, then asked once."""

import pytest

from jidoka.core.breaker import CircuitBreaker, CircuitOpen, Passage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause=60.0, clock=clock)


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        breaker.admit().settle(False)


def the_probe(breaker: CircuitBreaker, clock: Clock) -> Passage:
    open_it(breaker)
    clock.now += 60.0
    return breaker.admit()


def test_it_opens_after_as_many_failures_in_a_row(breaker: CircuitBreaker) -> None:
    for is_well in (False, False, True, False, False):
        breaker.admit().settle(is_well)

    breaker.admit().settle(False)

    with pytest.raises(CircuitOpen) as caught:
        breaker.admit()
    assert caught.value.retry_after == 60.0


def test_it_says_how_long_it_stays_open(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now += 59.0

    with pytest.raises(CircuitOpen) as caught:
        breaker.admit()

    assert caught.value.retry_after == 1.0


def test_after_its_pause_it_admits_exactly_one(breaker: CircuitBreaker, clock: Clock) -> None:
    probe = the_probe(breaker, clock)

    assert probe.is_probe
    for _ in range(20):
        with pytest.raises(CircuitOpen) as caught:
            breaker.admit()
        assert caught.value.retry_after is None


def test_a_probe_that_goes_well_lets_everybody_in(breaker: CircuitBreaker, clock: Clock) -> None:
    the_probe(breaker, clock).settle(True)

    assert [breaker.admit().is_probe for _ in range(3)] == [False] * 3
    breaker.admit().settle(False)
    breaker.admit()


def test_a_probe_that_fails_begins_another_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    the_probe(breaker, clock).settle(False)

    with pytest.raises(CircuitOpen) as caught:
        breaker.admit()
    assert caught.value.retry_after == 60.0
    clock.now += 60.0
    assert breaker.admit().is_probe


def test_a_probe_that_is_answered_lets_others_in_before_its_end(breaker: CircuitBreaker, clock: Clock) -> None:
    probe = the_probe(breaker, clock)

    probe.answers()

    assert not breaker.admit().is_probe


def test_a_probe_that_breaks_off_after_its_beginning_opens_it_again(breaker: CircuitBreaker, clock: Clock) -> None:
    probe = the_probe(breaker, clock)
    probe.answers()

    probe.settle(False)

    with pytest.raises(CircuitOpen):
        breaker.admit()


def test_what_was_called_off_says_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(10):
        breaker.admit().settle(None)
    breaker.admit()

    the_probe(breaker, clock).settle(None)

    assert breaker.admit().is_probe


def test_what_was_under_way_when_it_opened_does_not_count(breaker: CircuitBreaker, clock: Clock) -> None:
    late = [breaker.admit() for _ in range(4)]
    open_it(breaker)

    late[0].settle(True)
    late[1].settle(False)
    late[2].settle(None)

    with pytest.raises(CircuitOpen):
        breaker.admit()
    clock.now += 60.0
    probe = breaker.admit()
    late[3].settle(True)
    with pytest.raises(CircuitOpen):
        breaker.admit()
    probe.settle(True)


def test_it_shows_its_state(breaker: CircuitBreaker) -> None:
    shut = repr(breaker)
    open_it(breaker)

    assert (shut, repr(breaker)) == (
        "<CircuitBreaker shut: 0 failed in a row>",
        "<CircuitBreaker open: 3 failed in a row>",
    )
