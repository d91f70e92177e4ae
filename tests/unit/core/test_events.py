"""Events: what entries are for listeners, and what goes over a wire."""

import json
from datetime import UTC, datetime

import pytest

from jidoka.core.entries import Entry, entry_id
from jidoka.core.events import (
    GLOBAL_TOPIC,
    GLOBAL_TYPES,
    LIVE_ONLY,
    TYPES,
    Event,
    EventType,
    event_of,
    live_event,
    topic_of,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ENTRY = Entry(3, EventType.FILE_ADDED, NOON, {"path": "a.py", "in": {"deep": [1]}}, "key", 2, "cor", "cau")

CONTRACT = """
session_created session_status session_idle session_resumed session_suspended session_terminated session_failed
conversation_added conversation_cleared context_pruned context_updated file_added file_removed turn_started
output_received turn_completed turn_failed turn_cancelled tool_call tool_result session_halted decision_recorded
child_restarted timeout_warning resource_warning gap
"""


def test_there_are_these_types() -> None:
    assert set(CONTRACT.split()) == TYPES == {str(type) for type in EventType}


def test_the_lifecycle_is_global() -> None:
    assert {str(type) for type in GLOBAL_TYPES} == {name for name in TYPES if name.startswith("session_")}
    assert {"output_received", "timeout_warning", "resource_warning", "gap"} == LIVE_ONLY


def test_topics_have_these_names() -> None:
    assert (topic_of("session_1"), GLOBAL_TOPIC) == ("client.session.session_1", "client.global_events")


def test_an_entry_becomes_an_event() -> None:
    event = event_of("session_1", ENTRY)

    assert event == Event(
        id="session_1.2.3",
        seq=3,
        type="file_added",
        session_id="session_1",
        at=NOON,
        data={"path": "a.py", "in": {"deep": [1]}},
        correlation_id="cor",
        causation_id="cau",
    )
    assert event.id == entry_id("session_1", ENTRY)
    assert type(event.type) is str


def test_nobody_changes_the_journal_through_an_event() -> None:
    event = event_of("session_1", ENTRY)

    with pytest.raises(TypeError):
        event.data["path"] = "b.py"
    with pytest.raises(TypeError):
        event.data["in"]["deep"].append(2)
    assert ENTRY.data == {"path": "a.py", "in": {"deep": [1]}}


def test_an_event_that_is_only_told_has_no_seq() -> None:
    event = live_event("session_1", EventType.OUTPUT_RECEIVED, {"text": "x"}, id="e1", at=NOON, correlation_id="c")

    assert (event.id, event.seq, event.type, event.correlation_id) == ("e1", None, "output_received", "c")


def test_a_wire_carries_cloudevents() -> None:
    document = event_of("session_1", ENTRY).cloudevent()

    assert json.loads(json.dumps(document)) == {
        "specversion": "1.0",
        "id": "session_1.2.3",
        "source": "/sessions/session_1",
        "type": "file_added",
        "subject": "session_1",
        "time": "2030-01-01T12:00:00Z",
        "datacontenttype": "application/json",
        "seq": 3,
        "correlationid": "cor",
        "causationid": "cau",
        "data": {"path": "a.py", "in": {"deep": [1]}},
    }


def test_what_is_not_there_is_left_out_of_a_cloudevent() -> None:
    document = live_event("", EventType.GAP, {}, id="e1", at=NOON).cloudevent()

    assert set(document) == {"specversion", "id", "source", "type", "time", "datacontenttype", "data"}
    assert document["source"] == "/sessions"


@pytest.mark.parametrize(
    "event", [event_of("session_1", ENTRY), live_event("", EventType.GAP, {"from": None}, id="e1", at=NOON)]
)
def test_a_cloudevent_becomes_the_event_again(event: Event) -> None:
    assert Event.from_cloudevent(json.loads(json.dumps(event.cloudevent()))) == event


def test_attribute_names_are_what_cloudevents_allows() -> None:
    document = event_of("session_1", ENTRY).cloudevent()

    assert all(name.isascii() and name.isalnum() and name.islower() and len(name) <= 20 for name in document)
