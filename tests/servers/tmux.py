"""A terminal with a person at it: tmux, with a server of its own that ends with this run."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.servers.process import Server, wait_until
from tests.servers.trees import tree_of

HOW_TO_INSTALL = "tmux is not installed. As root: apt-get install tmux (or: make test)"
WIDTH, HEIGHT = 100, 40
# tmux itself does not always get to know how a program has ended. Ctrl-C is for the program, not for this shell.
_SHELL = """trap : INT; "$@"; printf '\\nended with %d\\n' $?"""


def find_tmux() -> str | None:
    """Where it is."""
    return shutil.which("tmux")


class Tmux(Server):
    """A tmux server in the foreground: what ends it ends the programs in its windows as well, by SIGHUP."""

    name = "tmux"

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def command(self) -> list[str]:
        return [*self._base(), "-D"]

    def answers(self) -> bool:
        return subprocess.run([*self._base(), "show-options", "-g"], capture_output=True, check=False).returncode == 0

    def _base(self) -> list[str]:
        # Not what somebody has set up for themselves: neither their server nor their configuration.
        return [self._program, "-S", str(self.directory / "socket"), "-f", "/dev/null", "-u"]

    def ask(self, *words: str) -> str:
        """What tmux answers."""
        done = subprocess.run([*self._base(), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def window(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> "Window":
        """A new window, in which *command* runs in an environment of its own."""
        clean = ["env", "-i", *(f"{name}={value}" for name, value in env.items())]
        words = [*clean, "sh", "-c", _SHELL, "sh", *command]
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self.ask("set-option", "-g", "remain-on-exit", "on")
        self.ask("set-option", "-g", "history-limit", "10000")
        place = ["-c", str(cwd)]
        target = self.ask("new-session", "-d", "-P", "-F", "#{pane_id}", *size, *place, "--", *words).strip()
        return Window(self, target)


class Window:
    """A program on a terminal. It stays to be looked at after the program has ended."""

    def __init__(self, tmux: Tmux, target: str) -> None:
        self._tmux = tmux
        self._target = target
        self._shell = int(self._about("pane_pid"))

    @property
    def pids(self) -> list[int]:
        """The program's, while it runs, and whatever it has started."""
        return [pid for pid in tree_of(self._shell) if pid != self._shell]

    def type(self, text: str) -> None:
        """A line."""
        self._tmux.ask("send-keys", "-t", self._target, "-l", "--", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names, such as C-c."""
        self._tmux.ask("send-keys", "-t", self._target, *keys)

    @property
    def shown(self) -> str:
        """All that has been shown, in whole lines."""
        return self._tmux.ask("capture-pane", "-p", "-J", "-S", "-", "-t", self._target)

    @property
    def title(self) -> str:
        """What the program has named its window."""
        return self._about("pane_title")

    def wait_for(self, text: str) -> None:
        """Wait until *text* is shown."""
        self._wait(lambda: text in self.shown, f"{text!r}")

    def wait_for_last_line(self, line: str) -> None:
        """Wait until the last line that is not empty is *line*."""
        self._wait(lambda: self.shown.rstrip().rpartition("\n")[2].rstrip() == line, f"{line!r} at the end")

    def wait_for_line(self, pattern: str) -> "re.Match[str]":
        """Wait for a line that begins like that."""
        self._wait(lambda: re.search(pattern, self.shown, re.MULTILINE) is not None, pattern)
        found = re.search(pattern, self.shown, re.MULTILINE)
        assert found is not None
        return found

    def wait_ended(self) -> int:
        """Wait for the program's end; its exit status, as a shell has it."""
        return int(self.wait_for_line(r"^ended with (\d+)$")[1])

    def _about(self, what: str) -> str:
        return self._tmux.ask("display-message", "-p", "-t", self._target, f"#{{{what}}}").strip()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, what)
        except TimeoutError as error:
            raise AssertionError(f"{error}:\n{self.shown}") from None
