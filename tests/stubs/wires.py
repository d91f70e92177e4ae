"""How OpenAI's and Anthropic's servers stream an answer, as bytes."""

import json
from typing import Any


class OpenAIWire:
    """Chat completions."""

    provider = "openai"
    path = "/v1/chat/completions"
    base = "/v1"

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def tool_call(self, id: str, name: str, *arguments: str, number: int = 0) -> bytes:
        """All of a call; *number* is its place among those of one answer."""
        first = self.tool_begins(id, name, number)
        return first + b"".join(self.tool_goes_on(part, number) for part in arguments)

    def tool_begins(self, id: str, name: str, number: int) -> bytes:
        begun = {"index": number, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        return self._chunk({"tool_calls": [begun]})

    def tool_goes_on(self, arguments: str, number: int) -> bytes:
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": arguments}}]})

    def declared(self, body: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
        """The tools of a request: name, description, schema of the arguments."""
        functions = [tool["function"] for tool in body.get("tools", ())]
        return [(each["name"], each["description"], each["parameters"]) for each in functions]

    def calls(self, body: dict[str, Any]) -> list[tuple[str, str, Any]]:
        """The calls in a request's history: id, name, arguments."""
        made = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
        return [(each["id"], each["function"]["name"], json.loads(each["function"]["arguments"])) for each in made]

    def results(self, body: dict[str, Any]) -> list[tuple[str, Any]]:
        """The results in a request's history: the id of the call, and what came of it."""
        found = [message for message in body["messages"] if message["role"] == "tool"]
        return [(message["tool_call_id"], message["content"]) for message in found]

    def end(self, *, reason: str = "stop", tokens: tuple[int, int, int] = (11, 5, 3)) -> bytes:
        heard, said, cached = tokens
        usage = {
            "prompt_tokens": heard,
            "completion_tokens": said,
            "total_tokens": heard + said,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        return self._chunk({}, reason) + self._data({**self._frame(), "choices": [], "usage": usage}) + self.done()

    def done(self) -> bytes:
        return b"data: [DONE]\n\n"

    def error(self, message: str, type: str, code: str | None = None) -> dict[str, Any]:
        return {"error": {"message": message, "type": type, "code": code, "param": None}}

    def in_stream_error(self, message: str) -> bytes:
        return self._data(self.error(message, "server_error", "server_error"))

    def roles(self, body: dict[str, Any]) -> list[str]:
        return [message["role"] for message in body["messages"]]

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        return self._data({**self._frame(), "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    @staticmethod
    def _frame() -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_900_000_000, "model": "stub"}

    @staticmethod
    def _data(value: Any) -> bytes:
        return b"data: " + json.dumps(value).encode() + b"\n\n"


class AnthropicWire:
    """Messages."""

    provider = "anthropic"
    path = "/v1/messages"
    base = ""

    def begin(self) -> bytes:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "stub"}
        usage = {"input_tokens": 8, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 1}
        start = {"message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
        block = {"index": 0, "content_block": {"type": "text", "text": ""}}
        return self._event("message_start", start) + self._event("content_block_start", block)

    def piece(self, text: str) -> bytes:
        return self._event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})

    def tool_call(self, id: str, name: str, *arguments: str, number: int = 0) -> bytes:
        """All of a call; *number* is its place among those of one answer. The first ends the text."""
        place = number + 1
        block = {"index": place, "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}}
        deltas = ({"index": place, "delta": {"type": "input_json_delta", "partial_json": part}} for part in arguments)
        return b"".join(
            [
                b"" if number else self._event("content_block_stop", {"index": 0}),
                self._event("content_block_start", block),
                *(self._event("content_block_delta", delta) for delta in deltas),
                self._event("content_block_stop", {"index": place}),
            ]
        )

    def declared(self, body: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
        """The tools of a request: name, description, schema of the arguments."""
        return [(each["name"], each["description"], each["input_schema"]) for each in body.get("tools", ())]

    def calls(self, body: dict[str, Any]) -> list[tuple[str, str, Any]]:
        """The calls in a request's history: id, name, arguments."""
        return [(each["id"], each["name"], each["input"]) for each in self._blocks(body, "tool_use")]

    def results(self, body: dict[str, Any]) -> list[tuple[str, Any]]:
        """The results in a request's history: the id of the call, and what came of it."""
        found = self._blocks(body, "tool_result")
        return [(each["tool_use_id"], "".join(part["text"] for part in each["content"])) for each in found]

    @staticmethod
    def _blocks(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
        return [block for content in contents for block in content if block["type"] == kind]

    def end(self, *, reason: str = "end_turn", tokens: tuple[int, int, int] = (11, 5, 3)) -> bytes:
        delta = {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": tokens[1]}}
        return self._event("message_delta", delta) + self.done()

    def done(self) -> bytes:
        return self._event("message_stop", {})

    def error(self, message: str, type: str, code: str | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": type, "message": message}}

    def in_stream_error(self, message: str) -> bytes:
        return self._event("error", {"error": {"type": "api_error", "message": message}})

    def roles(self, body: dict[str, Any]) -> list[str]:
        return [message["role"] for message in body["messages"]]

    @staticmethod
    def _event(name: str, value: dict[str, Any]) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **value})}\n\n".encode()


class ResponsesWire:
    """OpenAI's other protocol."""

    def begin(self) -> bytes:
        item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        part = {"type": "output_text", "text": "", "annotations": []}
        return b"".join(
            [
                self._event("response.created", {"response": self._response("in_progress")}),
                self._event("response.output_item.added", {"output_index": 0, "item": item}),
                self._event("response.content_part.added", {**self._place(), "part": part}),
            ]
        )

    def piece(self, text: str) -> bytes:
        return self._event("response.output_text.delta", {**self._place(), "delta": text, "logprobs": []})

    def end(self) -> bytes:
        usage = {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 16,
        }
        return self._event("response.completed", {"response": {**self._response("completed"), "usage": usage}})

    @staticmethod
    def _place() -> dict[str, Any]:
        return {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    @staticmethod
    def _response(status: str) -> dict[str, Any]:
        fixed = {"id": "resp_1", "object": "response", "created_at": 1_900_000_000, "model": "stub", "output": []}
        return {**fixed, "status": status, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}

    @staticmethod
    def _event(name: str, value: dict[str, Any]) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, 'sequence_number': 0, **value})}\n\n".encode()


Wire = OpenAIWire | AnthropicWire
WIRES = (OpenAIWire(), AnthropicWire())
