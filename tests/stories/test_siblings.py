"""Many at once: one in ten is killed, and the others do not notice."""

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.census import take_census

MANY = 10_000


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_of_ten_thousand_sessions_nine_thousand_do_not_notice_that_the_others_are_killed(client: Client) -> None:
    sessions: list[Session] = []
    for number in range(MANY):
        session = await client.create_session(metadata={"number": number})
        await session.send_message("user", f"message of {number}")
        sessions.append(session)
    victims, others = sessions[::10], [session for number, session in enumerate(sessions) if number % 10]
    registry = client.house.registry

    def urns_of(session: Session) -> tuple[str, ...]:
        refs = [
            registry.supervisor(session.id),
            registry.child(session.id, "context_manager"),
            registry.child(session.id, "orchestrator"),
        ]
        return tuple(ref.actor_urn for ref in refs if ref is not None)

    before = {session.id: urns_of(session) for session in others}
    refs = [registry.supervisor(session.id) for session in victims]
    census = take_census(client)
    listened = others[::90]
    async with anyio.create_task_group() as tasks:
        heard: dict[str, list[int | None]] = {}
        ready: list[str] = []

        async def listen(session: Session) -> None:
            async with session.subscribe() as events:
                ready.append(session.id)
                heard[session.id] = [(await anext(events)).seq]

        for session in listened:
            tasks.start_soon(listen, session)
        await anyio.wait_all_tasks_blocked()
        assert len(ready) == 100

        for ref in refs:
            assert ref is not None
            ref.kill()
        for ref in refs:
            assert ref is not None
            await ref.wait_stopped()

        assert {session.id: urns_of(session) for session in others} == before
        for session in sessions:
            await session.send_message("user", "after")

    assert heard == {session.id: [4] for session in listened}
    for number, session in enumerate(sessions):
        history = await session.get_history()
        assert [message.content for message in history] == [f"message of {number}", "after"]
        assert (await session.info()).status is SessionStatus.ACTIVE
    assert [len(urns_of(session)) for session in sessions] == [3] * MANY
    for session in others:
        assert [entry.type for entry in await client.house.store.read(session.id)].count("child_restarted") == 0
    assert not take_census(client).differences(census)
