"""Finds models by name: those that were handed in, `echo`, agent processes, then the providers'."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from jidoka.adapters.agents import AgentCommands, AgentModel
from jidoka.adapters.echo import EchoModel
from jidoka.adapters.pydantic_ai import Place, PydanticAIModel, check_surroundings
from jidoka.core import agents as agent_rules
from jidoka.core.endpoints import Endpoint, ModelLimits, model_options, refuse_keys
from jidoka.core.errors import ModelNotFound

if TYPE_CHECKING:
    from jidoka.ports.agents import Agents
    from jidoka.ports.models import Model
    from jidoka.ports.world import World

DEFAULT: Final = "echo"

PROVIDERS: Final = (
    *("openai", "openai-chat", "openai-responses", "anthropic"),
    *("alibaba", "azure", "bedrock", "cerebras", "cohere", "crusoe", "deepseek", "fireworks", "github"),
    *("google", "google-cloud", "groq", "heroku", "huggingface", "litellm", "mistral", "moonshotai", "nebius"),
    *("ollama", "openrouter", "ovhcloud", "sambanova", "together", "vercel", "vllm", "xai", "zai"),
)
"""Those of pydantic-ai. The SDKs of some are not in our extra: then it says which package has them."""

# Whose model this is, when somebody leaves out the provider.
_FAMILIES: Final = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic"}
_MOST_NAMES: Final = 10
_MOST_MODELS: Final = 256


class ModelNames:
    """A `Models`. It closes what it has opened."""

    def __init__(
        self,
        models: Mapping[str, Model],
        *,
        endpoints: Mapping[str, Endpoint],
        limits: ModelLimits,
        world: World,
        commands: AgentCommands | None = None,
        agents: Agents | None = None,
    ) -> None:
        self._own: dict[str, Model] = {DEFAULT: EchoModel(), **models}
        self._endpoints = dict(endpoints)
        self._limits = limits
        self._world = world
        self._commands = commands
        self._agents = agents
        self._places: dict[str, Place] = {}
        self._found: dict[str, PydanticAIModel] = {}

    def __repr__(self) -> str:
        return f"<ModelNames: {', '.join(self._own)}; at {len(self._places)} providers>"

    def find(self, name: str) -> Model:
        """Handed in, built in, an agent process, or a provider's. Raises ModelNotFound."""
        own = self._own.get(name)
        if own is not None:
            return own
        if self._agents is not None and self._commands is not None and agent_rules.kind_of(name) is not None:
            self._commands.command(name)
            return AgentModel(name, self._agents)
        provider, _, model = name.partition(":")
        if not model or (provider not in self._endpoints and provider not in PROVIDERS):
            raise ModelNotFound(name, known=self._nearest(name))
        check_surroundings(name)
        return self._of_a_provider(name, provider)

    def check(self, llm_config: Mapping[str, Any]) -> None:
        """Raises ModelNotFound, InvalidMessage."""
        refuse_keys(llm_config)
        name = llm_config.get("model", DEFAULT)
        if not isinstance(name, str):
            raise ModelNotFound(str(name), known=self._nearest(""))
        found = self.find(name)
        if isinstance(found, PydanticAIModel | EchoModel):
            # What others know, they know.
            model_options({**llm_config, "model": name})
        elif isinstance(found, AgentModel):
            agent_rules.check_options(llm_config)

    def _of_a_provider(self, name: str, provider: str) -> Model:
        found = self._found.get(name)
        if found is None:
            place = self._places.get(provider)
            if place is None:
                endpoint = self._endpoints.get(provider)
                place = self._places[provider] = Place(provider, endpoint, limits=self._limits, world=self._world)
            if len(self._found) >= _MOST_MODELS:
                # Sessions choose names: the oldest is forgotten, its place stays.
                del self._found[next(iter(self._found))]
            found = self._found[name] = PydanticAIModel(name, place=place)
        return found

    def _nearest(self, name: str) -> tuple[str, ...]:
        """What *name* may have meant; if nobody can tell, what there is."""
        providers = sorted({*self._endpoints, *PROVIDERS})
        provider, colon, model = name.partition(":")
        near = get_close_matches(name, list(self._own), n=_MOST_NAMES)
        if colon and model:
            near += [f"{close}:{model}" for close in get_close_matches(provider, providers, n=3)]
        else:
            near += [f"{whose}:{name}" for family, whose in _FAMILIES.items() if name.startswith(family)]
        return tuple(near or list(self._own)[:_MOST_NAMES])

    async def aclose(self) -> None:
        """Close the connections to providers, those of models that were handed in as well."""
        for place in self._places.values():
            await place.aclose()
        for model in self._own.values():
            if isinstance(model, PydanticAIModel):
                await model.aclose()
