"""Addresses and keys of providers, and what a session may ask for."""

from typing import Any

import pytest
from pydantic import ValidationError

from jidoka.core.endpoints import Endpoint, ModelLimits, model_options, refuse_keys
from jidoka.core.errors import InvalidMessage
from jidoka.core.settings import Settings

CANARY = "sk-canary-8d1f"


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://127.0.0.1:11434/v1", "http://[::1]:8000"])
def test_an_address_is_a_place(url: str) -> None:
    assert Endpoint(base_url=url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.com",
            "file:///etc/passwd",
            "gopher://x",
            "http://",
            "https://:80",
            "http://x:99999",
            "http://[::1",
        ),
        *(f"https://user:{CANARY}@example.com", f"https://example.com?key={CANARY}", f"https://example.com#{CANARY}"),
    ],
)
def test_anything_else_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Endpoint(base_url=url)

    assert CANARY not in str(caught.value)


def test_settings_have_endpoints_whose_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIDOKA_LLM_ENDPOINTS", f'{{"local": {{"base_url": "http://x/v1", "api_key": "{CANARY}"}}}}')
    monkeypatch.setenv("JIDOKA_LLM_ATTEMPTS", "5")

    settings = Settings()

    endpoint = settings.llm_endpoints["local"]
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == CANARY
    assert settings.model_limits() == ModelLimits(attempts=5)
    for shown in (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr(endpoint),
        str(settings.model_dump()),
    ):
        assert CANARY not in shown


@pytest.mark.parametrize(
    "value",
    [
        f'{{"UPPER": {{"api_key": "{CANARY}"}}}}',
        f'{{"local": {{"api_kee": "{CANARY}"}}}}',
        f'{{"local": {{"kind": "{CANARY}"}}}}',
        f'{{"local": {{"base_url": "{CANARY}"}}}}',
        f'{{"local": "{CANARY}"}}',
    ],
)
def test_bad_endpoints_are_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JIDOKA_LLM_ENDPOINTS", value)

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert CANARY not in str(caught.value)


def test_limits_and_settings_agree() -> None:
    assert Settings().model_limits() == ModelLimits()


def test_options_are_read() -> None:
    options = model_options(
        {"model": "openai:x", "temperature": 0.5, "stop": ["."], "output_schema": {"type": "object"}}
    )

    assert (options.temperature, options.stop, options.output_schema) == (0.5, ["."], {"type": "object"})


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("temperature", bad) for bad in (-1, 3, "warm", float("nan"))),
        *(("max_tokens", bad) for bad in (0, -1, 1.5, "many")),
        *(("stop", bad) for bad in ("x", [""], ["x"] * 17, [7])),
        *(("output_schema", bad) for bad in ("x", [])),
        *(("base_url", bad) for bad in (CANARY, "http://127.1", None)),
        *((bad, CANARY) for bad in ("api_key", "unknown", "x" * 5000, "")),
    ],
)
def test_options_that_there_are_not_are_refused_by_name(name: str, bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        model_options({"model": "openai:x", name: bad})

    assert caught.value.field == "llm_config"
    assert name[:40] in str(caught.value)
    assert len(str(caught.value)) < 400
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["api_key", "API-Key", "apikey", "auth_token", "Authorization", "password", "secret"])
def test_a_key_has_no_place_in_a_sessions_config(name: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        refuse_keys({"model": "echo", name: CANARY})

    assert CANARY not in str(caught.value)


def test_what_belongs_to_others_is_left_to_them() -> None:
    assert model_options({"model": "openai:x", "context": {"policy": "recent"}, "rules": []}).model == "openai:x"


def test_other_options_are_none_of_our_business() -> None:
    refuse_keys({"model": "echo", "max_tokens": 7, "keyboard": "qwerty"})
