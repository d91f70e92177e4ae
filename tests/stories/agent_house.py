"""A program that is killed in the middle of turns: sessions at agents, of which some will not end by themselves."""

import sys
from functools import partial

import anyio

from jidoka.client import Client
from jidoka.core.settings import Settings
from tests.stories.agents import AGENTS
from tests.stories.processes import ignoring_errors

TURNS = (("exec:family", "question"), ("exec:stubborn", "question"), ("exec:lines", "stubborn"), ("acp:acp", "hang"))


async def main(store: str) -> None:
    """Say which sessions are in the middle of their turns, then go on for ever."""
    async with Client(store, settings=Settings(agents=AGENTS)) as client, anyio.create_task_group() as tasks:
        for model, question in TURNS:
            session = await client.create_session(llm_config={"model": model})
            async with session.subscribe(types=["output_received"]) as events:
                tasks.start_soon(ignoring_errors, partial(session.prompt, question))
                await anext(events)
            print(session.id, flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=sys.argv[2], backend_options={"use_uvloop": True} if sys.argv[3:] else {})
