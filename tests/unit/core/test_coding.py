"""Entries as bytes, and the chain of their checksums."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core import coding
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.testing.entries import EVERY_KIND_OF_JSON, NOON, message_entry

ID = "message_" + "0123456789abcdef" * 2

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
entries = st.builds(
    Entry,
    seq=st.integers(1, 2**40),
    type=st.sampled_from([str(type) for type in EventType]) | texts,
    at=st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    data=st.dictionaries(texts, json_values, max_size=4),
    key=st.none() | texts | st.from_regex(r"[0-9a-f]{12}-[0-9]{1,12}", fullmatch=True),
    epoch=st.integers(0, 2**32 - 1),
    correlation_id=st.none() | texts,
    causation_id=st.none() | texts,
)


@given(entries)
def test_what_is_encoded_is_decoded(entry: Entry) -> None:
    assert coding.decode("session_a", entry.seq, coding.encode(entry)) == entry


@pytest.mark.parametrize(
    "data",
    [
        {"id": ID, "role": "user", "content": "Grüße 🦔", "metadata": {}},
        {"id": ID, "role": "tool", "content": "", "metadata": {}},
        {"id": ID, "role": "user", "content": "x", "metadata": {"a": 1}},
        {"id": ID, "role": "user", "content": "x", "metadata": {}, "turn_id": "t"},
        {"id": ID.upper().replace("MESSAGE", "message"), "role": "user", "content": "x", "metadata": {}},
        {"id": "message_7", "role": "user", "content": "x", "metadata": {}},
        {"id": "message_" + " " * 32, "role": "user", "content": "x", "metadata": {}},
        {"id": ID, "role": "nobody", "content": "x", "metadata": {}},
        {"id": ID, "role": "user", "content": "x", "other": {}},
        {"id": 7, "role": ["user"], "content": "x", "metadata": {}},
        {},
        EVERY_KIND_OF_JSON,
    ],
)
def test_messages_of_every_kind_are_decoded_as_they_were(data: dict[str, Any]) -> None:
    entry = Entry(3, EventType.CONVERSATION_ADDED, NOON, data, None, 1)

    assert coding.decode("session_a", 3, coding.encode(entry)) == entry


def test_an_ordinary_message_takes_little_more_than_its_text() -> None:
    data = {"id": ID, "role": "user", "content": "x" * 500, "metadata": {}}

    assert len(coding.encode(Entry(3, EventType.CONVERSATION_ADDED, NOON, data, "0123456789ab-42", 1))) <= 540


def test_times_are_exact_to_the_microsecond() -> None:
    dice = random.Random(1)
    for _ in range(2_000):
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=dice.randrange(8 * 10**15))
        entry = message_entry(1)._replace(at=at)
        assert coding.decode("session_a", 1, coding.encode(entry)).at == at
        assert coding.moment(coding.micros(at)) == at


def test_what_is_cut_short_or_of_another_version_is_corrupt() -> None:
    body = coding.encode(Entry(3, "something_new", NOON, {"a": [1, 2]}, "a key", 300, "one", "two"))

    for broken in (*(body[:length] for length in range(len(body))), b"\xff" + body[1:]):
        with pytest.raises(CorruptRecord) as caught:
            coding.decode("session_a", 3, broken)
        assert (caught.value.session_id, caught.value.first_seq, caught.value.last_seq) == ("session_a", 3, 3)


def test_every_changed_bit_breaks_the_chain() -> None:
    bodies = [coding.encode(message_entry(seq)) for seq in (1, 2, 3)]
    sums = chain("session_a", bodies)

    for number, body in enumerate(bodies):
        for bit in range(len(body) * 8):
            changed = bytearray(body)
            changed[bit // 8] ^= 1 << bit % 8
            others = [*bodies[:number], bytes(changed), *bodies[number + 1 :]]
            assert all(
                one != other for one, other in zip(sums[number:], chain("session_a", others)[number:], strict=True)
            )


def test_the_chain_notices_order_absence_and_strangers() -> None:
    one, two, three = (coding.encode(message_entry(seq, f"message {seq}")) for seq in (1, 2, 3))
    whole = chain("session_a", [one, two, three])

    assert chain("session_a", [two, one, three])[-1] != whole[-1]
    assert chain("session_a", [one, three])[-1] != whole[-1]
    assert chain("session_b", [one, two, three])[-1] != whole[-1]


def chain(session_id: str, bodies: list[bytes]) -> list[int]:
    sums = [coding.first_sum(session_id)]
    for body in bodies:
        sums.append(coding.next_sum(body, sums[-1]))
    return sums[1:]


def test_equal_members_have_equal_terms() -> None:
    def terms(**metadata: Any) -> list[int]:
        return sorted(coding.terms(metadata))

    assert terms(a=1, b={"x": 1, "y": [2.0]}) == terms(b={"y": [2], "x": 1.0}, a=1.0)
    assert terms(a=1) != terms(a=True)
    assert terms(a=1) != terms(a="1")
    assert terms(a=None) != terms()
    assert terms(a=0.0) == terms(a=-0.0)


def test_a_secret_hides_what_is_looked_up() -> None:
    assert coding.hashed("ada") == coding.hashed("ada")
    assert coding.hashed("ada", b"secret") != coding.hashed("ada")
    assert coding.hashed("ada", b"secret") != coding.hashed("ada", b"other")
