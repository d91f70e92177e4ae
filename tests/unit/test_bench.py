"""The measurements run, and say what they have measured. What the figures are is nobody's pass or failure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.contestants import Contestant
from tests.bench.harness import Outcome, measure
from tests.bench.rows import WORKS, chosen
from tests.bench.works import Row, Work

ROOT = Path(__file__).parents[2]
MISSING = Contestant("somebody", "nothing", "a_package_that_nobody_has")
ECHO = Row("echo", "rate", "/s")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=25)


def work(*contestants: Contestant, limit: float = 20.0) -> Work:
    return Work("echo", (ECHO,), contestants, full={}, quick={}, warm={}, limit=limit)


def outcomes(measured: Work) -> list[Outcome]:
    return measure(measured, quick=True, peers=True, runs=2)


def test_two_rows_as_json() -> None:
    run = bench("--quick", "--no-peers", "--json", "--rows", "calls_one,tells")

    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    assert said["machine"]["cores"] and said["python"]
    assert [row["name"] for row in said["rows"]] == ["calls_one", "tells"]
    for row in said["rows"]:
        assert {"aim", "unit"} <= row.keys()
        assert list(row["results"]) == ["jidoka"]
        result = row["results"]["jidoka"]
        assert result["runs"] == 1
        assert 0 < result["min"] == result["median"] == result["max"]


def test_an_unknown_row_is_bad_input() -> None:
    run = bench("--rows", "nonsense")

    assert run.returncode == 2
    assert "nonsense" in run.stderr


def test_who_is_not_installed_is_said_to_be_so() -> None:
    (outcome,) = outcomes(work(MISSING))

    assert (outcome.contestant, outcome.note, outcome.runs) == ("somebody", "not installed", [])


def test_who_fails_is_said_to_have_failed() -> None:
    (outcome,) = outcomes(work(Contestant("somebody", "nothing")))

    assert outcome.note is not None and outcome.note.startswith("failed: ")
    assert outcome.runs == []


def test_who_takes_too_long_is_given_up() -> None:
    (outcome,) = outcomes(work(Contestant("somebody", "nothing"), limit=0.001))

    assert outcome.note == "gave no answer within 0.001 s"


def test_median_of_the_runs() -> None:
    outcome = Outcome("somebody", runs=[{"rate": 3.0}, {"rate": 1.0}, {"rate": 10.0}])

    assert outcome.summary("rate") == {"median": 3.0, "min": 1.0, "max": 10.0, "runs": 3}
    assert outcome.summary("other") is None


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["recovery"], ["recovery.p50", "recovery.p99"]),
        (["recovery.p99"], ["recovery.p99"]),
        ([], [row.name for work in WORKS for row in work.rows]),
    ],
)
def test_rows_are_chosen_by_name_or_by_work(names: list[str], rows: list[str]) -> None:
    assert [row.name for _, found in chosen(names) for row in found] == rows
