"""Each way in which a journal can be wrong is noticed; each way in which it is right is not."""

from collections.abc import Callable
from typing import Any

import pytest

from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.core.wellformed import flaws_of, interrupted_results, unanswered
from jidoka.testing.entries import NOON

Line = tuple[str, dict[str, Any]]


def entries(*lines: Line) -> list[Entry]:
    """A journal that begins as all do, and goes on with *lines*."""
    whole: list[Line] = [("session_created", {}), status("active", "initializing"), *lines]
    return [Entry(seq, type, NOON, data, None, 1) for seq, (type, data) in enumerate(whole, start=1)]


def status(now: str, before: str) -> Line:
    return "session_status", {"status": now, "previous_status": before}


def said(role: str, turn: str | None = "t1") -> Line:
    data: dict[str, Any] = {"id": "m", "role": role, "content": "…", "metadata": {}}
    return "conversation_added", data | ({"turn_id": turn} if turn else {})


def turn(type: str, turn: str = "t1", **more: Any) -> Line:
    return f"turn_{type}", {"turn_id": turn, **more}


def call(id: str = "c1", turn: str = "t1") -> Line:
    return "tool_call", {"turn_id": turn, "call_id": id, "name": "look", "arguments": {}}


def result(id: str = "c1", turn: str = "t1", outcome: str = "ok") -> Line:
    return "tool_result", {"turn_id": turn, "call_id": id, "outcome": outcome}


SOUND: dict[str, list[Line]] = {
    "nothing yet": [],
    "messages": [said("user", None), said("assistant", None)],
    "a turn": [turn("started"), said("user"), said("assistant"), turn("completed", message_seq=5)],
    "two turns": [
        *(turn("started"), said("user"), said("assistant"), turn("completed", message_seq=5)),
        *(turn("started", "t2"), turn("failed", "t2"), turn("started", "t3"), turn("cancelled", "t3")),
    ],
    "an open turn, and messages meanwhile": [turn("started"), said("user", None)],
    "tools": [
        *(turn("started"), call(), call("c2"), result("c2"), result(), said("user"), said("assistant")),
        turn("completed", message_seq=9),
    ],
    "a call that waits": [turn("started"), call()],
    "a call that was interrupted": [turn("started"), call(), result(outcome="interrupted"), turn("failed")],
    "the same call id in another turn": [
        *(turn("started"), call(), result(), turn("failed")),
        *(turn("started", "t2"), call(turn="t2"), result(turn="t2"), turn("failed", "t2")),
    ],
    "a life": [
        *(status("idle", "active"), ("session_idle", {}), status("suspended", "idle"), ("session_suspended", {})),
        *(status("active", "suspended"), ("session_resumed", {}), status("failed", "active")),
        *(("session_failed", {"error": "…"}), status("terminating", "failed"), status("terminated", "terminating")),
        ("session_terminated", {}),
    ],
}

