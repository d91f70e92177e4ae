"""The model that needs no network."""

from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.adapters.echo import EchoModel, pieces
from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.frozen import EMPTY
from jidoka.core.messages import Context, Message, Role
from jidoka.ports.models import Model

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def context(*said: tuple[Role, str]) -> Context:
    return Context(
        session_id="session_1",
        conversation=[
            Message(id=f"m{seq}", seq=seq, session_id="session_1", role=role, content=content, at=NOON)
            for seq, (role, content) in enumerate(said, start=1)
        ],
        files=[],
        file_index=EMPTY,
        working_context=EMPTY,
        metadata=EMPTY,
    )


async def answer(*said: tuple[Role, str]) -> list[Chunk]:
    model: Model = EchoModel()
    return [chunk async for chunk in model.respond(context(*said), LLMConfig())]


async def test_it_says_what_it_was_told_word_by_word() -> None:
    chunks = await answer(("user", "Summarise  the design.\n"))

    assert [chunk.text for chunk in chunks if chunk.text] == ["Summarise  ", "the ", "design.\n"]


async def test_it_hears_the_last_thing_a_user_said() -> None:
    chunks = await answer(("user", "first"), ("user", "second"), ("assistant", "no"), ("tool", "no"), ("system", "no"))

    assert "".join(chunk.text for chunk in chunks) == "second"


async def test_at_the_end_it_says_what_it_took() -> None:
    *text, last = await answer(("user", "x" * 400), ("user", "y" * 40))

    assert all(chunk.usage is None for chunk in text)
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (110, 10)


async def test_with_nobody_to_echo_it_says_nothing() -> None:
    (only,) = await answer(("system", "be quiet"))

    assert only.usage is not None
    assert only.usage.output_tokens == 0


@pytest.mark.parametrize("text", ["a", " ", "\n\n a  b\t\n", "  leading", "trailing  ", "ümlaut 🦔 東京"])
def test_every_character_is_kept(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text(max_size=200))
def test_every_character_of_every_text_is_kept(text: str) -> None:
    split = list(pieces(text))

    assert "".join(split) == text
    assert all(split)


def test_a_long_text_comes_in_a_bounded_number_of_pieces() -> None:
    text = "word " * 100_000

    split = list(pieces(text))

    assert len(split) <= 256
    assert "".join(split) == text


async def test_it_lets_others_run_between_its_words() -> None:
    with anyio.CancelScope() as scope:
        async for _ in EchoModel().respond(context(("user", "one two three")), LLMConfig()):
            scope.cancel()

    assert scope.cancelled_caught
