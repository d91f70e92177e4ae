"""Every Python block of the README runs as a program, and prints what the block after it shows."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

README = Path(__file__).parents[2] / "README.md"
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Fence(NamedTuple):
    language: str
    body: str
    line: int


class Example(NamedTuple):
    code: str
    output: str
    line: int


def fences(text: str) -> list[Fence]:
    return [
        Fence(found["language"], found["body"], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]


def examples(text: str) -> list[Example]:
    """A `text` block right after a `python` block is its output; without one, nothing is printed."""
    ended = Fence("", "", 0)
    return [
        Example(block.body, after.body if after.language == "text" else "", block.line)
        for block, after in pairwise([*fences(text), ended])
        if block.language == "python"
    ]


def test_an_example_is_a_python_block_and_the_text_block_after_it() -> None:
    text = "\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\npass\n```\n\n```sh\nls\n```\n"

    assert examples(text) == [Example("print(1)\n", "1\n", 2), Example("pass\n", "", 10)]


@pytest.mark.parametrize("example", examples(README.read_text()), ids=lambda example: f"line{example.line}")
def test_an_example_of_the_readme_prints_what_it_shows(example: Example, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(example.code)

    command = [sys.executable, "-W", "error", str(program)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout == example.output


def test_the_readme_starts_with_its_two_commands() -> None:
    shell = [fence.body for fence in fences(README.read_text()) if fence.language == "sh"]

    assert shell == ["make demo\nmake test\n"]