WRONG: dict[str, tuple[list[Line], str]] = {
    "born twice": ([("session_created", {})], "no way to begin, or to go on"),
    "an illegal move": ([status("initializing", "active")], "no legal move"),
    "an unknown status": ([status("asleep", "active")], "no status"),
    "a move from elsewhere": ([status("active", "idle")], "the session was active"),
    "writing while it rests": ([status("suspended", "active"), said("user", None)], "while the session was suspended"),
    "writing after the end": (
        [status("terminating", "active"), status("terminated", "terminating"), turn("started")],
        "while the session was terminated",
    ),
    "said to be idle": ([("session_idle", {})], "of a session that is active"),
    "said to have failed": ([("session_failed", {"error": "…"})], "of a session that is active"),
    "a turn in a turn": ([turn("started"), turn("started", "t2")], "while turn t1 is open"),
    "a turn again": ([turn("started"), turn("failed"), turn("started")], "once more"),
    "a turn of no name": ([("turn_started", {})], "once more"),
    "an end without a turn": ([turn("failed")], "none is open"),
    "two ends": ([turn("started"), turn("failed"), turn("cancelled")], "none is open"),
    "the end of another": ([turn("started"), turn("failed", "t2")], "t1 is open"),
    "ending with an open turn": ([turn("started"), status("terminating", "active")], "while turn t1 is open"),
    "a question alone": ([turn("started"), said("user"), turn("completed", message_seq=4)], "spoke: user"),
    "an answer alone": ([turn("started"), said("assistant"), turn("completed", message_seq=4)], "spoke: assistant"),
    "nobody": ([turn("started"), turn("completed", message_seq=4)], "nobody"),
    "another answer named": (
        [turn("started"), said("user"), said("assistant"), turn("completed", message_seq=4)],
        "as its answer, not 5",
    ),
    "torn at the end": ([turn("started"), said("user")], "inside the answer"),
    "torn by another": (
        [turn("started"), said("user"), said("user", None), said("assistant"), turn("completed", message_seq=6)],
        "between a question and its answer",
    ),
    "half a turn that failed": ([turn("started"), said("user"), turn("failed")], "half a turn"),
    "said in no turn": ([said("user")], "none is open"),
    "a call in no turn": ([call()], "none is open"),
    "a call without a result": ([turn("started"), call(), turn("failed")], "without a result"),
    "a call twice": ([turn("started"), call(), call()], "once more"),
    "a result of nothing": ([turn("started"), result()], "nobody made"),
    "a result of another turn": (
        [turn("started"), call(), result(), turn("failed"), turn("started", "t2"), result(turn="t2")],
        "nobody made",
    ),
    "two results": ([turn("started"), call(), result(), result()], "a second time"),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_jidoka_writes_is_well_formed(name: str) -> None:
    journal = entries(*SOUND[name])

    assert flaws_of(journal) == []
    assert flaws_of(journal, Head.of("session_a", journal)) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_it_never_writes_is_noticed(name: str) -> None:
    lines, word = WRONG[name]

    assert any(word in flaw for flaw in flaws_of(entries(*lines))), flaws_of(entries(*lines))


def test_every_prefix_of_a_well_formed_journal_is_one_up_to_a_commit() -> None:
    journal = entries(
        turn("started"), call(), result(), said("user"), said("assistant"), turn("completed", message_seq=7)
    )

    assert [len(flaws_of(journal[:size])) for size in range(1, 9)] == [0, 0, 0, 0, 0, 1, 1, 0]


DAMAGE: dict[str, tuple[Callable[[list[Entry]], list[Entry]], str]] = {
    "empty": (lambda journal: [], "no entry"),
    "a gap": (lambda journal: [*journal[:2], *journal[3:]], "where entry 3 should be"),
    "the beginning lost": (lambda journal: journal[1:], "no way to begin"),
    "an older writer": (lambda journal: [*journal[:3], journal[3]._replace(epoch=0)], "after one of epoch 1"),
    "a key twice": (
        lambda journal: [*journal[:2], *(entry._replace(key="k") for entry in journal[2:4])],
        "which an earlier entry has",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_the_order_is_noticed(name: str) -> None:
    damage, word = DAMAGE[name]
    journal = damage(entries(*[said("user", None)] * 3))

    assert any(word in flaw for flaw in flaws_of(journal)), flaws_of(journal)


@pytest.mark.parametrize(("name", "value"), [("seq", 1), ("message_count", 7), ("turn", "t1"), ("epoch", 0)])
def test_a_head_that_is_not_what_the_entries_add_up_to_is_noticed(name: str, value: Any) -> None:
    journal = entries(said("user", None))
    head = Head.of("session_a", journal)
    setattr(head, name, value)

    assert flaws_of(journal, head)


def test_a_head_may_be_of_a_later_epoch_and_arrival() -> None:
    journal = entries(said("user", None))
    head = Head.of("session_a", journal)
    head.epoch, head.arrival = 9, 4

    assert flaws_of(journal, head) == []


def test_a_journal_that_cannot_be_read_is_named_beside_its_head() -> None:
    journal = entries(said("user", None))
    head = Head.of("session_a", journal)

    assert "entry 3: turn_started cannot be read" in flaws_of(
        [*journal[:2], journal[2]._replace(type="turn_started")], head
    )


def test_what_a_fork_carries_over_belongs_to_no_turn_of_its_own() -> None:
    carried = [("session_created", {}), said("user"), said("assistant"), status("active", "initializing")]
    journal = [Entry(seq, type, NOON, data, None, 1) for seq, (type, data) in enumerate(carried, start=1)]

    assert flaws_of(journal) == []


def test_a_recovery_answers_the_calls_that_nobody_will_answer_any_more() -> None:
    open_turn = [turn("started"), call(), call("c2"), result("c2"), call("c3")]
    results = interrupted_results(entries(*open_turn))

    assert [entry.data["call_id"] for entry in unanswered(entries(*open_turn))] == ["c1", "c3"]
    assert flaws_of(entries(*open_turn, *results, turn("failed", error="interrupted"))) == []
