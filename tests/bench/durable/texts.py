"""Messages of 500 bytes, as people and models write them; nobody's file becomes small because one letter is repeated.

The environment may name a file of recorded dialogues (JSON lines `{"turns": [[role, text], …]}`, gzip too) to take
the words from. Without it they are drawn from the word list below, the common ones more often, in a fixed order. None
of them is one that makes a message critical: with one word in eighty, nearly all messages would be.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from functools import cache
from itertools import islice

from tests.bench.durable.backend import Message

FILE = "JIDOKA_BENCH_TEXTS"
SIZE = 500
HOW_MANY = 500
WORDS = """
the to and a of I you it is in for that on be with are at can this have please would not what will your was we
there from do as me an any if one like so but they about just need all find could how my or has get also when
time book see which number want right next today tomorrow evening table restaurant order flight hotel ticket
available reservation confirm people place near center price cheap address phone great thanks sure moment help
looking morning leaving arriving train station street museum concert weather rain sunny degrees account balance
transfer savings payment dollars schedule appointment doctor dentist meeting calendar reminder message call
playing song album artist movie theater director genre rating review outdoor seating wifi breakfast included
airport economy window seat luggage departure return passenger direct cancel change update search result option
alternative recommend prefer instead somewhere another question answer understand explain difference between
function parameter notice message version library server request response session journal commit database index
returned expected passed because however therefore although without during several particular experience
""".split()  # noqa: SIM905


@cache
def texts() -> tuple[str, ...]:
    """Many different texts of exactly `SIZE` bytes."""
    path = os.environ.get(FILE)
    words = recorded(path) if path else drawn()
    return tuple(cut(words) for _ in range(HOW_MANY))


def cut(words: Iterator[str]) -> str:
    """So many of *words* as fit."""
    text = ""
    while len(text) < SIZE:
        text += next(words) + " "
    return text[:SIZE]


def drawn() -> Iterator[str]:
    """Words by chance, those in front more often, in sentences."""
    chance = random.Random(1)
    while True:
        sentence = [WORDS[int(len(WORDS) * chance.random() ** 2.2)] for _ in range(chance.randint(4, 18))]
        sentence[0] = sentence[0].capitalize()
        yield " ".join(sentence) + chance.choice(".....?!,")


def recorded(path: str) -> Iterator[str]:
    """What was said in the dialogues of a file, over and over."""
    while True:
        with gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8") as file:
            for line in islice(file, HOW_MANY):
                for _, text in json.loads(line)["turns"]:
                    yield text.encode("ascii", "ignore").decode()


def message(number: int) -> Message:
    """Message *number* of a session: people and models take turns."""
    return "assistant" if number % 2 else "user", texts()[number % HOW_MANY]


def messages(count: int, *, first: int = 0) -> list[Message]:
    """*count* messages in a row."""
    return [message(number) for number in range(first, first + count)]


def pair(number: int, tag: str = "") -> list[Message]:
    """A question and its answer. With *tag* both begin with it."""
    return [(role, (tag + text)[:SIZE]) for role, text in messages(2, first=2 * number)]
