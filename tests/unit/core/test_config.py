"""A session's options, and where their defaults come from."""

import subprocess
import sys
from math import inf, nan
from typing import Any

import pytest
from pydantic import ValidationError

from jidoka.core.config import SUPERVISION, SessionConfig
from jidoka.core.errors import InvalidMessage
from jidoka.core.settings import SEED_001, Settings, variable_of

DEFAULTS = {
    "strategy": "one_for_one",
    "max_restarts": 10,
    "within": 60.0,
    "shutdown": 5.0,
    "idle_after": 300.0,
    "suspend_after": 1800.0,
    "max_age": None,
    "interrupted_turn": "fail",
    "when_busy": "refuse",
    "failed_question": "drop",
    "max_files": 50,
    "max_context_items": 50,
    "workspace": None,
    "max_indexed": 200,
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        for variable in (f"JIDOKA_{name.upper()}", name.upper()):
            monkeypatch.delenv(variable, raising=False)


def test_these_are_the_defaults() -> None:
    assert SessionConfig().as_dict() == DEFAULTS


def test_options_are_put_on_top() -> None:
    base = SessionConfig(idle_after=10)

    config = base.with_options({"max_restarts": 0, "within": 0.5, "strategy": "rest_for_one"})

    assert (config.idle_after, config.max_restarts, config.within, config.strategy) == (10, 0, 0.5, "rest_for_one")
    assert base.max_restarts == 10
    assert base.with_options(None) is base.with_options({}) is base


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *(("strategy", bad) for bad in ("", "one_for_two", None, 3, ["one_for_one"])),
        *(("max_restarts", bad) for bad in (-1, 1.5, True, "3", None, inf, 10**9)),
        *(("within", bad) for bad in (0, 0.0, -1, nan, inf, True, "60", None, 10**400)),
        *(("shutdown", bad) for bad in (-1, nan, inf, True, "5", None)),
        *(("idle_after", bad) for bad in (0, -1, nan, inf, True, "5", None)),
        *(("suspend_after", bad) for bad in (0, -5, nan, inf, False, "5", None)),
        *(("max_age", bad) for bad in (0, -5, nan, inf, False, "5", 10**400)),
        *(("interrupted_turn", bad) for bad in ("", "retry", None, True, ["fail"])),
        *(("max_files", bad) for bad in (0, -1, 1.0, True, None)),
        *(("max_context_items", bad) for bad in (-1, 1.0, True, None)),
        *(("workspace", bad) for bad in ("", "a", "./a", "/a/../b", "/..", "/a\0", "/" * 5_000, 7, b"/a", ["/a"])),
        *(("max_indexed", bad) for bad in (-1, 10_001, 1.0, True, None)),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        SessionConfig().with_options({field: bad})

    assert caught.value.field == field


def test_the_bounds_belong_to_what_can_be() -> None:
    year = 366 * 86_400

    config = SessionConfig(max_restarts=1_000_000, within=year, shutdown=0, idle_after=year, max_context_items=0)

    assert (config.within, config.shutdown) == (year, 0)


def test_unknown_options_are_refused() -> None:
    for name in ("max_restart", "", "x" * 5000):
        with pytest.raises(InvalidMessage, match="no option") as caught:
            SessionConfig().with_options({"max_files": 3, name: 3})
        assert caught.value.field == name
        assert len(str(caught.value)) < 200


def test_one_can_tell_which_options_are_a_supervisors() -> None:
    assert {"strategy", "max_restarts", "within", "shutdown"} == SUPERVISION
    assert set(DEFAULTS) > SUPERVISION


# --- settings -----------------------------------------------------------------------------------


def test_settings_have_the_same_defaults() -> None:
    settings = Settings()

    assert settings.session_defaults() == SessionConfig()
    assert (settings.max_sessions, settings.call_timeout, settings.mailbox) == (100_000, 5.0, 10_000)


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIDOKA_MAX_SESSIONS", "7")
    monkeypatch.setenv("JIDOKA_IDLE_AFTER", "1.5")
    monkeypatch.setenv("JIDOKA_STRATEGY", "one_for_all")

    settings = Settings(max_sessions=8)

    assert (settings.max_sessions, settings.idle_after) == (8, 1.5)
    assert settings.session_defaults().strategy == "one_for_all"


def test_workspaces_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIDOKA_WORKSPACES", '["/srv/a", "/srv/b"]')

    assert Settings().workspaces == ("/srv/a", "/srv/b")


@pytest.mark.parametrize("bad", ["/srv", "/srv/ab", "/", "/srv/a/../b"])
def test_the_workspace_of_all_sessions_is_one_that_is_allowed(bad: str) -> None:
    assert Settings(workspaces=("/srv/a",), workspace="/srv/a/b").session_defaults().workspace == "/srv/a/b"

    with pytest.raises(ValidationError):
        Settings(workspaces=("/srv/a",), workspace=bad)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("WORKSPACES", bad) for bad in ('["srv"]', '["/srv/../etc"]', "[3]")),
        *(("MAX_SESSIONS", bad) for bad in ("0", "-1", "many", "")),
        *(("CALL_TIMEOUT", bad) for bad in ("0", "-1", "nan", "inf")),
        *(("WITHIN", bad) for bad in ("0", "nan", "-1", "inf")),
        *(("STRATEGY", bad) for bad in ("one_for_two", "")),
        *(("HOUSEKEEPING_EVERY", bad) for bad in ("0", "-1", "nan", "inf", "100000")),
        *(("STALE_GRACE", bad) for bad in ("-1", "nan", "inf")),
        *(("INTERRUPTED_TURN", bad) for bad in ("retry", "")),
        *(("MAX_RESTARTS", bad) for bad in ("-1", "1.5")),
        *(("CONTEXT_PRUNE_THRESHOLD", bad) for bad in ("0", "-0.1", "1.01", "nan", "80%", "")),
        *(("SESSION_ID", bad) for bad in ("", "short", "../../etc", "x" * 65)),
        *(("ENABLE_LONG_CONTEXT", bad) for bad in ("", "perhaps", "2")),
    ],
)
def test_a_bad_environment_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch, name: str, bad: str) -> None:
    monkeypatch.setenv(f"JIDOKA_{name}", bad)

    with pytest.raises(ValidationError):
        Settings()


