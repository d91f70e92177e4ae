"""A server as a process of this test run: started, stopped, killed, paused, and never left behind."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.servers.trees import is_alive, signal_tree, tree_of

# Far more than any of them takes: only a hang is as slow.
PATIENCE = 20.0
GLANCE = 0.01


class ServerFailed(Exception):
    """It did not start, or does not answer. The text ends with the end of its log."""


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server: its port and its data stay the same however often it is started.

    The kernel kills it when the thread that started it ends, even if that is by `kill -9`: start it from the main
    thread.
    """

    name = "server"
    user: str | None = None
    """Who runs it, where root may choose."""
    ends_with = signal.SIGTERM
    """Asks it to end soon, and properly."""
    patience = PATIENCE
    """How long it may take to do so."""

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"jidoka-{self.name}-"))
        if self._changes_user:
            os.chown(self.directory, pwd.getpwnam(str(self.user)).pw_uid, -1)
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.port}: {'runs' if self.is_running else 'is down'}>"

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_: object) -> None:
        self.remove()

    # --- what each kind of server says of itself ------------------------------------------------

    def prepare(self) -> None:
        """What has to be done once, before the first start."""

    def command(self) -> list[str]:
        """How it is started. It must stay in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it does what it is there for, not merely listens."""
        raise NotImplementedError

    # --- its life -------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        if not self.is_running:
            if self._process is None:
                self.prepare()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._as_user(die_with_us=True), *self.command()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                    start_new_session=True,
                )
        self._wait_for_an_answer()
        return self

    def stop(self) -> Self:
        """End it properly; one that does not end is killed."""
        if self._process is not None and self.is_running:
            self._process.send_signal(self.ends_with)
            try:
                self._process.wait(self.patience)
            except subprocess.TimeoutExpired:
                self.kill()
        return self

    def kill(self) -> Self:
        """`kill -9` for it and all its children: gone when this returns."""
        if self._process is not None and self.is_running:
            # Stopped first, so that it cannot have more children meanwhile.
            signal_tree(self.pid, signal.SIGSTOP)
            members = signal_tree(self.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
            wait_until(lambda: not any(map(is_alive, members)), "its children to die")
        return self

    def pause(self) -> Self:
        """Suspend it and all its children: connections stay open, and nobody answers."""
        signal_tree(self.pid, signal.SIGSTOP)
        return self

    def resume(self) -> Self:
        """Let them go on."""
        signal_tree(self.pid, signal.SIGCONT)
        return self

    def restart(self) -> Self:
        return self.stop().start()

    def heal(self) -> Self:
        """Make it run and answer, whatever was done to it."""
        if self.is_running:
            self.resume()
        return self.start()

    def remove(self) -> None:
        """End it, and delete all it has written."""
        if self.is_running:
            self.resume()
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def tree(self) -> list[int]:
        """The process and all below it."""
        return tree_of(self.pid)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _changes_user(self) -> bool:
        return self.user is not None and os.getuid() == 0

    def _as_user(self, *, die_with_us: bool = False) -> list[str]:
        """What to put before a command of this server."""
        words = ["setpriv"]
        if self._changes_user:
            words += [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        if die_with_us:
            words += ["--pdeathsig", "KILL"]
        return words if len(words) > 1 else []

    def _run(self, *command: str) -> None:
        """Run it to its end. Raises ServerFailed with what it had to say."""
        done = subprocess.run(
            [*self._as_user(), *command], check=False, capture_output=True, text=True, cwd=self.directory
        )
        if done.returncode:
            raise ServerFailed(f"{command[0]}: exit status {done.returncode}\n{done.stdout}{done.stderr}")

    def _wait_for_an_answer(self) -> None:
        def answers_or_ended() -> bool:
            return not self.is_running or self.answers()

        try:
            wait_until(answers_or_ended, f"{self.name} to answer")
        except TimeoutError as error:
            self.kill()
            raise ServerFailed(f"{error}\n{self.log_tail()}") from error
        if not self.is_running:
            raise ServerFailed(f"{self.name} ended at once\n{self.log_tail()}")

    def log_tail(self, characters: int = 2000) -> str:
        """The end of what it has said."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """For processes, which send no event: look again and again. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        time.sleep(GLANCE)
