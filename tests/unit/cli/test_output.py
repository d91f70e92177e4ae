"""What is printed comes out whole."""

import io
import sys

import pytest

from jidoka.cli.main import prepare_stdout


class Sipping(io.RawIOBase):
    """Takes a few bytes at a time, as a pipe may."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.got += bytes(data[:7])
        return len(data[:7])


@pytest.mark.parametrize("text", ["one long line " * 10_000, "schön"])
def test_an_unbuffered_pipe_that_takes_only_a_part_gets_the_rest(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    pipe = Sipping()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, "utf-8", write_through=True))

    prepare_stdout()
    print(text)

    assert pipe.got.decode() == f"{text}\n"


def test_what_cannot_be_shown_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))

    prepare_stdout()
    print("東京", flush=True)

    assert raw.getvalue() == b"??\n"
