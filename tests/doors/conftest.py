"""What the tests of the command line share."""

import pytest


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are started as a shell starts them: what they print is buffered unless they see to it."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
