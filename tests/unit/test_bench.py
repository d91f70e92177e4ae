"""The measurements run, and say what they have measured. What the figures are is nobody's pass or failure."""

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from jidoka.core.keywords import CRITICAL
from tests.bench.contestants import Contestant
from tests.bench.durable import texts
from tests.bench.durable.backend import Backend, Message
from tests.bench.durable.killed import lost
from tests.bench.durable.works import durable_works
from tests.bench.durable.writers import writers
from tests.bench.durable_rows import DURABLE
from tests.bench.harness import Outcome, measure
from tests.bench.rows import WORKS, chosen
from tests.bench.turn_rows import TURNS
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


@pytest.mark.parametrize("options", [("--rows", "nonsense"), ("--rows", "tells", "--texts", "nonsense")])
def test_what_is_not_there_is_bad_input(options: tuple[str, ...]) -> None:
    run = bench(*options)

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
        (["durable"], [row.name for work in DURABLE for row in work.rows]),
        (["turns"], [row.name for work in TURNS for row in work.rows]),
        (["million.p99"], ["million.p99"]),
        ([], [row.name for work in WORKS if not work.on_request for row in work.rows]),
    ],
)
def test_rows_are_chosen_by_name_by_work_or_by_group(names: list[str], rows: list[str]) -> None:
    assert [row.name for _, found in chosen(names) for row in found] == rows


# --- the durable rows -----------------------------------------------------------------------------

# Those that need nothing which is not there for the tests.
AT_HAND = ("jidoka", "jidoka.store", "raw SQLite")


class Careless(Backend):
    """Whoever writes last puts back what it has read before."""

    stored: list[Message]

    async def create(self, session_id: str) -> None:
        self.stored = []

    async def find(self, session_id: str) -> list[Message]:
        return list(self.stored)

    async def add(self, session: list[Message], messages: Sequence[Message]) -> None:
        for message in messages:
            session.append(message)
            await asyncio.sleep(0)
        self.stored = list(session)

    async def everything(self, session: list[Message]) -> Sequence[Message]:
        return session

    @staticmethod
    def text(message: Message) -> str:
        return message[1]


class Untidy(Careless):
    """Nothing is lost, and everybody talks at once."""

    async def find(self, session_id: str) -> list[Message]:
        return self.stored


@pytest.mark.parametrize(
    ("measured", "contestant"),
    [
        pytest.param(measured, contestant, id=f"{measured.name}-{contestant.name}")
        for measured in (*DURABLE, *TURNS)
        for contestant in measured.contestants
        if contestant.name in AT_HAND and measured.name != "durable_postgres"
    ],
)
def test_a_durable_work_gives_the_figures_of_its_rows(
    measured: Work, contestant: Contestant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module = contestant.module
    works = durable_works(module) if ":" in module else import_module(f"tests.bench.contestants.{module}").WORKS

    figures = asyncio.run(works[measured.name](**measured.warm))

    assert {row.figure for row in measured.rows} <= figures.keys()
    assert (figures.get("kept", 100), figures.get("interleaved", 0), figures.get("lost", 0)) == (100, 0, 0)


def test_what_writers_lose_is_counted() -> None:
    assert asyncio.run(writers(Careless, 4, 5))["kept"] < 100


def test_pairs_that_are_torn_apart_are_counted() -> None:
    figures = asyncio.run(writers(Untidy, 4, 5))

    assert figures["kept"] == 100
    assert figures["interleaved"] > 0


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (["[0] a", "[1] b", "[2] c"], 0),
        (["[0] a", "[1] b"], 1),
        ([], 3),
        (["[1] b", "[0] a", "[2] c"], 2),
        (["[0] a", "[0] a", "[1] b"], 2),
        (["[0] a", "[1] b", "[2] c", "[3] not acknowledged"], 0),
    ],
)
def test_what_a_kill_has_lost_is_counted(found: list[str], missing: int) -> None:
    assert lost(found, 3) == missing


def test_texts_have_their_size_and_differ() -> None:
    some = [text for _, text in texts.messages(100)]

    assert {len(text.encode()) for text in some} == {texts.SIZE}
    assert len(set(some)) == 100
    assert texts.messages(100) == texts.messages(100)
    assert not set(CRITICAL) & set(texts.WORDS)


def test_texts_can_be_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"turns": [["user", "where is the café"], ["assistant", "behind you"]]}) + "\n")

    words = texts.recorded(str(path))

    assert texts.cut(words).startswith("where is the caf behind you where is")
