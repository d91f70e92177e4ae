"""How one session is supervised: as its options say."""

from dataclasses import replace

import pytest

from jidoka.client import Client
from jidoka.core.config import SessionConfig
from jidoka.sessions.supervisor import plan_for
from jidoka.testing.faults import kill_child
from jidoka.testing.world import VirtualWorld

DEFAULT = SessionConfig()


def test_sessions_with_the_same_options_share_a_plan() -> None:
    assert plan_for(DEFAULT) is plan_for(SessionConfig(idle_after=1, max_files=3))


@pytest.mark.parametrize(
    "options", [{"strategy": "one_for_all"}, {"max_restarts": 1}, {"within": 1.0}, {"shutdown": 1.0}], ids=str
)
def test_a_plan_follows_the_options(options: dict[str, object]) -> None:
    config = replace(DEFAULT, **options)  # type: ignore[arg-type]

    policy, specs = plan_for(config)

    assert (policy.strategy, policy.max_restarts, policy.within) == (
        config.strategy,
        config.max_restarts,
        config.within,
    )
    assert [spec.id for spec in specs] == ["context_manager", "orchestrator"]
    assert {spec.shutdown for spec in specs} == {config.shutdown}
    assert plan_for(config) is not plan_for(DEFAULT)


def test_only_a_session_with_a_workspace_has_somebody_who_looks_after_it() -> None:
    one, other = (plan_for(replace(DEFAULT, workspace=path)) for path in ("/a", "/b"))

    assert one is other
    assert [spec.id for spec in one[1]] == ["context_manager", "orchestrator", "files"]


async def test_each_child_has_a_budget_of_its_own() -> None:
    async with Client(world=VirtualWorld()) as client:
        session = await client.create_session(config={"max_restarts": 2})

        for _ in range(2):
            for name in ("context_manager", "orchestrator"):
                await kill_child(session, name)
                await session.get_history()

        assert (await session.info()).status == "active"
