"""A command that is run for each turn: its argument says how it behaves. Its question is its standard input."""

import os
import signal
import subprocess
import sys
import time


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def for_ever() -> None:
    while True:
        time.sleep(60)


behaviour, *more = sys.argv[1:]
match behaviour:
    case "upper":
        say(sys.stdin.read().upper())
    case "hang":
        # Says where it is, then nothing more.
        say(f"{os.getpid()} ")
        for_ever()
    case "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(f"{os.getpid()} ")
        for_ever()
    case "family":
        # A child, and one that has left the group; both have our output.
        child = subprocess.Popen(["sleep", "1000"])
        runaway = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        say(f"{os.getpid()} {child.pid} {runaway.pid} ")
        if more != ["leaves"]:
            for_ever()
    case "flood":
        block = "x" * 65_536
        while True:
            sys.stdout.write(block)
    case "fail":
        sys.stdin.read()
        say("half ")
        print(f"no luck, my key is {os.environ.get('MY_KEY')}", file=sys.stderr)
        sys.exit(3)
    case "garbage":
        sys.stdout.buffer.write(b"good \xff\xfe\0 bad \xed\xa0\x80")
    case "exit":
        sys.exit(0)
    case "die":
        os.kill(os.getpid(), signal.SIGKILL)
    case "environment":
        say("\n".join(f"{name}={value}" for name, value in sorted(os.environ.items())) + f"\ncwd={os.getcwd()}")
    case "deaf":
        # Never reads what it is told.
        sys.stdin.close()
        say("did not listen")
    case "silent":
        for_ever()
