"""LangGraph: a graph with `MessagesState` and one node, its threads kept by AsyncSqliteSaver.

https://docs.langchain.com/oss/python/langgraph/persistence: a thread is a session; a run of the graph is a turn. What
`durability="exit"` has kept when the run returns is what the row asks for, with the fewest writes. Its delta channel,
which stores less, is in beta and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.bench.durable.backend import Backend, Message


def answer(state: Any, config: RunnableConfig) -> dict[str, Any]:
    """The node that would call a model. What it says is in the configuration of the run."""
    said = config["configurable"]["answer"]
    return {"messages": [AIMessage(said)] if said else []}


def converted(message: Message) -> AnyMessage:
    """One message in its form."""
    role, text = message
    return HumanMessage(text) if role == "user" else AIMessage(text)


class Graph(Backend):
    """A checkpoint holds the whole state."""

    # A thread that is filled at once has one checkpoint, where turns would have left one each.
    is_filled_as_written = False

    async def open(self) -> None:
        self._saving = AsyncSqliteSaver.from_conn_string(self.place)
        self._saver = await self._saving.__aenter__()
        builder = StateGraph(MessagesState)
        builder.add_node("model", answer)
        builder.add_edge(START, "model")
        builder.add_edge("model", END)
        self._graph = builder.compile(checkpointer=self._saver)

    async def close(self) -> None:
        await self._saving.__aexit__(None, None, None)

    async def create(self, session_id: str) -> str:
        return session_id

    find = create

    @staticmethod
    def _config(session: str, said: str | None = None) -> Any:
        return {"configurable": {"thread_id": session, "answer": said}}

    async def add(self, session: str, messages: Sequence[Message]) -> None:
        *questions, (role, text) = messages
        if len(questions) == 1 and role == "assistant":
            question = {"messages": [converted(questions[0])]}
            await self._graph.ainvoke(question, self._config(session, text), durability="exit")
        else:
            everything = {"messages": [converted(message) for message in messages]}
            await self._graph.aupdate_state(self._config(session), everything, as_node="model")

    async def _messages(self, session: str) -> list[AnyMessage]:
        return (await self._graph.aget_state(self._config(session))).values.get("messages", [])

    async def recent(self, session: str, count: int) -> Sequence[Any]:
        return (await self._messages(session))[-count:]

    async def everything(self, session: str) -> Sequence[Any]:
        return await self._messages(session)

    async def turn(self, session: str, pair: Sequence[Message]) -> None:
        """A run hands the state to its node: the messages are looked at already."""
        await self.add(session, pair)

    async def delete(self, session: str) -> None:
        await self._saver.adelete_thread(session)

    @staticmethod
    def text(message: Any) -> str:
        return message.content
