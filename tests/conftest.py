"""What every test shares: the two event loops, and property tests that do not depend on the machine."""

from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

# A slow machine is not a failure, and a run can be repeated.
settings.register_profile("jidoka", deadline=None, derandomize=True, database=None)
settings.load_profile("jidoka")

BACKENDS = [
    pytest.param(("asyncio", {}), id="asyncio"),
    pytest.param(
        ("trio", {}),
        id="trio",
        marks=pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed"),
    ),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every async test runs once on each."""
    return request.param
