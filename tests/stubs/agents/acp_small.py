"""An agent that speaks the Agent Client Protocol by hand: it is up in no time. What it is asked says how it behaves."""

import json
import os
import sys
import time
from typing import Any

SESSION = "small-1"


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def say(text: str, session: str = SESSION) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send(method="session/update", params={"sessionId": session, "update": update})


def answer(texts: list[str]) -> str:
    """What it says, and why it stops."""
    match texts[-1].split() if how != ["echo"] else []:
        case ["many", number]:
            for one in range(int(number)):
                say(f"{one} ")
        case ["hang"]:
            say(f"{os.getpid()} ")
            while hear()["method"] != "session/cancel":
                pass
            say("too late")
            return "cancelled"
        case ["stubborn"]:
            say(f"{os.getpid()} ")
            while True:
                time.sleep(60)
        case ["die"]:
            os._exit(1)
        case ["memory"]:
            say(repr(heard))
        case ["another"]:
            say("not for you", session="small-2")
            say("for you")
        case _:
            say(f"[{texts[-1]}]")
    return "end_turn"


heard: list[list[str]] = []
how = sys.argv[1:]
while True:
    message = hear()
    match message["method"]:
        case "initialize" if how == ["never"]:
            continue
        case "initialize" if how == ["exits"]:
            sys.exit(3)
        case "initialize":
            send(id=message["id"], result={"protocolVersion": 99 if how == ["version"] else 1})
        case "session/new":
            send(id=message["id"], result={"sessionId": SESSION})
        case "session/prompt":
            asked = [block["text"] for block in message["params"]["prompt"]]
            heard.append(asked)
            send(id=message["id"], result={"stopReason": answer(asked)})
