"""A command as a child process: behind a guard, in a process group of its own, with pipes that hold up nobody.

Everything goes through descriptors that both event loops can wait for, so that it is the same on each of them: no
thread, no child watcher. POSIX only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from jidoka.adapters import agent_guard
from jidoka.adapters.redaction import REDACTION
from jidoka.adapters.waiting import in_time
from jidoka.core.agents import AgentLimits, agent_failed, without_secrets

if TYPE_CHECKING:
    from jidoka.ports.world import World

_READ: Final = 65_536
_GUARD: Final = str(Path(agent_guard.__file__))
# What the guard may take to kill everything; then the group is killed over its head.
_GUARD_PATIENCE: Final = 5.0


class ChildProcess:
    """Started when it is made; `run` sees to it until it has ended."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        secrets: Sequence[str],
        limits: AgentLimits,
        world: World,
    ) -> None:
        """Raises TurnFailed if it cannot be started."""
        self._secrets = secrets
        self._limits = limits
        self._world = world
        self._errors = bytearray()
        self._to_write: deque[bytes] = deque()
        self._is_input_over = False
        self._more = anyio.Event()
        self._reader: anyio.CancelScope | None = None
        self._reader_left = anyio.Event()
        self.ended = anyio.Event()
        self.status: int | None = None
        """As a shell says it: what it exited with, or 128 and the signal that killed it. None while it lives."""
        self._popen, self._lifeline = _spawn(argv, env, cwd)
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._in, self._out, self._err = self._popen.stdin, self._popen.stdout, self._popen.stderr
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)

    def __repr__(self) -> str:
        return f"<ChildProcess {self.pid}{'' if self.status is None else f', ended with {self.status}'}>"

    @property
    def pid(self) -> int:
        """The leader of its group: the guard."""
        return self._popen.pid

    # --- its life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """See to it until it has ended. Cancelled, it is killed; this returns when nothing of it is left."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._listen_to_errors)
                await _exit_of(self._popen)
                tasks.cancel_scope.cancel()
        finally:
            self.kill()
            with anyio.CancelScope(shield=True):
                await self._bury()

    async def _bury(self) -> None:
        with suppress(TimeoutError):
            await in_time(self._world, self._world.monotonic() + _GUARD_PATIENCE, lambda: _exit_of(self._popen))
        # Before it is reaped: until then nobody else can have its number.
        self._signal(signal.SIGKILL)
        await _exit_of(self._popen)
        status = self._popen.wait()
        self.status = status if status >= 0 else 128 - status
        self._take_errors()
        self._close(self._in)
        self._close(self._err)
        self.ended.set()

    def terminate(self) -> None:
        """SIGTERM for the whole group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Whatever descends from it is killed, by its guard. Fine when it has ended."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    async def close(self) -> None:
        """SIGTERM, and after the grace SIGKILL. It is gone when this returns, as long as somebody runs `run`."""
        self.terminate()
        try:
            await in_time(self._world, self._world.monotonic() + self._limits.grace, self.ended.wait)
        except TimeoutError:
            self.kill()
            await self.ended.wait()
        self.release()

    def release(self) -> None:
        """Nobody reads any more what it says."""
        self._close(self._out)

    def _signal(self, number: signal.Signals) -> None:
        if self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    @staticmethod
    def _close(pipe: IO[bytes]) -> None:
        if not pipe.closed:
            anyio.notify_closing(pipe)
            with suppress(OSError):
                pipe.close()

    # --- what it is told -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Have it read *data* after what was sent before. Nobody waits for that."""
        self._to_write.append(data)
        self._more.set()

    def end_input(self) -> None:
        """There is no more to read."""
        self._is_input_over = True
        self._more.set()

    async def _write(self) -> None:
        try:
            while True:
                while self._to_write:
                    await self._write_out(memoryview(self._to_write.popleft()))
                if self._is_input_over:
                    self._close(self._in)
                    return
                self._more = anyio.Event()
                await self._more.wait()
        except (OSError, anyio.ClosedResourceError):
            # It does not read. Whether that matters is seen from what it says.
            self._to_write.clear()

    async def _write_out(self, data: memoryview) -> None:
        while data:
            await anyio.wait_writable(self._in)
            with suppress(BlockingIOError):
                data = data[os.write(self._in.fileno(), data[:_READ]) :]

    # --- what it says ----------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """What it says next; nothing at the end. Cancelled, it has read nothing.

        Whoever comes later is the one who reads: a killed actor's code takes its time to leave. Raises TurnFailed.
        """
        while self._reader is not None:
            self._reader.cancel()
            await self._reader_left.wait()
        self._reader_left = anyio.Event()
        scope = self._reader = anyio.CancelScope()
        with scope:
            try:
                return await self._read()
            finally:
                self._reader = None
                self._reader_left.set()
        raise agent_failed("agent_ended", "for this turn: another has it")

    async def _read(self) -> bytes:
        while True:
            try:
                await anyio.wait_readable(self._out)
                return os.read(self._out.fileno(), _READ)
            except BlockingIOError:
                continue
            except (OSError, ValueError, anyio.ClosedResourceError):
                return b""

    async def _listen_to_errors(self) -> None:
        with suppress(OSError, ValueError, anyio.ClosedResourceError):
            while True:
                await anyio.wait_readable(self._err)
                if not self._take_errors():
                    return

    def _take_errors(self) -> bool:
        """Whether there may be more."""
        try:
            said = os.read(self._err.fileno(), _READ)
        except BlockingIOError:
            return True
        except (OSError, ValueError):
            return False
        self._errors += said
        # Bytes, of which a character takes four at most.
        del self._errors[: -4 * self._limits.tail]
        return bool(said)

    def complaint(self) -> str:
        """The end of what it wrote on its standard error, without the secrets that it was given."""
        text = self._errors.decode(errors="replace").replace("\0", "\ufffd").strip()
        return self.fit_to_print(text)

    def fit_to_print(self, text: str) -> str:
        """The end of *text*, without secrets."""
        hidden = REDACTION.without_keys(without_secrets(text, self._secrets))
        return hidden if len(hidden) <= self._limits.tail else f"… {hidden[-self._limits.tail :]}"

    def obituary(self) -> str:
        """How it ended, and its last words."""
        status = self.status if self.status is not None else 0
        how = f"exit status {status}" if status <= 128 else f"killed by signal {status - 128}"
        return f"{how}: {words}" if (words := self.complaint()) else how


def _spawn(argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> tuple[subprocess.Popen[bytes], int]:
    if os.name != "posix":
        raise agent_failed("agent_not_started", "agent processes need a POSIX system")
    program = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if program is None:
        raise agent_failed("agent_not_started", f"there is no program {os.path.basename(argv[0])!r:.80}")
    reading, lifeline = os.pipe()
    try:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", _GUARD, str(reading), program, *argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env=dict(env),
            pass_fds=(reading,),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(lifeline)
        raise agent_failed("agent_not_started", getattr(error, "strerror", None) or type(error).__name__) from error
    finally:
        os.close(reading)
    return popen, lifeline


async def _exit_of(popen: subprocess.Popen[bytes]) -> None:
    """Return when it has ended. It is not reaped where the system has process descriptors."""
    if popen.returncode is not None:
        return
    if not hasattr(os, "pidfd_open"):
        await anyio.to_thread.run_sync(popen.wait, abandon_on_cancel=True)
        return
    # Ours, and not reaped: it is there, alive or as a zombie.
    descriptor = os.pidfd_open(popen.pid)
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)
