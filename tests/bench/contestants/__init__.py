"""Who is measured: a name for the table, the module that does the work, and what must be there for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from shutil import which
from typing import Any


@dataclass(frozen=True, slots=True)
class Contestant:
    """One side of a comparison. Those of the same name share a column, whichever module does the work."""

    name: str
    module: str
    """With `:Name` behind it: the backend in that module that the durable rows measure."""
    package: str | None = None
    programs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Modules that must be there besides the package."""

    @property
    def is_ours(self) -> bool:
        """Whether it is jidoka."""
        return self.name.startswith("jidoka")

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        modules = self.needs or ((self.package.replace("-", "_"),) if self.package else ())
        return all(map(_is_there, modules)) and all(which(program) for program in self.programs)

    @property
    def missing(self) -> str:
        """What to say when it cannot run here."""
        return "not there" if self.is_ours else "not installed"

    @property
    def version(self) -> str | None:
        """What is installed, where it says so."""
        try:
            return version(self.package) if self.package else None
        except PackageNotFoundError:
            return None


def _is_there(module: str) -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec(module) is not None
    return False


def backends_of(where: str) -> Any:
    """The backend that `module:Name` stands for."""
    module, _, name = where.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)


KERNEL = Contestant("jidoka", "kernel", "jidoka")
ACTORS_ALONE = Contestant("jidoka.actors", "kernel", "jidoka")
SESSIONS = Contestant("jidoka", "sessions", "jidoka")
STORM = Contestant("jidoka", "storm", "jidoka")
EVENTS = Contestant("jidoka", "events", "jidoka")
OTP = Contestant("Erlang/OTP", "otp", None, ("erl", "erlc"))
AUTOGEN = Contestant("autogen-core", "autogen", "autogen-core")
PYKKA = Contestant("Pykka", "pykka_threads", "pykka")
ASYNCIO = Contestant("asyncio", "tasks", None)
BLINKER = Contestant("blinker", "signals", "blinker")

# Of the durable rows. A store on its own is `jidoka.store`: its calls are what a peer's session offers.
_SQLITE = "jidoka.adapters.sqlite"
_POSTGRES = "jidoka.adapters.postgres"
DURABLE = Contestant("jidoka", "durable_jidoka:Sessions", "jidoka", needs=(_SQLITE,))
STORE = Contestant("jidoka.store", "durable_jidoka:Journals", "jidoka", needs=(_SQLITE,))
DURABLE_SESSIONS = Contestant("jidoka", "durable_sessions", "jidoka", needs=(_SQLITE,))
RAW = Contestant("raw SQLite", "durable_raw:Sqlite", "apsw")
OPENAI = Contestant("OpenAI SQLiteSession", "durable_openai:Threaded", "openai-agents", needs=("agents",))
OPENAI_ASYNC = Contestant("OpenAI AsyncSQLite", "durable_openai:Async", "openai-agents", needs=("agents", "aiosqlite"))
ADK = Contestant("ADK Sqlite", "durable_adk:Sqlite", "google-adk", needs=("google.adk", "aiosqlite"))
ADK_DATABASE = Contestant(
    "ADK Database", "durable_adk:Database", "google-adk", needs=("google.adk", "sqlalchemy", "aiosqlite")
)
LANGGRAPH = Contestant("LangGraph", "durable_langgraph:Graph", "langgraph", needs=("langgraph.checkpoint.sqlite",))
RAW_TURNS = Contestant("raw SQLite", "turns_raw:TwoCommits", "apsw")
OPENAI_RUNS = Contestant("OpenAI Runner", "turns_openai:Runs", "openai-agents", needs=("agents",))
ADK_RUNS = Contestant("ADK Runner", "turns_adk:Runs", "google-adk", needs=("google.adk", "sqlalchemy", "aiosqlite"))
POSTGRES_STORE = Contestant("jidoka.store", "durable_jidoka:Journals", "jidoka", needs=(_POSTGRES,))
POSTGRES_RAW = Contestant("raw PostgreSQL", "durable_raw_postgres:Postgres", "psycopg")
OPENAI_POSTGRES = Contestant(
    "OpenAI SQLAlchemy", "durable_openai_sql:Alchemy", "openai-agents", needs=("agents", "sqlalchemy", "asyncpg")
)
ADK_POSTGRES = Contestant(
    "ADK Database", "durable_adk:Database", "google-adk", needs=("google.adk", "sqlalchemy", "asyncpg")
)

EVERYBODY = (
    *(KERNEL, OTP, AUTOGEN, PYKKA, ASYNCIO, BLINKER),
    *(RAW, OPENAI, OPENAI_ASYNC, ADK, ADK_DATABASE, LANGGRAPH, POSTGRES_RAW, OPENAI_POSTGRES),
    *(OPENAI_RUNS, ADK_RUNS),
)
