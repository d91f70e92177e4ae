"""`import jidoka` is quick, and brings along only what it needs."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import jidoka

LIMIT_SECONDS = 0.15
ATTEMPTS = 7

OPTIONAL = {
    *("trio", "uvloop", "typer", "click", "rich", "structlog", "pydantic_settings", "dotenv"),
    *("apsw", "sqlite3", "psycopg", "redis", "nats", "obstore"),
    *("pydantic_ai", "openai", "anthropic", "fastapi", "starlette", "httpx"),
}

PROGRAM = """
import json, sys, time
began = time.perf_counter()
import jidoka
took = time.perf_counter() - began
print(json.dumps({"seconds": took, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def import_in_a_fresh_interpreter() -> dict[str, Any]:
    # Without PYTHON* settings: one of them would forbid to keep the compiled modules.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_import_brings_no_optional_dependency() -> None:
    found = import_in_a_fresh_interpreter()

    assert OPTIONAL.intersection(found["modules"]) == set()


def test_import_stays_within_its_limit() -> None:
    fastest = min(import_in_a_fresh_interpreter()["seconds"] for _ in range(ATTEMPTS))

    assert fastest <= LIMIT_SECONDS


def test_the_package_says_its_version() -> None:
    assert jidoka.__version__ == version("jidoka")
