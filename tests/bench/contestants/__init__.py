"""Who is measured: a name for the table, the module that does the work, and what must be there for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from shutil import which


@dataclass(frozen=True, slots=True)
class Contestant:
    """One side of a comparison. Those of the same name share a column, whichever module does the work."""

    name: str
    module: str
    package: str | None = None
    programs: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it is jidoka."""
        return self.name.startswith("jidoka")

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        if self.package is not None and find_spec(self.package.replace("-", "_")) is None:
            return False
        return all(which(program) for program in self.programs)

    @property
    def version(self) -> str | None:
        """What is installed, where it says so."""
        try:
            return version(self.package) if self.package else None
        except PackageNotFoundError:
            return None


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

EVERYBODY = (KERNEL, OTP, AUTOGEN, PYKKA, ASYNCIO, BLINKER)