SEED_001_SAID = [
    ("max_context_tokens", "5000", 5000),
    ("context_prune_threshold", "0.5", 0.5),
    ("session_id", "k8s-monitor-default", "k8s-monitor-default"),
    ("enable_long_context", "true", True),
]


def test_the_settings_of_seed_001_have_its_defaults() -> None:
    settings = Settings()

    assert (settings.max_context_tokens, settings.context_prune_threshold) == (120_000, 0.8)
    assert (settings.session_id, settings.enable_long_context) == (None, False)


@pytest.mark.parametrize(("name", "said", "value"), SEED_001_SAID)
def test_the_settings_of_seed_001_are_read_by_its_names_and_ours(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str, value: Any
) -> None:
    monkeypatch.setenv(name.upper(), said)
    assert getattr(Settings(), name) == value

    monkeypatch.delenv(name.upper())
    monkeypatch.setenv(f"JIDOKA_{name.upper()}", said)
    assert getattr(Settings(), name) == value
    assert variable_of(name) == f"JIDOKA_{name.upper()}"


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "given"),
    [
        ("max_context_tokens", "1", "2", 3),
        ("context_prune_threshold", "0.1", "0.2", 0.3),
        ("session_id", "session_1", "session_2", "session_3"),
        ("enable_long_context", "true", "false", True),
    ],
)
def test_what_is_given_counts_before_our_name_and_our_name_before_the_seeds(
    monkeypatch: pytest.MonkeyPatch, name: str, theirs: str, ours: str, given: Any
) -> None:
    monkeypatch.setenv(name.upper(), theirs)
    assert str(getattr(Settings(), name)).lower() == theirs
    monkeypatch.setenv(f"JIDOKA_{name.upper()}", ours)
    assert str(getattr(Settings(), name)).lower() == ours

    assert getattr(Settings(**{name: given}), name) == given


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("max_context_tokens", bad) for bad in ("0", "-1", "many", "1.5", "")),
        *(("context_prune_threshold", bad) for bad in ("0", "1.5", "nan", "")),
        *(("enable_long_context", bad) for bad in ("perhaps", "")),
    ],
)
def test_a_bad_setting_of_seed_001_is_noticed_unless_ours_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, bad: str
) -> None:
    monkeypatch.setenv(name.upper(), bad)

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert [error["loc"] for error in caught.value.errors()] == [(name,)]
    assert variable_of(name) == name.upper()
    monkeypatch.setenv(f"JIDOKA_{name.upper()}", "1")
    assert getattr(Settings(), name) == 1


def test_a_session_id_that_is_none_of_ours_was_not_said_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    for theirs in ("", "42", "../../etc", "a session"):
        monkeypatch.setenv("SESSION_ID", theirs)
        assert Settings().session_id is None

    with pytest.raises(ValidationError):
        Settings(session_id="42")


def test_only_the_settings_of_seed_001_are_read_without_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        if name not in SEED_001:
            monkeypatch.setenv(name.upper(), "nonsense")

    assert Settings() == Settings.model_construct()


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(max_session=3)  # pyright: ignore[reportCallIssue]


def test_nobody_changes_settings() -> None:
    with pytest.raises(ValidationError):
        Settings().max_sessions = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_client_does_not_import_the_settings() -> None:
    program = "import sys, jidoka.client; print([n for n in sys.modules if 'settings' in n])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
