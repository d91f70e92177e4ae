"""Which paths lead into a workspace, and what a look at it changes in the index."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage, InvalidPath
from jidoka.core.state import SessionState
from jidoka.core.workspaces import PER_ENTRY, Found, Look, is_ignored, parts_of, refreshed
from jidoka.testing.entries import NOON

SECOND = 1_000_000_000


def metadata(size: int = 1, second: int = 0) -> dict[str, Any]:
    return Found(size, second * SECOND).as_metadata()


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a", ("a",)),
        ("a/b.py", ("a", "b.py")),
        ("./a//b/", ("a", "b")),
        ("...", ("...",)),
        ("a\\..\\b", ("a\\..\\b",)),
        (".git/config", (".git", "config")),
    ],
)
def test_a_path_leads_down(path: str, parts: tuple[str, ...]) -> None:
    assert parts_of(path) == parts


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "//etc", "..", "../x", "a/../../x", "a/..", "a/../b", "", ".", "./", "/", "a\0b", "x" * 256],
)
def test_any_other_is_outside(path: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        parts_of(path)

    assert (caught.value.code, caught.value.field) == ("invalid_path", "path")
    assert isinstance(caught.value, InvalidMessage)


@pytest.mark.parametrize(
    ("path", "answer"),
    [("a.py", False), (".env", True), ("a/.git/b", True), ("web/node_modules/x.js", True), ("modules/x", False)],
)
def test_what_tools_make_is_ignored(path: str, answer: bool) -> None:
    assert is_ignored(path.split("/")) is answer


def test_new_files_are_taken_while_there_is_room_the_nearest_first() -> None:
    look = Look({path: Found(1, 0) for path in ("d/e/a", "z", "b", "d/a")})

    change = refreshed({}, (), look, max_indexed=3)

    assert list(change.files) == ["b", "z", "d/a"]
    assert change.left_out == 1


def test_what_is_known_or_active_needs_no_room() -> None:
    look = Look({path: Found(2, 0) for path in ("known", "active", "new")})

    change = refreshed({"known": metadata(1)}, ("active",), look, max_indexed=1)

    assert set(change.files) == {"known", "active"}


def test_what_has_not_changed_is_not_said_again() -> None:
    index = {"same": metadata(1, 5), "larger": metadata(1, 5), "later": metadata(1, 5)}
    look = Look({"same": Found(1, 5 * SECOND), "larger": Found(2, 5 * SECOND), "later": Found(1, 6 * SECOND)})

    assert refreshed(index, (), look, max_indexed=9).files == {"larger": metadata(2, 5), "later": metadata(1, 6)}


def test_what_somebody_has_said_of_a_file_outlives_it() -> None:
    index = {"mine": {**metadata(), "language": "python", "last_accessed": "today"}, "its": metadata()}

    change = refreshed(index, (), Look({}, ("mine", "its", "strange")), max_indexed=9)

    assert (change.files, change.gone) == ({"mine": {"missing": True}}, ("its",))


def test_a_file_that_is_back_is_not_missing() -> None:
    gone = {"mine": {**metadata(), "last_accessed": "today", "missing": True}}

    assert refreshed(gone, (), Look({}, ("mine",)), max_indexed=9).files == {}
    assert refreshed(gone, (), Look({"mine": Found(1, 0)}), max_indexed=9).files == {
        "mine": {**metadata(), "missing": False}
    }


def test_times_that_nobody_can_write_are_no_reason_to_fail() -> None:
    assert Found(1, 2**62).as_metadata()["modified"].startswith("2116")
    assert Found(1, 2**80).as_metadata()["modified"].startswith("1970")


def test_an_entry_is_of_a_bounded_size() -> None:
    index = {f"old{number}": metadata() for number in range(150)}
    look = Look({f"new{number}": Found(1, 0) for number in range(300)}, tuple(index))

    entries = list(refreshed(index, (), look, max_indexed=1_000).entries())

    assert [(len(entry["files"]), len(entry["gone"])) for entry in entries] == [(PER_ENTRY, 0), (100, 100), (0, 50)]


PATHS = st.sampled_from(["a", "b", "c/d", "c/e", "f"])
SEEN = st.dictionaries(PATHS, st.builds(Found, st.integers(0, 3), st.integers(0, 3).map(lambda s: s * SECOND)))


@given(st.lists(SEEN, min_size=1), st.sets(PATHS))
def test_an_index_follows_what_is_seen(looks: list[dict[str, Found]], mine: set[str]) -> None:
    state = SessionState.of("session_1", [Entry(1, "session_created", NOON, {})])

    def write(data: dict[str, Any]) -> None:
        state.apply(Entry(state.seq + 1, "context_updated", NOON, data))

    for path in mine:
        write({"part": "file_index", "path": path, "metadata": {"by": "me"}})
    for found in looks:
        gone = [path for path in state.file_index if path not in found]
        for data in refreshed(state.file_index, (), Look(found, gone), max_indexed=100).entries():
            write(data)

        assert state.file_index.keys() == found.keys() | mine
        for path, seen in found.items():
            assert seen.as_metadata().items() <= state.file_index[path].items()
            assert not state.file_index[path].get("missing")
        again = Look(found, [path for path in state.file_index if path not in found])
        assert list(refreshed(state.file_index, (), again, max_indexed=100).entries()) == []
