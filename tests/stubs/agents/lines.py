"""An agent that stays, and speaks in JSON lines. What it is asked says how it behaves."""

import json
import os
import sys
import time
from typing import Any


def say(kind: str, **more: Any) -> None:
    print(json.dumps({"type": kind, **more}), flush=True)


def hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(prompt: dict[str, Any]) -> None:
    match prompt["text"].split():
        case ["hang"]:
            say("text", text=f"{os.getpid()} ")
            while hear()["type"] != "cancel":
                pass
        case ["stubborn"]:
            say("text", text=f"{os.getpid()} ")
            while True:
                time.sleep(60)
        case ["ask"]:
            say("question", text="May I?", reason="manners", evidence={"what": "cake"})
            reply = hear()
            say("text", text=f"{reply['approved']} {reply['text']}")
        case ["tool"]:
            say("tool_call", id="call-1", name="look", arguments={"at": "sky"})
            say("tool_result", call_id="call-1", name="look", output="blue")
            say("tool_call", id="call-2", name="jump", arguments={})
            say("text", text="looked")
        case ["usage"]:
            say("usage", input_tokens=3, output_tokens=5)
        case ["garbage"]:
            print("this is no JSON", flush=True)
        case ["long"]:
            print("x" * 3_000_000, flush=True)
        case ["flood"]:
            while True:
                say("text", text="x" * 10_000)
        case ["chatter"]:
            while True:
                say("mood", value="x" * 10_000)
        case ["die"]:
            print("cannot go on", file=sys.stderr)
            os._exit(1)
        case ["wrong"]:
            say("error", text="I cannot do that")
            return
        case ["escapes"]:
            print('{"type": "text", "text": "a\\u0000b\\ud800c"}', flush=True)
        case ["memory"]:
            say("text", text=json.dumps(heard))
        case _:
            say("text", text=f"[{prompt['text']}]")
    say("done")


heard: list[dict[str, Any]] = []
if sys.argv[1:] == ["exits"]:
    sys.exit(7)
while True:
    message = hear()
    if message["type"] == "prompt":
        heard.append({name: message[name] for name in ("text", "before") if name in message})
        answer(message)
