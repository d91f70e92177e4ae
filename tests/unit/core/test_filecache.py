"""The file cache: a session's own, bounded, and gone with the session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.filecache import CachedFile, CacheStats, FileCache


def contents(cache: FileCache, path: str = "a.py") -> list[str | None]:
    """What session a, session b and everybody see under *path*."""
    found = [cache.get_file(path, session_id=session_id) for session_id in ("a", "b", None)]
    return [None if file is None else file.content for file in found]


def filled() -> FileCache:
    cache = FileCache()
    cache.cache_file("a.py", "of a", session_id="a")
    cache.cache_file("a.py", "of b", session_id="b")
    cache.cache_file("a.py", "everybody's")
    return cache


def test_a_file_comes_back_with_its_time_and_size() -> None:
    cache = FileCache()

    kept = cache.cache_file("a.py", "größe", session_id="a", mtime=12.5)

    assert kept == cache.get_file("a.py", session_id="a") == CachedFile("größe", 12.5, 7)


def test_a_file_with_another_stamp_is_another_file() -> None:
    cache = FileCache()
    cache.cache_file("a.py", "old", session_id="a", stamp=(1, 2))

    assert cache.stamp_of("a.py", session_id="a") == (1, 2)
    assert cache.stamp_of("a.py") is cache.stamp_of("b.py", session_id="a") is None
    assert cache.get_file("a.py", session_id="a", stamp=(1, 2)) is not None
    assert cache.get_file("a.py", session_id="a", stamp=(1, 3)) is None
    assert (cache.stats().hits, cache.stats().misses) == (1, 1)


def test_each_session_sees_its_own() -> None:
    assert contents(filled()) == ["of a", "of b", "everybody's"]


def test_what_everybody_has_is_not_a_sessions() -> None:
    cache = FileCache()
    cache.cache_file("a.py", "everybody's")

    assert contents(cache) == [None, None, "everybody's"]


def test_invalidating_in_one_session_leaves_the_others() -> None:
    cache = filled()

    cache.invalidate_file("a.py", session_id="a")
    cache.invalidate_file("never.py", session_id="a")
    cache.invalidate_file("a.py", session_id="never")

    assert contents(cache) == [None, "of b", "everybody's"]


def test_a_session_that_is_gone_leaves_nothing() -> None:
    cache = filled()
    cache.cache_file("b.py", "more of a", session_id="a")

    cache.clear_session("a")
    cache.clear_session("a")

    assert contents(cache) == [None, "of b", "everybody's"]
    assert (cache.stats().items, cache.stats().bytes) == (2, len("of b") + len("everybody's"))


def test_a_file_that_has_changed_since_is_not_found() -> None:
    cache = FileCache()
    cache.cache_file("a.py", "old", mtime=1.0)

    assert cache.get_file("a.py", mtime=2.0) is None
    assert cache.get_file("a.py", mtime=1.0) is not None


def test_a_file_is_replaced() -> None:
    cache = FileCache()
    cache.cache_file("a.py", "a long first version", session_id="a")
    cache.cache_file("a.py", "short", session_id="a")

    assert contents(cache)[0] == "short"
    assert (cache.stats().items, cache.stats().bytes) == (1, 5)


def test_a_session_that_has_too_much_loses_what_it_used_least() -> None:
    cache = FileCache(session_items=2)
    for path in ("1", "2"):
        cache.cache_file(path, path, session_id="a")
    cache.cache_file("1", "b's", session_id="b")
    cache.get_file("1", session_id="a")

    cache.cache_file("3", "3", session_id="a")

    assert [contents(cache, path)[0] for path in ("1", "2", "3")] == ["1", None, "3"]
    assert contents(cache, "1")[1] == "b's"


def test_bytes_have_a_bound_too() -> None:
    cache = FileCache(session_bytes=10)
    cache.cache_file("1", "x" * 6, session_id="a")
    cache.cache_file("2", "x" * 6, session_id="a")
    cache.cache_file("3", "x" * 11, session_id="a")
    cache.cache_file("4", "x" * 4, session_id="a")

    assert [contents(cache, path)[0] is not None for path in ("1", "2", "3", "4")] == [False, True, False, True]


def test_a_file_as_large_as_the_bound_is_kept() -> None:
    cache = FileCache(session_bytes=10, max_bytes=10)

    cache.cache_file("1", "x" * 10, session_id="a")

    assert contents(cache, "1")[0] == "x" * 10


def test_in_all_there_is_a_bound_as_well() -> None:
    cache = FileCache(max_items=3)
    for session_id in ("a", "b", "c", "d"):
        cache.cache_file("1", session_id, session_id=session_id)

    assert [cache.get_file("1", session_id=session_id) is not None for session_id in "abcd"] == [
        *(False, True, True, True),
    ]


def test_stats_count_hits_and_misses() -> None:
    cache = FileCache(session_items=1)
    cache.cache_file("1", "x")
    cache.cache_file("2", "xy")
    cache.get_file("1")
    cache.get_file("2")
    cache.get_file("2")

    assert cache.stats() == CacheStats(items=1, bytes=2, hits=2, misses=1, evicted=1)


@pytest.mark.parametrize("bounds", [{"session_items": 0}, {"session_bytes": 0}, {"max_items": 0}])
def test_a_cache_without_room_keeps_nothing(bounds: dict[str, int]) -> None:
    cache = FileCache(**bounds)

    assert cache.cache_file("1", "x", session_id="a").content == "x"
    assert cache.get_file("1", session_id="a") is None
    assert (cache.stats().items, cache.stats().bytes) == (0, 0)


SESSIONS = st.sampled_from(["a", "b", None])
PATHS = st.sampled_from("123")
STEPS = st.lists(
    st.tuples(st.sampled_from(["cache", "get", "invalidate", "clear"]), SESSIONS, PATHS, st.text("x", max_size=9)),
    max_size=50,
)


@given(STEPS, st.integers(0, 3), st.integers(0, 20), st.integers(0, 5), st.integers(0, 30))
def test_whatever_happens_the_bounds_hold_and_the_sums_are_right(
    steps: list[tuple[str, str | None, str, str]], items: int, size: int, max_items: int, max_size: int
) -> None:
    cache = FileCache(session_items=items, session_bytes=size, max_items=max_items, max_bytes=max_size)
    expected: dict[tuple[str | None, str], str] = {}
    for step, session_id, path, content in steps:
        match step:
            case "cache":
                cache.cache_file(path, content, session_id=session_id)
                expected[session_id, path] = content
            case "get":
                file = cache.get_file(path, session_id=session_id)
                assert file is None or file.content == expected[session_id, path]
            case "invalidate":
                cache.invalidate_file(path, session_id=session_id)
            case _:
                cache.clear_session(session_id)

        there = {key: file for key in expected if (file := cache.get_file(key[1], session_id=key[0])) is not None}
        stats = cache.stats()
        assert stats.items == len(there) <= max_items
        assert stats.bytes == sum(file.size for file in there.values()) <= max_size
        for owner in ("a", "b", None):
            own = [file for (session_id, _), file in there.items() if session_id == owner]
            assert len(own) <= items
            assert sum(file.size for file in own) <= size
