"""Every promise is proved on every kind of store."""

from collections.abc import Iterator

import pytest

from tests.proof.places import PLACES, MakeStore


@pytest.fixture(params=PLACES)
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Gives a fresh, empty place each time it is called."""
    with PLACES[request.param](request) as make:
        yield make
