"""PostgreSQL from Debian's package, whichever version of it is installed."""

import os
import re
import signal
import subprocess
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from tests.servers.process import Server

INSTALLED = Path("/usr/lib/postgresql")
HOW_TO_INSTALL = "PostgreSQL is not installed. As root: apt-get install postgresql (or: make test)"


def find_binaries(root: Path = INSTALLED) -> Path | None:
    """The directory with the programs of the newest version. None when there is none."""
    found = [path.parent for path in root.glob("*/bin/postgres") if re.fullmatch(r"\d+", path.parent.parent.name)]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def missing_server(reason: str) -> NoReturn:
    """Leave the test out, and say why; where CI is set it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}. Where CI is set, its tests must run", pytrace=False)
    pytest.skip(reason)


class Postgres(Server):
    """A cluster of its own, with databases that are made and dropped."""

    name = "postgres"
    user = "postgres"
    # Fast shutdown: without it the server would wait for its clients to leave.
    ends_with = signal.SIGINT

    def __init__(self, binaries: Path, *, fsync: bool = False) -> None:
        super().__init__()
        self.binaries = binaries
        self._fsync = fsync
        self._numbers = count(1)

    def prepare(self) -> None:
        options = ["--username=jidoka", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run(self.program("initdb"), "--pgdata=data", *options)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "max_connections": 60,
            "shared_buffers": "32MB",
            "fsync": "on" if self._fsync else "off",
        }
        chosen = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self.program("postgres"), "-D", "data", *chosen]

    def answers(self) -> bool:
        where = ["--host=127.0.0.1", f"--port={self.port}", "--timeout=2"]
        return not subprocess.run([self.program("pg_isready"), "--quiet", *where], check=False).returncode

    def dsn(self, database: str = "postgres", *, port: int | None = None) -> str:
        """How to reach a database of it; through another port where something stands in between."""
        return f"postgresql://jidoka@127.0.0.1:{port or self.port}/{database}"

    def ask(self, statement: str, *, database: str = "postgres") -> list[str]:
        """The rows of the answer as psql writes them."""
        words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        command = [self.program("psql"), *words, f"--command={statement}", self.dsn(database)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def create_database(self, *, template: str = "template0") -> str:
        """A new one, and its name."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"create database {name} template {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, and throw out whoever still looks at it."""
        self.ask(f"drop database {name} with (force)")

    def connections(self, database: str) -> int:
        """How many there are to it, counted by the server."""
        where = f"datname = '{database}' and backend_type = 'client backend'"
        return int(self.ask(f"select count(*) from pg_stat_activity where {where}")[0])

    def dump(self, database: str) -> str:
        """All that is in it, as SQL."""
        done = subprocess.run([self.program("pg_dump"), self.dsn(database)], check=True, capture_output=True, text=True)
        # Some versions put a key of chance around it.
        return "\n".join(line for line in done.stdout.splitlines() if "restrict " not in line)

    def program(self, name: str) -> str:
        """One of the programs that came with it."""
        return str(self.binaries / name)
