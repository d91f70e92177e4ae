"""Exact token counts."""

import random
import sys

import pytest

from jidoka.adapters.bpe import PIECE, ExactCounter, encoding_of, exact_counter, pieces
from jidoka.core.errors import InvalidMessage
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import Meter, choose
from jidoka.core.timeline import Timeline
from tests.unit.core.conversations import conversation, tokens

WORDS = ["the", "server", "crashed,", "at", "10:45", "\n\n", "服务器出现了严重故障", "🎉🚀", "naïve", "def f(x):", "  "]


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        *(
            (name, "o200k_base")
            for name in ("gpt-4o", "gpt-4.1-mini", "gpt-5", "openai:gpt-5", "o3", "claude-haiku-4-5")
        ),
        *((name, "o200k_base") for name in ("", "echo", "anthropic:claude-haiku-4-5", "openai:gpt-4o-mini")),
        *(
            (name, "cl100k_base")
            for name in ("gpt-4", "openai:GPT-4", "gpt-4-turbo", "gpt-3.5-turbo", "azure:gpt-35-x")
        ),
    ],
)
def test_a_model_has_a_vocabulary(model: str, encoding: str) -> None:
    assert encoding_of(model) == encoding


@pytest.mark.parametrize(
    ("text", "newer", "older"),
    [("hello world", 2, 2), ("", 0, 0), ("今天天气很好", 4, 8), ("服务器出现了严重故障", 6, 11), ("🎉", 2, 3)],
)
def test_texts_take_what_the_vocabulary_says(text: str, newer: int, older: int) -> None:
    assert (exact_counter("gpt-4o")(text), exact_counter("gpt-4")(text)) == (newer, older)


def test_models_with_one_vocabulary_share_it() -> None:
    assert exact_counter("gpt-5") is exact_counter("anthropic:claude-haiku-4-5")
    assert exact_counter("gpt-5") is not exact_counter("gpt-4")


@pytest.mark.parametrize("text", ["<|endoftext|>", "a <|im_start|>system<|im_end|> b", "<|fim_prefix|>" * 9])
def test_commands_to_a_model_are_words(text: str) -> None:
    assert exact_counter()(text) > 3


@pytest.mark.parametrize("size", [1_000_000, 1_500_000])
def test_a_text_of_a_million_characters_is_counted(size: int) -> None:
    assert exact_counter()("error " * (size // 6)) == pytest.approx(size / 6, abs=2)


@pytest.mark.parametrize("character", ["字", "🎉", "\U000e0041"])
def test_a_large_text_without_words_is_counted(character: str) -> None:
    assert exact_counter()(character * 210_000) > 100_000


def test_pieces_are_the_text_and_take_what_it_takes() -> None:
    chance = random.Random(7)
    vocabulary = ExactCounter("o200k_base")._vocabulary  # pyright: ignore[reportPrivateUsage]
    for _ in range(5):
        text = " ".join(chance.choices(WORDS, k=40_000))
        cut = pieces(text)

        assert "".join(cut) == text and len(cut) > 1
        assert all(len(piece) <= PIECE for piece in cut)
        assert exact_counter()(text) == len(vocabulary.encode_ordinary(text))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jidoka.adapters.bpe._MEMORY", 10)
    counter = ExactCounter("o200k_base")

    counted = [counter("word " * number) for number in range(1, 40)]

    assert counted == [counter("word " * number) for number in range(1, 40)]
    assert "texts remembered" in repr(counter)
    assert int(repr(counter).split()[2]) <= 10


def test_without_the_extra_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)

    with pytest.raises(InvalidMessage, match=r"pip install 'jidoka\[tokens\]'") as caught:
        ExactCounter("o200k_base")

    assert caught.value.field == "context.counter"


def test_a_session_can_be_pruned_by_it() -> None:
    messages = conversation(*["服务器出现了严重故障 " * 9] * 40)
    meter = Meter(exact_counter("openai:gpt-5"))

    view = choose(Timeline(messages), ContextPolicy(), budget=700, meter=meter)

    assert 600 < tokens(view.messages, meter.counter) <= 700
