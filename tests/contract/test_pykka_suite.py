"""Pykka's own published tests, run against our Actor. They are fetched when they are needed and are not part of jidoka.

`make test` unpacks them to .venv/pykka-suite; JIDOKA_PYKKA_SUITE names another place.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = Path(os.environ.get("JIDOKA_PYKKA_SUITE") or ROOT / ".venv/pykka-suite/pykka-4.5.0")

# Pykka lists the runtimes that its tests run on under this name. Ours takes the place of its threads.
LIST_OF_RUNTIMES = "RUNTIMES = {"
OURS = """
from jidoka.actors import Actor as _Actor, ActorSystem as _ActorSystem, Future as _Future


class _AsInPykka(_Actor):
    reply_errors = (Exception,)


@pytest.fixture(scope="session", autouse=True)
def _system():
    with _ActorSystem.threaded():
        yield


RUNTIMES = {
    "jidoka": pytest.param(
        Runtime(
            name="jidoka",
            actor_class=_AsInPykka,
            event_class=threading.Event,
            future_class=_Future,
            sleep_func=time.sleep,
        ),
        id="jidoka",
    )
}
_THEIRS = {"""


def unpacked_suite() -> Path:
    """Where Pykka's tests are. Without them: a failure where CI is set, else a skip."""
    tests = SUITE / "tests"
    if not tests.is_dir():
        missing = f"Pykka's published tests are not at {SUITE}: `make test` fetches them"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return tests


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_pykkas_published_tests_pass(tmp_path: Path) -> None:
    shutil.copytree(unpacked_suite(), tmp_path / "tests")
    conftest = tmp_path / "tests/conftest.py"
    text = conftest.read_text()
    assert text.count(LIST_OF_RUNTIMES) == 1
    conftest.write_text(text.replace(LIST_OF_RUNTIMES, OURS))

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_mock", "--rootdir=.", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )

    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    assert "152 passed" in run.stdout.splitlines()[-1]
    assert "failed" not in run.stdout.splitlines()[-1]
