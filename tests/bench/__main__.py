"""`python -m tests.bench`: measure jidoka and its peers, and show the figures. None of them is a pass or a failure."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.bench import policies
from tests.bench.durable import texts
from tests.bench.harness import measure
from tests.bench.report import Measured, as_json, show
from tests.bench.rows import WORKS, chosen

RUNS = 3
WIDTH = 110


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    names = ", ".join(dict.fromkeys(work.group or work.name for work in WORKS))
    parser.add_argument(
        "--rows",
        default="",
        metavar="NAME,…",
        help=f"only these: {names}, or single works and rows of them; or {policies.NAME}: context policies on --texts",
    )
    parser.add_argument("--quick", action="store_true", help="one run of each at a small size")
    parser.add_argument("--texts", metavar="FILE", help="take the durable rows' messages from recorded dialogues")
    parser.add_argument("--no-peers", action="store_true", help="jidoka alone")
    return parser.parse_args()


def console() -> Console:
    """As wide as the terminal; in a file as wide as the table."""
    out = Console()
    return out if out.is_terminal else Console(width=WIDTH)


def stop_when_told() -> None:
    """Whoever ends this ends the contestant that is running as well."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)


def main() -> int:
    """Exit status 0: measured; 2: bad input."""
    stop_when_told()
    options = parsed()
    if options.rows == policies.NAME:
        return policies.main([options.texts or "", *(["--json"] if options.json else [])])
    try:
        works = chosen([name.strip() for name in options.rows.split(",") if name.strip()])
        if options.texts:
            os.environ[texts.FILE] = str(Path(options.texts).resolve(strict=True))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    err = Console(stderr=True)
    found: list[Measured] = []
    with err.status("measuring") as status:
        for work, rows in works:
            outcomes = measure(
                work,
                quick=options.quick,
                peers=not options.no_peers,
                runs=1 if options.quick else RUNS,
                say=status.update,
            )
            found.append(Measured(work, rows, outcomes))
    if options.json:
        print(json.dumps(as_json(found, quick=options.quick), ensure_ascii=False))
    else:
        show(found, console(), quick=options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
