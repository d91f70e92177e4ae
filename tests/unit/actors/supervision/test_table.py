"""Every case of the conformance list is tested here, or it is said why not."""

import re
from pathlib import Path

CASES = range(1, 133)

NOT_HERE = {25: "on_start returns nothing: there is no extra information for the caller of start_child"}

# What is tested here is the half that needs no session.
OTHER_HALF_ELSEWHERE = {
    34: "state that is rebuilt from the journal: with the sessions",
    35: "commands that survive the process: with the journal",
    94: "no acknowledged message is lost: with the journal",
    108: "one session_failed event: with the sessions",
}


def covered() -> set[int]:
    """The numbers in names of tests (`test_s44_...`) and in ids of rows (`id="S31-S32"`)."""
    numbers: set[int] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r"def test((?:_s\d+)+)_", text):
            numbers.update(int(number) for number in re.findall(r"s(\d+)", name))
        for name in re.findall(r'id="([^"]+)"', text):
            numbers.update(int(number) for number in re.findall(r"\bS(\d+)", name))
    return numbers


def test_every_case_is_covered() -> None:
    assert covered() | NOT_HERE.keys() == set(CASES)


def test_what_is_not_here_is_not_here() -> None:
    assert covered().isdisjoint(NOT_HERE)
    assert covered() >= OTHER_HALF_ELSEWHERE.keys()
