"""Models by name: handed in, built in, the providers'."""

import inspect
from typing import Any

import pytest

from jidoka.adapters import pydantic_ai as adapter
from jidoka.adapters.echo import EchoModel
from jidoka.adapters.model_names import PROVIDERS, ModelNames
from jidoka.adapters.pydantic_ai import PydanticAIModel
from jidoka.core.chunks import LLMConfig
from jidoka.core.endpoints import Endpoint, ModelLimits
from jidoka.core.errors import InvalidMessage, ModelNotFound
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.unit.adapters.test_echo import context

NAMES = ["openai:gpt-5-mini", "anthropic:claude-x", "openai-responses:gpt-5", "mistral:large", "local:llama:8b"]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Providers' models are for asyncio. What they say on trio is below."""
    return "asyncio", {}


def names(**models: Any) -> ModelNames:
    endpoints = {"local": Endpoint(base_url="http://127.0.0.1:9/v1")}
    return ModelNames(models, endpoints=endpoints, limits=ModelLimits(), world=VirtualWorld())


def test_what_was_handed_in_comes_first() -> None:
    mine = ScriptedModel(["mine"])

    assert names(echo=mine).find("echo") is mine
    assert names(**{"openai:gpt-5": mine}).find("openai:gpt-5") is mine
    assert isinstance(names().find("echo"), EchoModel)


@pytest.mark.parametrize("name", NAMES)
async def test_a_providers_model_is_found_by_its_name(name: str) -> None:
    found = names().find(name)

    assert isinstance(found, PydanticAIModel)
    assert found.name == name


async def test_models_of_one_provider_share_its_connections_and_its_breaker() -> None:
    there = names()
    first, second, other = (
        there.find(f"{name}:m{number}") for number, name in enumerate(("openai", "openai", "local"))
    )

    assert isinstance(first, PydanticAIModel)
    assert isinstance(second, PydanticAIModel)
    assert isinstance(other, PydanticAIModel)
    assert first.place is second.place
    assert first.place is not other.place


async def test_names_that_sessions_make_up_do_not_pile_up() -> None:
    there = names()

    for number in range(1_000):
        there.find(f"openai:{number}")

    assert len(there._found) <= 256  # pyright: ignore


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("opnai:gpt-5", ("openai:gpt-5",)),
        ("gpt-5-mini", ("openai:gpt-5-mini",)),
        ("claude-x", ("anthropic:claude-x",)),
        ("eco", ("echo",)),
        ("lokal:x", ("local:x",)),
        ("nobody", ("echo", "mine")),
        ("openai:", ("echo", "mine")),
        ("", ("echo", "mine")),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(mine=ScriptedModel(["x"])).find(name)

    assert caught.value.known[: len(nearest)] == nearest


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)  # pyright: ignore

    with pytest.raises(ModelNotFound, match=r"pip install 'jidoka\[llm\]'") as caught:
        names().find("openai:gpt-5")

    assert caught.value.hint is not None


@pytest.mark.parametrize("anyio_backend", [("trio", {})], indirect=False)
async def test_on_trio_it_says_that_it_needs_asyncio(anyio_backend: Any) -> None:
    with pytest.raises(ModelNotFound, match="asyncio"):
        names().find("openai:gpt-5")

    with pytest.raises(ModelNotFound, match="asyncio"):
        async for _ in PydanticAIModel("openai:gpt-5").respond(context(("user", "x")), LLMConfig()):
            pass


@pytest.mark.parametrize(
    "config",
    [{"model": "openai:x", "base_url": "http://x"}, {"model": "echo", "api_key": "x"}, {"model": "openai:x", "n": 1}],
)
async def test_a_config_is_checked_before_there_is_a_session(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage):
        names().check(config)


async def test_a_sound_config_is_accepted() -> None:
    there = names(mine=PydanticAIModel("openai:x", api_key="k"))

    for config in (
        {},
        {"model": "echo", "seed": 1},
        {"model": "openai:x", "seed": 1},
        {"model": "mine", "top_p": 1},
    ):
        there.check(config)
    with pytest.raises(InvalidMessage):
        there.check({"model": "mine", "anything": 1})
    with pytest.raises(InvalidMessage):
        there.check({"model": "echo", "anything": 1})


@pytest.mark.parametrize("name", ["openai", "openai:", ":x", ""])
def test_a_providers_model_has_two_names(name: str) -> None:
    with pytest.raises(ModelNotFound):
        PydanticAIModel(name)


@pytest.mark.parametrize("options", [{"base_url": "ftp://sk-canary"}, {"base_url": 7}, {"api_key": ["sk-canary"]}])
def test_an_address_that_is_none_is_refused_and_not_quoted(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        PydanticAIModel("openai:x", **options)

    assert caught.value.field == next(iter(options))
    assert "canary" not in f"{caught.value!r}{caught.value.__context__!r}"


def test_pydantic_ai_knows_the_providers_that_we_name() -> None:
    from pydantic_ai.providers import infer_provider_class

    # To call it would import them all.
    source = inspect.getsource(infer_provider_class)

    assert [name for name in PROVIDERS if f"'{name}'" not in source] == []
