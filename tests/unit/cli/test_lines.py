"""Lines of a terminal, a pipe or a file: waiting for one holds nobody up, and none is lost."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from jidoka.cli import lines as lines_module
from jidoka.cli.lines import Lines


class Pipe:
    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self._is_open = True

    def write(self, data: bytes) -> None:
        os.write(self._write_end, data)

    def end(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.end()


async def all_of(lines: Lines) -> list[str]:
    found: list[str] = []
    with anyio.fail_after(10):
        while (line := await lines.next()) is not None:
            found.append(line)
    lines.close()
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"one\n", ["one"]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\n\r\ntwo\r\n", ["one", "", "two"]),
        ("東京\n".encode(), ["東京"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"  a b  \n", ["  a b  "]),
    ],
)
async def test_lines_come_without_their_ends(pipe: Pipe, data: bytes, expected: list[str]) -> None:
    pipe.write(data)
    pipe.end()

    assert await all_of(Lines.of(pipe.read_end)) == expected


async def test_a_line_may_come_in_pieces(pipe: Pipe) -> None:
    lines = Lines.of(pipe.read_end)
    async with anyio.create_task_group() as tasks:
        found: list[str | None] = []

        async def read() -> None:
            found.append(await lines.next())

        tasks.start_soon(read)
        for piece in "東京".encode():
            await anyio.wait_all_tasks_blocked()
            pipe.write(bytes([piece]))
        pipe.write(b"\n")

    assert found == ["東京"]
    pipe.end()
    assert await all_of(lines) == []


async def test_whoever_stops_waiting_loses_no_line(pipe: Pipe) -> None:
    lines = Lines.of(pipe.read_end)
    for _ in range(3):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await lines.next()
    pipe.write(b"half")
    with anyio.move_on_after(0):
        await lines.next()
    pipe.write(b" a line\nand another\n")
    pipe.end()

    assert await all_of(lines) == ["half a line", "and another"]


async def test_a_line_without_end_is_kept_only_so_far(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_LONGEST", 10)
    monkeypatch.setattr(lines_module, "_PIECE", 7)
    pipe.write(b"x" * 100 + b"\nshort\n" + b"y" * 50 + b"\nend\n")
    pipe.end()

    found = await all_of(Lines.of(pipe.read_end))

    assert found[1::2] == ["short", "end"]
    assert all(len(line) <= 10 for line in found)
    assert [line[:1] for line in found] == ["x", "s", "y", "e"]


async def test_a_file_and_nothing_at_all_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text("one\ntwo\n")
    with file.open() as script, open(os.devnull) as nothing:
        assert await all_of(Lines.of(script.fileno())) == ["one", "two"]
        assert await all_of(Lines.of(nothing.fileno())) == []


async def test_a_stdin_that_is_closed_or_no_file_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert await all_of(Lines.of_stdin()) == []

    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo"))
    assert await all_of(Lines.of_stdin()) == ["one", "two"]


async def test_what_is_read_stays_as_it_was(pipe: Pipe) -> None:
    lines = Lines.of(pipe.read_end)
    pipe.write(b"one\n")

    assert await lines.next() == "one"
    assert os.get_blocking(pipe.read_end)
    pipe.end()
    assert await all_of(lines) == []
