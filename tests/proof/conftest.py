"""Every promise is proved on every kind of store."""

from collections.abc import Iterator

import pytest

from tests.proof.places import PLACES, MakeStore, maker, quick_folder


@pytest.fixture(params=PLACES)
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Gives a fresh, empty place each time it is called."""
    with quick_folder() as folder:
        yield maker(request.param, folder)
