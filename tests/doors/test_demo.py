"""`jidoka demo`: it breaks real things, and nothing that was acknowledged is lost."""

import json

from pytest_mock import MockerFixture

from jidoka.adapters.memory import MemoryStore
from jidoka.core.entries import Entry
from tests.doors.commands import PROGRAM, jidoka, on_a_terminal, run_program

BROKEN = (
    "a handler of its context manager raises",
    "orchestrator is killed",
    "supervisor is killed",
    "manager is killed",
)


def test_the_demo_shows_what_it_breaks_and_what_comes_back() -> None:
    status, said, errors = jidoka("demo")

    assert status == 0
    assert errors == ""
    assert all(what in said for what in BROKEN)
    assert all(f"✓ {child} is back" in said for child in ("context_manager", "orchestrator", "supervisor"))
    assert "the next one has found 12 sessions" in said


def test_the_demo_shows_the_tree_before_and_after() -> None:
    said = jidoka("demo").stdout
    before, after = said.split("Breaking them")

    for tree in (before, after):
        assert tree.count("── session …") == 12
        assert tree.count("orchestrator ●") == 12
    assert "↻1" not in before
    assert after.count("↻1") == 4


def test_the_demo_counts() -> None:
    status, said, errors = run_program("demo", "--json")
    outcome = json.loads(said)

    assert (status, errors) == (0, "")
    assert outcome["sessions"] == 12
    assert [what for what in BROKEN if any(what in broken for broken in outcome["broken"])] == list(BROKEN)
    assert outcome["restarts"] == 4
    assert outcome["lost"] == 0
    # A note for each session and round, and an answer to each turn that was not broken off.
    assert outcome["acknowledged"] == 12 * 5 * 2 - outcome["broken_off"]


def test_the_demo_breaks_the_same_sessions_with_the_same_seed() -> None:
    def broken_places(seed: str) -> list[int]:
        lines = jidoka("demo", "--seed", seed).stdout.split("Breaking them")[1].splitlines()
        sessions = [line for line in lines if "── session …" in line]
        return [place for place, line in enumerate(sessions) if "↻" in line]

    assert broken_places("7") == broken_places("7")
    assert len(broken_places("7")) == 3


def test_the_demo_is_plain_without_a_terminal() -> None:
    assert "\x1b" not in run_program("demo").stdout


def test_the_demo_on_a_terminal_has_a_tree_that_lives() -> None:
    with on_a_terminal(*PROGRAM, "demo", "--pace", "0") as terminal:
        status = terminal.wait_ended()

    assert status == 0
    assert "\x1b[32m●" in terminal.shown
    # Drawn again and again in the same place, with what is broken at the time.
    assert terminal.shown.count("── session …") > 12 * 5
    assert "context_manager \x1b[31m✗" in terminal.shown
    assert terminal.shown.rstrip().endswith("┘")


def test_no_color_is_honoured() -> None:
    with on_a_terminal(*PROGRAM, "demo", "--pace", "0", env={"NO_COLOR": "1"}) as terminal:
        status = terminal.wait_ended()

    assert status == 0
    assert "●" in terminal.shown
    assert not any(f"\x1b[{color}m" in terminal.shown for color in range(30, 38))


def test_json_is_quick_and_alone_on_a_terminal_too() -> None:
    with on_a_terminal(*PROGRAM, "demo", "--json") as terminal:
        status = terminal.wait_ended()

    assert status == 0
    assert json.loads(terminal.shown)["lost"] == 0


def test_a_loss_is_counted_and_is_a_failure(mocker: MockerFixture) -> None:
    mocker.patch("jidoka.wiring.MemoryStore", Forgetful)

    status, said, _ = jidoka("demo", "--json")

    assert status == 1
    assert json.loads(said)["lost"] > 0


class Forgetful(MemoryStore):
    """Acknowledges everything, and gives back journals in which notes say something else."""

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        entries = await super().read(session_id, after=after, limit=limit)
        return [_forgotten(entry) if entry.data.get("role") == "system" else entry for entry in entries]


def _forgotten(entry: Entry) -> Entry:
    return entry._replace(data={**entry.data, "content": "what was it?"})
